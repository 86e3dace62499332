"""Users and control planes that the tests of the contract share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.main import ControlPlane, Settings
from anyscale.server.store.interface import Transaction
from anyscale.server.store.sqlite.batches import SqliteTransaction
from anyscale.transport.base import Transport
from anyscale.transport.embedded import EmbeddedTransport
from anyscale.user.models import AdminCreateUser
from anyscale.user.validation import CheckedUser, Policy, check

#: So small that a handful of users meets every case of a large batch.
POLICY = Policy(small_users=2, small_passwords=2, page_users=3, page_passwords=2, hold_wait=0)

#: on no list of common passwords
PASSWORD = "correct horse battery"


def checked(email: str, password: str | None = None, *, name: str = "Jane") -> CheckedUser:
    """Give a user in whom nothing is wrong."""
    user = check(name, email, password, False, None, None, Policy())
    assert user
    return user


def everybody(*names: str, password: str | None = None) -> list[CheckedUser]:
    """Give users by the local parts of their emails."""
    return [checked(f"{name}@example.com", password) for name in names]


def wanted(*names: str, password: str | None = None) -> list[AdminCreateUser]:
    """Give the same as a caller of the SDK hands them over."""
    return [AdminCreateUser("Jane", f"{name}@example.com", password) for name in names]


def control_plane(folder: Path, policy: Policy = POLICY, *, available: bool = True) -> ControlPlane:
    """Make a control plane that hashes fast."""
    settings = Settings(database=folder / "anyscale.db", policy=policy, batch_create=available)
    return ControlPlane(settings, profile=CHEAPEST)


class _FastTransport(EmbeddedTransport):
    """The embedded transport, with hashes that cost nothing."""

    @cached_property
    def _written(self) -> ControlPlane:
        return ControlPlane(self._settings, profile=CHEAPEST)


def embedded(folder: Path, policy: Policy = POLICY, *, available: bool = True) -> Transport:
    """Make a transport to the control plane of a folder, which is made on the first write."""
    database = folder / "data" / "anyscale.db"
    return _FastTransport(Settings(database=database, policy=policy, batch_create=available))


def execute(rows: Transaction, sql: str, values: tuple[object, ...] = ()) -> Any:
    """Look behind the rules, or break one, by a statement."""
    mark = "?" if isinstance(rows, SqliteTransaction) else "%s"
    return rows._connection.execute(sql.replace("?", mark), values)  # type: ignore[attr-defined]


def emails(plane: ControlPlane) -> list[str]:
    """List the accounts."""
    return [user.email for user in plane.users.page(email="", name="", after="", limit=100_000)]


@contextmanager
def permissions_apply() -> Iterator[None]:
    """Be somebody whom permissions bind: root may do everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
