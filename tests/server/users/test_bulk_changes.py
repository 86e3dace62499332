"""Accounts that one form suspends or restores together."""

import secrets
from collections.abc import Sequence
from itertools import count

import pytest
from tests.server.http.pages.requests import create_owner
from tests.support.callers import OPERATOR, session_caller
from tests.support.mail.sending import mails
from tests.support.users import create_accounts, find_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.accounts import bulk_changes
from anyscale.server.core.accounts.bulk_changes import BulkChanges, StateChange
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.mail.outbox import new_mails

NAMES = ("ann", "ben", "cid", "dan")


@pytest.fixture
def ids(control_plane: ControlPlane) -> list[str]:
    create_accounts(control_plane, *NAMES, "jane", "joe")
    create_owner(control_plane, "jane")
    create_owner(control_plane, "joe")
    return [id_of(control_plane, name) for name in NAMES]


def id_of(control_plane: ControlPlane, name: str) -> str:
    (found,) = find_accounts(control_plane, email=f"{name}@example.com", exact=True)
    return found.user_id


def suspended(control_plane: ControlPlane) -> list[str]:
    return [user.user_id for user in find_accounts(control_plane, suspended=True)]


def jane(control_plane: ControlPlane) -> SessionCaller:
    return session_caller(control_plane, id_of(control_plane, "jane"))


@pytest.mark.both_stores
def test_all_but_owners_are_suspended_with_what_belongs_to_them_and_restored(
    control_plane: ControlPlane, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_changes, "_SLICE", 2)
    caller, accounts = jane(control_plane), control_plane.bulk_changes
    owners = [id_of(control_plane, name) for name in ("jane", "joe")]
    session = session_caller(control_plane, ids[0])
    control_plane.links.create(OPERATOR, ids[:2])
    with control_plane.store.write() as tx:
        tx.outbox.add_many(new_mails(tx.now(), "set_password_link", ids[2:], "local:test"))
    control_plane.lifecycle.suspend(OPERATOR, ids[3])
    chosen = [*ids, *owners, "usr_none"]

    assert accounts.change("suspend", chosen, caller, "first", seconds=9) == len(chosen)

    assert sorted(accounts.changed("suspend", "first")) == sorted(ids[:3])
    with control_plane.store.read() as tx:
        assert tx.sessions.get(session.session.hash) is None
        assert tx.links.unused(ids, tx.now()).count == 0
    assert mails(control_plane) == []

    assert accounts.change(
        "restore", accounts.changed("suspend", "first"), caller, "second", seconds=9
    )

    assert find_accounts(control_plane, suspended=True)[0].user_id == ids[3]
    assert sorted(accounts.changed("restore", "second")) == sorted(ids[:3])
    assert accounts.changed("suspend", "first") == []
    entries = control_plane.audit_log.list(0, 1_000)
    for event in ("account.suspended", "account.restored"):
        found = [e.subject for e in entries if (e.event, e.actor) == (event, caller.actor)]
        assert sorted(found) == sorted(ids[:3])


def test_a_change_ends_after_its_time_and_continues_with_the_rest(
    control_plane: ControlPlane, ids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_changes, "_SLICE", 1)
    ticks, caller, key = count(), jane(control_plane), secrets.token_hex(16)
    slow = BulkChanges(control_plane.transactions, clock=lambda: float(next(ticks)))

    done = slow.change("suspend", ids, caller, key, seconds=2)

    assert done == 2
    assert len(slow.changed("suspend", key)) == 2
    slow.change("suspend", ids[done:], caller, key, seconds=9)
    assert sorted(slow.changed("suspend", key)) == sorted(ids)


def change(
    control_plane: ControlPlane,
    kind: StateChange,
    user_ids: Sequence[str],
    key: str,
    *,
    together: bool,
    as_before: bool = False,
) -> None:
    """Change accounts together, or one by one as a form for some accounts of a page does."""
    caller, life = jane(control_plane), control_plane.lifecycle
    if together:
        control_plane.bulk_changes.change(
            kind, user_ids, caller, key, seconds=9, as_before=as_before
        )
        return
    for user_id in user_ids:
        if kind == "suspend":
            life.suspend(caller, user_id, key=key, as_before=as_before)
        else:
            life.restore(caller, user_id, key=key)


def is_by_sync(control_plane: ControlPlane, user_id: str) -> bool:
    (user,) = control_plane.users.with_ids([user_id])
    return user.suspended_by_sync


@pytest.mark.both_stores
@pytest.mark.parametrize("together", [True, False])
def test_a_form_makes_suspensions_by_a_sync_ones_by_hand_and_its_undo_does_not_end_them(
    control_plane: ControlPlane, ids: list[str], together: bool
) -> None:
    ann, ben = ids[:2]
    control_plane.lifecycle.suspend(OPERATOR, ann, by_sync=True)
    (before,) = control_plane.users.with_ids([ann])

    change(control_plane, "suspend", [ann, ben], "form", together=together)

    (after,) = control_plane.users.with_ids([ann])
    assert (before.suspended_by_sync, after.suspended_by_sync) == (True, False)
    assert after.suspended_at == before.suspended_at
    entries = control_plane.audit_log.list(0, 1_000)[-2:]
    assert {(one.event, one.subject) for one in entries} == {
        ("account.suspended", user_id) for user_id in (ann, ben)
    }
    undone = control_plane.bulk_changes.changed("suspend", "form")
    assert undone == [ben]
    change(control_plane, "restore", undone, "undo", together=together)
    assert suspended(control_plane) == [ann]


@pytest.mark.both_stores
@pytest.mark.parametrize("together", [True, False])
def test_the_undo_of_a_restoration_leaves_to_the_syncs_whom_one_had_suspended(
    control_plane: ControlPlane, ids: list[str], together: bool
) -> None:
    ann, ben = ids[:2]
    control_plane.lifecycle.suspend(OPERATOR, ann, by_sync=True)
    control_plane.lifecycle.suspend(OPERATOR, ben)
    change(control_plane, "restore", [ann, ben], "form", together=together)
    assert not is_by_sync(control_plane, ann), "it is not suspended"

    undone = control_plane.bulk_changes.changed("restore", "form")
    change(control_plane, "suspend", undone, "undo", together=together, as_before=True)

    assert sorted(undone) == sorted([ann, ben])
    assert [is_by_sync(control_plane, one) for one in (ann, ben)] == [True, False]
    control_plane.lifecycle.restore(OPERATOR, ann, by_sync=True)
    assert suspended(control_plane) == [ben]
