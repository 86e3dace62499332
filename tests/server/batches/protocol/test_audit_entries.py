"""What remains of a batch: the audit log, and no password."""

import pytest
from tests.server.batches.protocol.steps import JOE, audit_entries, create, published
from tests.server.batches.protocol.test_expiry import make_idle
from tests.support.callers import OPERATOR, operator
from tests.support.servers.control_planes import Deployment
from tests.support.users import (
    PASSWORD,
    checked_users,
)

from anyscale.domain.audit_chain import entry_hash
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches.service import BatchService

pytestmark = pytest.mark.both_stores


def test_the_audit_log_is_chained_and_has_ids_only(
    control_plane: ControlPlane, batches: BatchService
) -> None:
    done = published(batches, "a", "b", "c", "d")
    create(batches, "small", checked_users("e", password=PASSWORD))
    dropped = batches.open(operator("ann"), "dropped", "fail")
    batches.drop(JOE, dropped.batch_id)
    idle = batches.open(JOE, "idle", "fail")
    make_idle(control_plane, idle, 8)
    batches.expire()

    rows = audit_entries(control_plane)

    assert [(row.event, row.actor) for row in rows] == [
        ("batch.published", "local:jane"),
        ("batch.published", JOE.actor),
        ("batch.dropped", JOE.actor),
        ("batch.expired", "system"),
    ]
    assert [rows[at].subject for at in (0, 2, 3)] == [
        done.batch_id,
        dropped.batch_id,
        idle.batch_id,
    ]
    assert '"users":4' in rows[0].data
    assert '"opened_by":"local:ann"' in rows[2].data
    previous = bytes(32)
    for row in rows:
        assert row.hash == entry_hash(previous, row)
        previous = row.hash
    text = "".join(row.data + row.subject + row.actor for row in rows)
    assert "@" not in text
    assert PASSWORD not in text


def test_no_password_is_in_the_database(
    store_deployment: Deployment, batches: BatchService
) -> None:
    batch = batches.open(JOE, "key", "fail")
    batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("a", password=PASSWORD))
    batches.hash(OPERATOR, batch.batch_id, [(0, PASSWORD)])
    create(batches, "small", checked_users("b", password=PASSWORD))
    assert "battery" in PASSWORD
    assert "battery" not in str(store_deployment.snapshot())
