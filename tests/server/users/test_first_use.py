"""`used_at`: an account is marked as used by its first use, and never again."""

import secrets
from collections.abc import Callable
from contextlib import suppress

import pytest
from tests.support.callers import OPERATOR, session_caller
from tests.support.databases.stored_data import execute_sql
from tests.support.sign_in import sign_ins
from tests.support.users import PASSWORD, checked_users, find_accounts, passwords_for

from anyscale.errors import InvalidCredentials
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.link_secrets import secret_of
from anyscale.server.core.login.half_sign_in import Shown
from anyscale.server.core.login.sessions import ClientInfo, create_session, lock_for_session

CLIENT = ClientInfo("192.0.2.1", "Firefox")
CHOSEN = "seven quiet herons wade"
EMAIL = "jane@example.com"


@pytest.fixture
def jane(control_plane: ControlPlane) -> str:
    users = checked_users("jane", "joe", password=PASSWORD)
    created = control_plane.batches.create(
        OPERATOR, secrets.token_hex(8), users, "fail", passwords_for(users)
    )
    return created.users[0].user_id


def used_at(control_plane: ControlPlane, user_id: str) -> int | None:
    with control_plane.store.read() as tx:
        account = tx.accounts.get(user_id)
    assert account
    return account.used_at


def sign_in(control_plane: ControlPlane, _: str = "", password: str = PASSWORD) -> str:
    return sign_ins.sign_in(control_plane, EMAIL, password, CLIENT).session


def sign_in_by_sso(control_plane: ControlPlane, user_id: str) -> None:
    with control_plane.store.write() as tx:
        locked = lock_for_session(tx, user_id, CLIENT)
        assert locked
        create_session(tx, locked, Shown("sso", "", locked.at), None)


def set_password_by_link(control_plane: ControlPlane, user_id: str) -> None:
    (link,) = control_plane.links.create(OPERATOR, [user_id])
    control_plane.password_changes.by_link(secret_of(link.url), CHOSEN, CLIENT)


def create_token(control_plane: ControlPlane, user_id: str) -> None:
    make_owner(control_plane, user_id)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update users set used_at = null where used_at <> 7")
    control_plane.tokens.create_personal(session_caller(control_plane, user_id), "laptop", None)


def make_owner(control_plane: ControlPlane, user_id: str) -> None:
    control_plane.lifecycle.set_role(OPERATOR, user_id, "owner")


def change_password(control_plane: ControlPlane, user_id: str) -> None:
    user = control_plane.sessions.authenticate(sign_in(control_plane))
    with control_plane.store.write() as tx:
        execute_sql(tx, "update users set used_at = null, last_sign_in = null")
    control_plane.password_changes.change_password(user, PASSWORD, CHOSEN, CLIENT)
    assert used_at(control_plane, user_id)


USES: list[Callable[[ControlPlane, str], object]] = [
    sign_in,
    sign_in_by_sso,
    set_password_by_link,
    create_token,
    make_owner,
    change_password,
]


def now_of(control_plane: ControlPlane) -> int:
    with control_plane.store.read() as tx:
        return tx.now()


@pytest.mark.parametrize("use", USES)
def test_a_use_marks_the_account_and_no_other_one(
    control_plane: ControlPlane, jane: str, use: Callable[[ControlPlane, str], object]
) -> None:
    assert used_at(control_plane, jane) is None
    before = now_of(control_plane)
    use(control_plane, jane)
    used = used_at(control_plane, jane)
    assert used
    assert before <= used <= now_of(control_plane)
    (joe,) = find_accounts(control_plane, email="joe@example.com", exact=True)
    assert used_at(control_plane, joe.user_id) is None


@pytest.mark.both_stores
def test_the_mark_stays_as_the_first_use_set_it(control_plane: ControlPlane, jane: str) -> None:
    with control_plane.store.write() as tx:
        tx.accounts.mark_used(jane, 7)
    (joe,) = find_accounts(control_plane, email="joe@example.com", exact=True)
    make_owner(control_plane, joe.user_id)
    for use in (sign_in, create_token, make_owner, set_password_by_link):
        use(control_plane, jane)
    control_plane.lifecycle.set_role(OPERATOR, jane, "collaborator")
    control_plane.lifecycle.suspend(OPERATOR, jane)
    control_plane.lifecycle.restore(OPERATOR, jane)
    assert used_at(control_plane, jane) == 7


def test_actions_of_others_do_not_mark_an_account_as_used(
    control_plane: ControlPlane, jane: str
) -> None:
    control_plane.links.create(OPERATOR, [jane])
    control_plane.lifecycle.suspend(OPERATOR, jane)
    control_plane.lifecycle.restore(OPERATOR, jane)
    control_plane.lifecycle.set_role(OPERATOR, jane, "collaborator")  # which it has
    with suppress(InvalidCredentials):
        sign_in(control_plane, password="a wrong password")
    find_accounts(control_plane, email=EMAIL, exact=True)
    assert used_at(control_plane, jane) is None
