"""Changing a password, and setting it with a one-time link."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from typing import TYPE_CHECKING

import pytest
from msgspec import structs
from tests.support.databases.stored_data import execute_sql
from tests.support.sign_in.sign_ins import (
    CHOSEN,
    EMAIL,
    HOME,
    change_password,
    create_link,
    events_of,
    get_account,
    let_time_pass,
    set_by_link,
    sign_in_at_home,
    suspend,
)
from tests.support.users import PASSWORD

from anyscale.errors import (
    AnyscaleError,
    InvalidCredentials,
    LinkInvalid,
    NotAuthenticated,
    PasswordChangeNeeded,
    PasswordExpired,
    PasswordRefused,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.hashing.argon2id import Hasher, Profile
from anyscale.server.core.login.half_sign_in import Shown
from anyscale.server.core.login.sessions import (
    ClientInfo,
    LoginResult,
    create_session,
    lock_for_session,
)
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.steps import Step
from anyscale.server.store.records.login import LinkRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DAY = 24 * 60 * 60 * 1000


@pytest.mark.both_stores
def test_two_users_who_swap_browsers_at_once_both_sign_in_by_link(
    control_plane: ControlPlane,
) -> None:
    people = [get_account(control_plane), get_account(control_plane, "none@example.com")]
    for number in range(15):
        secrets = [f"{number} {person.user_id}" for person in people]
        with control_plane.store.write() as tx:
            now = tx.now()
            for person, secret in zip(people, secrets, strict=True):
                link = LinkRecord(person.user_id, hash_of(secret), "local:test", now, now + _DAY)
                tx.links.replace(link)
            locked = [lock_for_session(tx, person.user_id, HOME) for person in people]
            sessions = [
                create_session(tx, one, Shown("link", "", one.at), None).session
                for one in locked
                if one
            ]
        start = Barrier(3)

        def enter(secret: str, session: str, number: int = number, start: Barrier = start) -> None:
            start.wait()
            browser = structs.replace(HOME, session=session)
            set_by_link(control_plane, secret, f"{CHOSEN} {number} {secret}", browser)

        def leave(session: str, start: Barrier = start) -> None:
            user = control_plane.sessions.authenticate(session)
            start.wait()
            with suppress(NotAuthenticated):
                control_plane.sessions.revoke(user, user.session.session_id)

        with ThreadPoolExecutor(3) as pool:
            entering = pool.map(enter, secrets, reversed(sessions))
            leaving = pool.submit(leave, sessions[0])
            assert list(entering) == [None, None]
            assert leaving.result() is None


def test_an_initial_password_must_be_changed_first(control_plane: ControlPlane) -> None:
    signed_in = sign_in_at_home(control_plane)
    assert signed_in.pending is Step.PASSWORD
    user = control_plane.sessions.authenticate(signed_in.session)
    with pytest.raises(PasswordChangeNeeded):
        user.refuse_pending()

    changed = change_password(control_plane, user, PASSWORD, CHOSEN, HOME)

    assert changed.pending is None
    control_plane.sessions.authenticate(changed.session).refuse_pending()
    assert sign_in_at_home(control_plane, password=CHOSEN).pending is None
    with pytest.raises(InvalidCredentials):
        sign_in_at_home(control_plane)


def test_an_initial_password_expires_and_a_chosen_one_does_not(
    control_plane: ControlPlane,
) -> None:
    let_time_pass(control_plane, 30 * _DAY - _DAY // 4)
    signed_in = sign_in_at_home(control_plane)
    user = control_plane.sessions.authenticate(signed_in.session)
    let_time_pass(control_plane, _DAY // 3)
    with pytest.raises(PasswordExpired, match="link"):
        sign_in_at_home(control_plane)
    with pytest.raises(PasswordExpired, match="link"):
        change_password(control_plane, user, PASSWORD, CHOSEN, HOME)
    with pytest.raises(InvalidCredentials):
        sign_in_at_home(control_plane, password="wrong password")
    signed_in = set_by_link(control_plane, create_link(control_plane), CHOSEN, HOME)
    assert signed_in.pending is None
    let_time_pass(control_plane, 1_000 * _DAY)
    sign_in_at_home(control_plane, password=CHOSEN)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        ("abcdefg", "shorter"),
        ("x" * 1_025, "longer"),
        ("password1234", "common"),
        ("jane has a password", "own name"),
        ("12-j.a.n.e-34", "own name"),
        ("abababab1!", "repeats the same"),
        ("9876543210!!", "sequence"),
        ("poiuztre77", "row of the keyboard"),
        (PASSWORD, "that you have"),
        ("unspeakable \ud800", "cannot be typed"),
    ],
)
def test_a_new_password_must_meet_the_policy(
    control_plane: ControlPlane, new: str, message: str
) -> None:
    user = control_plane.sessions.authenticate(sign_in_at_home(control_plane).session)
    with pytest.raises(PasswordRefused, match=message) as refused:
        change_password(control_plane, user, PASSWORD, new, HOME)
    assert new not in str(refused.value)
    sign_in_at_home(control_plane)


@pytest.mark.parametrize("current", [PASSWORD, ""])
def test_the_password_that_the_user_has_is_not_a_new_one(
    control_plane: ControlPlane, current: str
) -> None:
    user = control_plane.sessions.authenticate(sign_in_at_home(control_plane).session)
    with pytest.raises(PasswordRefused, match="the one that you have"):
        change_password(control_plane, user, current, PASSWORD, HOME)


def test_another_spelling_of_the_password_is_not_a_new_one(control_plane: ControlPlane) -> None:
    first, second = (f"{CHOSEN} {umlaut}" for umlaut in ("\u00fc", "u\u0308"))
    session = set_by_link(control_plane, create_link(control_plane), first, HOME).session
    user = control_plane.sessions.authenticate(session)
    with pytest.raises(PasswordRefused, match="the one that you have"):
        change_password(control_plane, user, first, second, HOME)


def test_a_change_requires_the_current_password(control_plane: ControlPlane) -> None:
    user = control_plane.sessions.authenticate(sign_in_at_home(control_plane).session)
    with pytest.raises(InvalidCredentials, match="current password"):
        change_password(control_plane, user, "wrong password", CHOSEN, HOME)
    changed = change_password(control_plane, user, PASSWORD, CHOSEN, HOME)
    for session in (changed.session, sign_in_at_home(control_plane, password=CHOSEN).session):
        user = control_plane.sessions.authenticate(session)
        with pytest.raises(InvalidCredentials, match="current password"):
            change_password(control_plane, user, "", f"{CHOSEN} again", HOME)


@pytest.mark.parametrize(("minutes", "is_required"), [(10, False), (11, True)])
def test_an_initial_password_is_not_asked_for_again_for_ten_minutes(
    control_plane: ControlPlane, minutes: int, is_required: bool
) -> None:
    session = sign_in_at_home(control_plane).session
    user = control_plane.sessions.authenticate(session)
    at = user.session.created_at + minutes * 60_000
    user = structs.replace(user, at=at)
    assert user.may_omit_current_password != is_required
    if is_required:
        with pytest.raises(InvalidCredentials, match="current password"):
            change_password(control_plane, user, "", CHOSEN, HOME)
    else:
        change_password(control_plane, user, "", CHOSEN, HOME)
        assert sign_in_at_home(control_plane, password=CHOSEN).pending is None


def test_a_change_revokes_all_sessions_and_creates_a_new_one(control_plane: ControlPlane) -> None:
    elsewhere, here = sign_in_at_home(control_plane).session, sign_in_at_home(control_plane).session
    user = control_plane.sessions.authenticate(here)
    changed = change_password(control_plane, user, PASSWORD, CHOSEN, HOME)
    for old in (elsewhere, here):
        with pytest.raises(NotAuthenticated):
            control_plane.sessions.authenticate(old)
    user = control_plane.sessions.authenticate(changed.session)
    assert len(control_plane.sessions.list(user)) == 1
    assert ("password.changed", user.actor) in events_of(control_plane)


@pytest.mark.both_stores
def test_of_several_changes_at_once_one_succeeds(control_plane: ControlPlane) -> None:
    user = control_plane.sessions.authenticate(sign_in_at_home(control_plane).session)

    def change(number: int) -> LoginResult | AnyscaleError:
        try:
            return change_password(control_plane, user, PASSWORD, f"{CHOSEN} {number}", HOME)
        except (InvalidCredentials, NotAuthenticated) as error:
            return error

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(change, range(4)))
    done = [number for number, answer in enumerate(answers) if isinstance(answer, LoginResult)]
    assert len(done) == 1
    sign_in_at_home(control_plane, password=f"{CHOSEN} {done[0]}")


@pytest.mark.parametrize("call", ["change", "sign in again"])
def test_a_password_that_is_changed_after_it_was_verified_does_not_count(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    stolen = control_plane.sessions.authenticate(sign_in_at_home(control_plane).session)
    login, verify = control_plane.password_login, control_plane.password_login.verify_current
    another = Hasher(Profile(memory_kib=8, passes=1)).hash([f"{CHOSEN} too"])[0]

    def verify_and_change(caller: SessionCaller, password: str, client: ClientInfo) -> None:
        verify(caller, password, client)
        with control_plane.store.write() as tx:
            tx.accounts.set_password(caller.account.user_id, another, tx.now())

    monkeypatch.setattr(login, "verify_current", verify_and_change)
    calls: Mapping[str, Callable[[], object]] = {
        "change": lambda: change_password(control_plane, stolen, PASSWORD, CHOSEN, HOME),
        "sign in again": lambda: login.sign_in_again(stolen, PASSWORD, HOME),
    }
    with pytest.raises(InvalidCredentials, match="at the same time"):
        calls[call]()
    assert get_account(control_plane).password_hash == another


def test_an_initial_password_that_has_expired_does_not_count_for_signing_in_again(
    control_plane: ControlPlane,
) -> None:
    let_time_pass(control_plane, 30 * _DAY - _DAY // 4)
    session = sign_in_at_home(control_plane).session
    with control_plane.store.write() as tx:  # a session by a password has to change it first
        execute_sql(tx, "update sessions set auth_method = 'sso'")
    user = control_plane.sessions.authenticate(session)
    let_time_pass(control_plane, _DAY // 3)
    with pytest.raises(PasswordExpired, match="link"):
        control_plane.password_login.sign_in_again(user, PASSWORD, HOME)


def test_a_link_sets_a_password_signs_in_and_works_once(control_plane: ControlPlane) -> None:
    old = sign_in_at_home(control_plane).session
    secret = create_link(control_plane)
    assert control_plane.password_changes.link_account(secret).email == EMAIL
    signed_in = set_by_link(control_plane, secret, CHOSEN, HOME)
    assert control_plane.sessions.authenticate(signed_in.session).session.auth_method == "link"
    assert signed_in.pending is None
    sign_in_at_home(control_plane, password=CHOSEN)
    for call in (
        control_plane.password_changes.link_account,
        lambda s: set_by_link(control_plane, s, CHOSEN, HOME),
    ):
        with pytest.raises(LinkInvalid):
            call(secret)
    with pytest.raises(NotAuthenticated):
        control_plane.sessions.authenticate(old)


def test_a_link_sets_the_first_password_of_an_account(control_plane: ControlPlane) -> None:
    set_by_link(control_plane, create_link(control_plane, "none@example.com"), CHOSEN, HOME)
    sign_in_at_home(control_plane, "none@example.com", CHOSEN)


def test_a_refused_password_leaves_the_link_valid(control_plane: ControlPlane) -> None:
    secret = create_link(control_plane)
    for refused in ("short", "j-a-n-e-2026", "abcabcabc", "9876543210!!", "poiuztre77"):
        with pytest.raises(PasswordRefused):
            set_by_link(control_plane, secret, refused, HOME)
    set_by_link(control_plane, secret, CHOSEN, HOME)


def test_an_expired_or_unknown_link_or_one_of_a_suspended_account_is_invalid(
    control_plane: ControlPlane,
) -> None:
    with pytest.raises(LinkInvalid):
        set_by_link(control_plane, "unknown", CHOSEN, HOME)
    with pytest.raises(LinkInvalid):
        set_by_link(control_plane, create_link(control_plane, days=0), CHOSEN, HOME)
    secret = create_link(control_plane)
    suspend(control_plane)
    with pytest.raises(LinkInvalid):
        set_by_link(control_plane, secret, CHOSEN, HOME)


@pytest.mark.both_stores
def test_of_eight_uses_of_one_link_at_once_one_succeeds(control_plane: ControlPlane) -> None:
    secret = create_link(control_plane)

    def use(number: int) -> bool:
        try:
            set_by_link(control_plane, secret, f"{CHOSEN} {number}", HOME)
        except LinkInvalid:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(8))) == 1


def test_a_changed_password_revokes_the_unused_link(control_plane: ControlPlane) -> None:
    user = control_plane.sessions.authenticate(sign_in_at_home(control_plane).session)
    secret = create_link(control_plane)
    change_password(control_plane, user, PASSWORD, CHOSEN, HOME)
    with pytest.raises(LinkInvalid):
        set_by_link(control_plane, secret, CHOSEN, HOME)


def test_a_revoked_session_changes_no_password(control_plane: ControlPlane) -> None:
    user = control_plane.sessions.authenticate(sign_in_at_home(control_plane).session)
    control_plane.sessions.revoke(user, user.session.session_id)
    with pytest.raises(NotAuthenticated):
        change_password(control_plane, user, PASSWORD, CHOSEN, HOME)
    user = control_plane.sessions.authenticate(sign_in_at_home(control_plane).session)
    suspend(control_plane)
    with pytest.raises(NotAuthenticated):
        change_password(control_plane, user, PASSWORD, CHOSEN, HOME)
