"""Sign-in by email and password."""

from collections.abc import Callable, Sequence
from contextlib import closing
from threading import current_thread, main_thread
from typing import Any

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.second_factor.authenticator_apps import add_app, code_shown
from tests.support.servers.control_planes import Deployment
from tests.support.sign_in.sign_ins import (
    CHOSEN,
    EMAIL,
    HOME,
    completed,
    count_sessions,
    create_link,
    events_of,
    get_account,
    let_time_pass,
    set_by_link,
    sign_in,
    sign_in_at_home,
    sign_in_at_once,
    suspend,
)
from tests.support.users import PASSWORD, POLICY, checked_user, find_accounts, passwords_for

from anyscale.errors import (
    InvalidCredentials,
    NotAuthenticated,
    NotPermitted,
    StoreUnavailable,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.audit import entries
from anyscale.server.core.audit.entries import Entry
from anyscale.server.core.hashing.argon2id import Hasher, Profile
from anyscale.server.core.login import sessions
from anyscale.server.core.login.half_sign_in import HalfSignIn
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.session_lifetime import IDLE_LIMIT
from anyscale.server.store.records.login import LinkRecord

_DAY = 24 * 60 * 60 * 1000


@pytest.mark.both_stores
def test_a_new_control_plane_has_no_account_and_no_token(store_deployment: Deployment) -> None:
    with closing(store_deployment.control_plane()) as control_plane:
        assert control_plane.tokens.all() == []
        assert find_accounts(control_plane) == []


@pytest.mark.parametrize("email", [EMAIL, "JANE@Example.COM", "jane@EXAMPLE.com"])
def test_the_right_password_signs_in_with_any_spelling_of_the_email(
    control_plane: ControlPlane, email: str
) -> None:
    signed_in = sign_in_at_home(control_plane, email)
    user = control_plane.sessions.authenticate(signed_in.session)
    assert user.account.email == EMAIL
    assert user.session.auth_method == "password"
    assert (user.session.address, user.session.user_agent) == ("192.0.2.1", "Firefox")
    assert ("session.created", user.actor) in events_of(control_plane)


@pytest.mark.parametrize(
    ("email", "password"),
    [
        (EMAIL, "wrong password"),
        (EMAIL, ""),
        (EMAIL, PASSWORD.upper()),
        (EMAIL, "\ud800"),
        (EMAIL, "x" * 100_000),
        ("none@example.com", ""),
        ("none@example.com", PASSWORD),
        ("nobody@example.com", PASSWORD),
        ("no address", PASSWORD),
        ("", ""),
        ("\0", PASSWORD),
        ("\ud800@example.com", PASSWORD),
    ],
)
def test_every_wrong_email_or_password_gets_the_same_error(
    control_plane: ControlPlane, email: str, password: str
) -> None:
    with pytest.raises(InvalidCredentials, match=r"^email or password is wrong$"):
        sign_in_at_home(control_plane, email, password)


def test_signing_in_revokes_the_previous_session_of_the_browser(
    control_plane: ControlPlane,
) -> None:
    first, elsewhere = sign_in_at_home(control_plane), sign_in_at_home(control_plane)
    again = structs.replace(HOME, session=first.session)

    second = sign_in(control_plane, EMAIL, PASSWORD, again)

    with pytest.raises(NotAuthenticated):
        control_plane.sessions.authenticate(first.session)
    for kept in (elsewhere, second):
        control_plane.sessions.authenticate(kept.session)
    revoked_by = [actor for event, actor in events_of(control_plane) if event == "session.revoked"]
    assert revoked_by == [f"user:{get_account(control_plane).user_id}"]


def test_an_expired_previous_session_is_recorded_as_expired(
    control_plane: ControlPlane,
) -> None:
    first = sign_in_at_home(control_plane)
    let_time_pass(control_plane, IDLE_LIMIT + 60_000)
    sign_in(control_plane, EMAIL, PASSWORD, structs.replace(HOME, session=first.session))
    recorded = [event for event, _ in events_of(control_plane)]
    assert "session.expired" in recorded
    assert "session.revoked" not in recorded


def test_the_previous_session_of_another_user_is_revoked_as_well(
    control_plane: ControlPlane,
) -> None:
    first = sign_in_at_home(control_plane)
    again = structs.replace(HOME, session=first.session)
    other = "none@example.com"
    with control_plane.store.write() as tx:
        now, user_id = tx.now(), get_account(control_plane, other).user_id
        tx.links.replace(LinkRecord(user_id, hash_of("link"), "local:test", now, now + _DAY))

    second = set_by_link(control_plane, "link", CHOSEN, again)

    with pytest.raises(NotAuthenticated):
        control_plane.sessions.authenticate(first.session)
    assert control_plane.sessions.authenticate(second.session).account.email == other
    revoked_by = [actor for event, actor in events_of(control_plane) if event == "session.revoked"]
    assert revoked_by == [f"user:{get_account(control_plane).user_id}"]


def test_a_wrong_password_leaves_the_session_of_the_browser(control_plane: ControlPlane) -> None:
    first = sign_in_at_home(control_plane)
    for session in (first.session, "made up"):
        with pytest.raises(InvalidCredentials):
            sign_in(control_plane, EMAIL, "wrong", structs.replace(HOME, session=session))
    control_plane.sessions.authenticate(first.session)


def test_a_user_of_an_open_batch_cannot_sign_in(control_plane: ControlPlane) -> None:
    batch = control_plane.batches.open(OPERATOR, "open", "fail")
    control_plane.batches.reserve(
        OPERATOR, batch.batch_id, 0, [checked_user("open@example.com", PASSWORD)]
    )
    control_plane.batches.hash(OPERATOR, batch.batch_id, [(0, PASSWORD)])
    with pytest.raises(InvalidCredentials):
        sign_in_at_home(control_plane, "open@example.com")


def test_only_the_right_password_shows_that_an_account_is_suspended(
    control_plane: ControlPlane,
) -> None:
    suspend(control_plane)
    with pytest.raises(InvalidCredentials, match="email or password is wrong"):
        sign_in_at_home(control_plane, password="wrong password")
    with pytest.raises(InvalidCredentials, match="suspended"):
        sign_in_at_home(control_plane)


def test_a_denied_sign_in_is_recorded_with_the_id_of_the_account(
    control_plane: ControlPlane,
) -> None:
    with pytest.raises(InvalidCredentials):
        sign_in_at_home(control_plane, password="wrong password")
    control_plane.password_login.close()
    assert ("access.denied", f"user:{get_account(control_plane).user_id}") in events_of(
        control_plane
    )


def test_a_hash_with_old_parameters_is_replaced_at_the_next_sign_in(
    control_plane: ControlPlane,
) -> None:
    (weaker,) = Hasher(Profile(memory_kib=9, passes=1)).hash([PASSWORD])
    with control_plane.store.write() as tx:
        tx.accounts.set_password(get_account(control_plane).user_id, weaker, None)
    sign_in_at_home(control_plane)
    assert "m=8," in str(get_account(control_plane).password_hash)
    assert get_account(control_plane).password_set_at is None
    sign_in_at_home(control_plane)


def test_a_sign_in_that_replaces_the_hash_goes_on_with_the_second_factor(
    control_plane: ControlPlane,
) -> None:
    user_id = get_account(control_plane).user_id
    seed = add_app(control_plane, user_id)
    (weaker,) = Hasher(Profile(memory_kib=9, passes=1)).hash([PASSWORD])
    with control_plane.store.write() as tx:
        tx.accounts.set_password(user_id, weaker, None)
    login, second = control_plane.password_login, control_plane.second_factor_login

    begun = login.login(login.prepare(EMAIL, PASSWORD, HOME))

    assert isinstance(begun, HalfSignIn)
    assert get_account(control_plane).password_hash != weaker
    assert (
        completed(second.by_code(second.pending(begun.secret).half, code_shown(seed), HOME)).user_id
        == user_id
    )


@pytest.mark.parametrize("password", ["jane-1234", "j.a.n.e.77", "aaaaaaaaa", "12345678", "short"])
def test_a_password_that_a_newer_rule_refuses_still_signs_in(
    control_plane: ControlPlane, password: str
) -> None:
    (stored,) = Hasher(Profile(memory_kib=16, passes=1)).hash([password])
    with control_plane.store.write() as tx:
        tx.accounts.set_password(get_account(control_plane).user_id, stored, None)
    sign_in_at_home(control_plane, password=password)


def test_passwords_are_disabled_where_sso_is_the_only_sign_in_method(
    store_deployment: Deployment,
) -> None:
    with closing(
        store_deployment.control_plane(structs.replace(POLICY, sso_only=True))
    ) as control_plane:
        calls: list[Callable[[], object]] = [
            lambda: sign_in_at_home(control_plane),
            lambda: control_plane.password_changes.link_account("secret"),
            lambda: set_by_link(control_plane, "secret", CHOSEN, HOME),
        ]
        for call in calls:
            with pytest.raises(NotPermitted, match="SSO"):
                call()


def test_each_of_several_concurrent_sign_ins_gets_its_own_result(
    control_plane: ControlPlane,
) -> None:
    kim, lee = "kim@example.com", "lee@example.com"
    users = [checked_user(email, PASSWORD) for email in (kim, lee)]
    control_plane.batches.create(OPERATOR, "more", users, "fail", passwords_for(users))
    with control_plane.store.write() as tx:
        tx.accounts.set_suspended(get_account(control_plane, lee).user_id, tx.now())
    answers = sign_in_at_once(
        control_plane,
        (EMAIL, PASSWORD, HOME),
        (kim, "wrong", HOME),
        ("nobody@example.com", PASSWORD, HOME),
        (lee, PASSWORD, HOME),
        ("no email", "\ud800", HOME),
        (kim, PASSWORD, HOME),
        (kim, PASSWORD, HOME),
    )
    jane_id, kim_id = get_account(control_plane).user_id, get_account(control_plane, kim).user_id
    wrong, suspended = "email or password is wrong", "this account is suspended"
    expected = [jane_id, wrong, wrong, suspended, wrong, kim_id, kim_id]
    assert [answer.partition(":")[0] for answer in answers] == expected
    assert [count_sessions(control_plane, email) for email in (EMAIL, kim, lee)] == [1, 2, 0]
    control_plane.password_login.close()  # refusals are noted a moment later
    events = [entry.event for entry in control_plane.audit_log.list(0, 100)]
    assert events.count("session.created") == 3


def test_a_password_that_is_changed_while_it_is_verified_is_wrong(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = control_plane.password_changes._hashing.verify

    def meanwhile(password_hash: str | None, password: str) -> bool:
        is_right = verify(password_hash, password)
        set_by_link(control_plane, create_link(control_plane), CHOSEN, HOME)
        return is_right

    monkeypatch.setattr(control_plane.password_changes._hashing, "verify", meanwhile)
    with pytest.raises(InvalidCredentials, match="email or password is wrong"):
        sign_in_at_home(control_plane)
    assert count_sessions(control_plane, EMAIL) == 1  # the link's


def test_a_wrong_password_does_not_wait_for_a_write(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        # The thread that notes refusals a moment later may try.
        assert current_thread() is not main_thread(), "there is nothing to write"
        raise StoreUnavailable("not now")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(control_plane.store, "write", fail)
        with pytest.raises(InvalidCredentials, match="email or password is wrong"):
            sign_in_at_home(control_plane, password="wrong")


def test_two_concurrent_sign_ins_with_a_hash_of_old_parameters_both_succeed(
    control_plane: ControlPlane,
) -> None:
    old = Hasher(Profile(memory_kib=16, passes=1)).hash([PASSWORD])[0]
    with control_plane.store.write() as tx:
        tx.accounts.set_password(get_account(control_plane).user_id, old, None)
    jane = get_account(control_plane).user_id
    assert sign_in_at_once(control_plane, (EMAIL, PASSWORD, HOME), (EMAIL, PASSWORD, HOME)) == [
        jane,
        jane,
    ]
    assert get_account(control_plane).password_hash != old
    sign_in_at_home(control_plane)


def test_a_session_without_its_audit_entry_is_not_created(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_entries = entries.append_entries

    def append_and_fail(tx: Any, new: Sequence[Entry]) -> None:
        append_entries(tx, new)
        raise StoreUnavailable("the disk is full")

    for module in (entries, sessions):
        monkeypatch.setattr(module, "append_entries", append_and_fail)
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        sign_in_at_home(control_plane)
    assert count_sessions(control_plane, EMAIL) == 0


@pytest.mark.parametrize("method", ["read", "write"])
def test_a_failing_database_fails_the_sign_in(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(**_: object) -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(control_plane.store, method, fail)
        with pytest.raises(StoreUnavailable):
            sign_in_at_home(control_plane)
    assert count_sessions(control_plane, EMAIL) == 0
