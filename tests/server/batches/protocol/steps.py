"""Create accounts by a batch, and read what the store has of it."""

from collections.abc import Sequence

from tests.support.callers import OPERATOR, operator
from tests.support.databases.stored_data import execute_sql
from tests.support.users import (
    PASSWORD,
    checked_users,
    passwords_for,
)

from anyscale.domain.models.batches import Created
from anyscale.domain.validation import CheckedUser
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.service import BatchService
from anyscale.server.store.records.audit import AuditRecord
from anyscale.user.models import Batch

JANE, JOE = operator("jane"), operator("joe")


def published(batches: BatchService, *names: str, key: str = "earlier") -> Batch:
    """Create accounts by the large way."""
    batch = batches.open(JANE, key, "fail")
    for number, first in enumerate(range(0, len(names), 3)):
        batches.reserve(OPERATOR, batch.batch_id, number, checked_users(*names[first : first + 3]))
    return batches.publish(JANE, batch.batch_id, len(names))


def audit_entries(control_plane: ControlPlane) -> list[AuditRecord]:
    with control_plane.store.read() as tx:
        return list(tx.audit.list(0, 1_000))


def row_counts(control_plane: ControlPlane) -> dict[str, int]:
    with control_plane.store.read() as tx:
        tables = ("batches", "chunks", "conflicts", "users", "audit")
        return {
            name: execute_sql(tx, f"select count(*) from {name}").fetchone()[0] for name in tables
        }


def create(
    batches: BatchService,
    key: str,
    users: Sequence[CheckedUser],
    if_exists: str = "fail",
    password: str = PASSWORD,
) -> Created:
    """Create a small batch; its users with a password have the same one."""
    return batches.create(JOE, key, users, if_exists, passwords_for(users, password))
