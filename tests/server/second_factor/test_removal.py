"""Removing lost factors: by owners for members, and for owners only by the operator."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.store.contract.factors import app_row, passkey_row
from tests.store.openid_rules import grant_row
from tests.support.callers import OPERATOR, personal_token_caller, session_caller, token_caller
from tests.support.databases.stored_data import execute_sql
from tests.support.users import create_accounts

from anyscale.errors import NotFound, OwnerKept, RequestInvalid
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import Caller, SignInTooOld
from anyscale.server.core.second_factor.removal import FORMER_OWNER_DAYS
from anyscale.server.core.time_units import DAY_MS
from anyscale.server.store.records.factors import FactorRecord, FactorState


def account(control_plane: ControlPlane, name: str, role: Any = "collaborator") -> str:
    create_accounts(control_plane, name)
    [user] = control_plane.users.find([f"{name}@example.com"])
    assert user
    control_plane.lifecycle.set_role(OPERATOR, user.user_id, role)
    return user.user_id


@pytest.fixture
def root(control_plane: ControlPlane) -> str:
    return account(control_plane, "root", "owner")


@pytest.fixture
def jane(control_plane: ControlPlane, root: str) -> str:
    """A member with an app, a passkey, recovery codes and a hundred wrong codes."""
    del root
    user_id = account(control_plane, "jane")
    add_factors(control_plane, app_row(1, user_id), passkey_row(2, user_id))
    with control_plane.store.write() as tx:
        tx.recovery_codes.replace(user_id, [b"1", b"2"])
        tx.factor_states.save(FactorState(user_id=user_id, required_since=7, failures=100))
    return user_id


def add_factors(control_plane: ControlPlane, *factors: FactorRecord) -> None:
    with control_plane.store.write() as tx:
        for factor in factors:
            assert tx.factors.add(factor)


def entries(control_plane: ControlPlane, event: str = "factor.removed") -> list[tuple[str, Any]]:
    with control_plane.store.read() as tx:
        found = [one for one in tx.audit.list(0, 999) if one.event == event]
    return [(one.actor, json.loads(one.data)) for one in found]


def remove(control_plane: ControlPlane, user_id: str, caller: Caller, reason: str = "lost") -> int:
    return control_plane.factor_removal.remove_all(caller, user_id, reason)


def test_a_member_starts_again_without_factors_sessions_and_wrong_codes(
    control_plane: ControlPlane, root: str, jane: str
) -> None:
    session_caller(control_plane, jane)
    with control_plane.store.write() as tx:
        tx.grants.add(grant_row("grn_1", user_id=jane, expires_at=2**50))
    owner = session_caller(control_plane, root)
    assert remove(control_plane, jane, owner, " lost phone ") == 2
    with control_plane.store.read() as tx:
        assert (tx.factors.list(jane), tx.recovery_codes.count(jane)) == ([], 0)
        assert tx.factor_states.get(jane) == FactorState(user_id=jane, required_since=7)
        assert tx.sessions.list(jane) == []
        assert execute_sql(tx, "select * from grants").fetchall() == []
    data = {"kinds": ["passkey", "totp"], "reason": "lost phone", "sessions": 1}
    assert entries(control_plane) == [(owner.actor, data)]
    assert remove(control_plane, jane, owner) == 0
    assert len(entries(control_plane)) == 1


def test_a_sign_in_of_an_account_without_a_factor_stays(
    control_plane: ControlPlane, root: str
) -> None:
    joe = account(control_plane, "joe")
    session_caller(control_plane, joe)
    add_factors(control_plane, app_row(1, joe, confirmed_at=None))
    assert remove(control_plane, joe, session_caller(control_plane, root)) == 0
    with control_plane.store.read() as tx:
        assert (len(tx.sessions.list(joe)), tx.factors.pending_app(joe)) == (1, None)


CALLERS: dict[str, Callable[[ControlPlane, str], Caller]] = {
    "session": session_caller,
    "personal token": personal_token_caller,
    "token": lambda control_plane, _: token_caller(control_plane),
}


@pytest.mark.parametrize("kind", CALLERS)
def test_only_the_operator_removes_the_factors_of_an_owner(
    control_plane: ControlPlane, root: str, jane: str, kind: str
) -> None:
    control_plane.lifecycle.set_role(OPERATOR, jane, "owner")
    for user_id in {"token": [root]}.get(kind, [root, jane]):
        caller = CALLERS[kind](control_plane, user_id)
        refusal = "removed by their user, .* `anyscale server reset-second-factor jane@ex"
        with pytest.raises(OwnerKept, match=refusal):
            remove(control_plane, jane, caller)
    assert remove(control_plane, jane, OPERATOR) == 2


@pytest.mark.parametrize("kind", CALLERS)
def test_an_owner_is_not_made_a_member_to_remove_the_factors(
    control_plane: ControlPlane, root: str, jane: str, kind: str
) -> None:
    control_plane.lifecycle.set_role(OPERATOR, jane, "owner")
    caller = CALLERS[kind](control_plane, root)
    control_plane.lifecycle.set_role(caller, jane, "collaborator")
    almost = FORMER_OWNER_DAYS * DAY_MS - 60_000
    for passed in (almost, 60_000):
        with pytest.raises(OwnerKept, match="less than 7 days ago"):
            remove(control_plane, jane, caller)
        with control_plane.store.write() as tx:
            execute_sql(tx, f"update audit set at = at - {passed}")
    assert remove(control_plane, jane, caller) == 2


def test_a_session_needs_a_recent_sign_in(
    control_plane: ControlPlane, root: str, jane: str
) -> None:
    owner = session_caller(control_plane, root, is_recent=False)
    with pytest.raises(SignInTooOld):
        remove(control_plane, jane, owner)


@pytest.mark.parametrize("reason", ["", " ", "x" * 201, "a\nb", "\x1b[31m", "\0", "\ud800"])
def test_a_reason_is_text_of_one_line(control_plane: ControlPlane, jane: str, reason: str) -> None:
    with pytest.raises(RequestInvalid, match="the reason"):
        remove(control_plane, jane, OPERATOR, reason)


def test_an_unknown_account_is_named(control_plane: ControlPlane) -> None:
    with pytest.raises(NotFound, match="usr_none"):
        remove(control_plane, "usr_none", OPERATOR)
