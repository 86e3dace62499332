"""Sessions: how they expire, and how users revoke them."""

import re
from base64 import urlsafe_b64decode
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from typing import Any

import pytest
from msgspec import structs
from tests.store.contract.steps import session_row
from tests.support.callers import OPERATOR, session_caller
from tests.support.databases.stored_data import execute_sql
from tests.support.sign_in.sign_ins import (
    CHOSEN,
    EMAIL,
    HOME,
    create_link,
    get_account,
    let_time_pass,
    set_by_link,
    sign_in,
    sign_in_at_home,
    suspend,
)
from tests.support.users import PASSWORD, checked_user

from anyscale.errors import (
    NotAuthenticated,
    NotFound,
    TooManyFailedLogins,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.audit import entries
from anyscale.server.core.audit.entries import Entry
from anyscale.server.core.login import sessions
from anyscale.server.core.login.sessions import ClientInfo
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.session_lifetime import ABSOLUTE_LIMIT, DEVICE_LIMIT, IDLE_LIMIT, is_live

_DAY = 24 * 60 * 60 * 1000


_TABLES = ("users", "sessions", "devices", "links", "audit")


def use(control_plane: ControlPlane, session: str) -> None:
    """Do with a session what each request does."""
    user = control_plane.sessions.authenticate(session)
    if user.is_touch_due:
        control_plane.sessions.touch(user)


def test_a_session_expires_when_it_is_not_used(control_plane: ControlPlane) -> None:
    session = sign_in_at_home(control_plane).session
    let_time_pass(control_plane, IDLE_LIMIT - 60_000)
    use(control_plane, session)
    let_time_pass(control_plane, IDLE_LIMIT - 60_000)
    use(control_plane, session)
    let_time_pass(control_plane, IDLE_LIMIT)
    with pytest.raises(NotAuthenticated):
        control_plane.sessions.authenticate(session)


def test_a_session_expires_however_much_it_is_used(control_plane: ControlPlane) -> None:
    session = sign_in_at_home(control_plane).session
    for _ in range(ABSOLUTE_LIMIT // (IDLE_LIMIT // 2) - 1):
        let_time_pass(control_plane, IDLE_LIMIT // 2)
        use(control_plane, session)
    let_time_pass(control_plane, IDLE_LIMIT // 2)
    with pytest.raises(NotAuthenticated):
        control_plane.sessions.authenticate(session)


def test_the_limits_are_those_of_the_documents() -> None:
    assert IDLE_LIMIT == _DAY // 2
    assert ABSOLUTE_LIMIT == 7 * _DAY
    assert DEVICE_LIMIT == 180 * _DAY


def test_a_sessionis_live_up_to_each_of_its_limits() -> None:
    used, expires = _DAY, 3 * _DAY
    session = session_row(1, "usr_1", used_at=used, expires_at=expires)
    assert is_live(session, used + IDLE_LIMIT - 1)
    assert not is_live(session, used + IDLE_LIMIT)
    session = structs.replace(session, used_at=expires)
    assert is_live(session, expires - 1)
    assert not is_live(session, expires)


def test_the_last_use_of_a_session_is_written_once_a_minute(control_plane: ControlPlane) -> None:
    user = control_plane.sessions.authenticate(sign_in_at_home(control_plane).session)
    used = user.session.used_at
    assert not structs.replace(user, at=used + 59_999).is_touch_due
    assert structs.replace(user, at=used + 60_000).is_touch_due
    control_plane.sessions.touch(structs.replace(user, at=used + 60_000))
    assert control_plane.sessions.list(user)[0].used_at == used + 60_000


def test_a_session_has_the_beginning_of_the_user_agent(control_plane: ControlPlane) -> None:
    client = ClientInfo("192.0.2.1", f"a\x1b\n{'b' * 300}")
    session = sign_in(control_plane, EMAIL, PASSWORD, client).session
    stored = control_plane.sessions.authenticate(session).session
    assert (stored.address, stored.user_agent) == ("192.0.2.1", f"a{'b' * 197}")
    assert stored.created_at == stored.used_at == stored.expires_at - ABSOLUTE_LIMIT
    assert re.fullmatch(f"ses_{stored.created_at:012x}[0-9a-f]{{12}}", stored.session_id)


def test_revoked_sessions_are_in_the_audit_log(control_plane: ControlPlane) -> None:
    user_id = get_account(control_plane).user_id
    user, other, _ = (session_caller(control_plane, user_id) for _ in range(3))
    control_plane.sessions.revoke(user, other.session.session_id)
    for count in (1, 0):
        assert control_plane.sessions.revoke_others(user) == count
    entries = [(e.event, e.subject, e.data) for e in control_plane.audit_log.list(0, 100)]
    assert entries[-3:] == [
        ("session.created", entries[-3][1], '{"auth_method":"link","methods":""}'),
        ("session.revoked", other.session.session_id, "{}"),
        ("sessions.revoked", user.account.user_id, '{"count":1}'),
    ]


def test_sessions_of_a_suspended_account_are_refused(control_plane: ControlPlane) -> None:
    session = sign_in_at_home(control_plane).session
    suspend(control_plane)
    with pytest.raises(NotAuthenticated):
        control_plane.sessions.authenticate(session)


def test_a_user_revokes_own_sessions_and_none_of_another_user(
    control_plane: ControlPlane,
) -> None:
    set_by_link(control_plane, create_link(control_plane, "none@example.com"), CHOSEN, HOME)
    stranger = control_plane.sessions.authenticate(
        sign_in_at_home(control_plane, "none@example.com", CHOSEN).session
    )
    first = set_by_link(control_plane, create_link(control_plane), CHOSEN, HOME).session
    second, third = (sign_in_at_home(control_plane, password=CHOSEN).session for _ in range(2))
    user = control_plane.sessions.authenticate(third)
    assert user.session in control_plane.sessions.list(user)
    revoked = control_plane.sessions.authenticate(first).session.session_id
    with pytest.raises(NotFound):
        control_plane.sessions.revoke(stranger, revoked)
    control_plane.sessions.revoke(user, revoked)
    with pytest.raises(NotAuthenticated):
        control_plane.sessions.authenticate(first)
    control_plane.sessions.authenticate(second)
    assert control_plane.sessions.revoke_others(user) == 1
    with pytest.raises(NotAuthenticated):
        control_plane.sessions.authenticate(second)
    control_plane.sessions.authenticate(third)
    assert len(control_plane.sessions.list(stranger)) == 2


def test_expired_sessions_and_links_are_deleted(control_plane: ControlPlane) -> None:
    sign_in_at_home(control_plane)
    let_time_pass(control_plane, IDLE_LIMIT)
    sign_in_at_home(control_plane)
    create_link(control_plane, days=0)
    control_plane.clean_up()
    with control_plane.store.read() as tx:
        assert len(tx.sessions.list(get_account(control_plane).user_id)) == 1
        assert tx.links.get(hash_of("secret")) is None


def test_a_session_has_a_secret_of_256_random_bits(control_plane: ControlPlane) -> None:
    secrets = {sign_in_at_home(control_plane).session for _ in range(5)}
    assert len(secrets) == 5
    assert {len(urlsafe_b64decode(f"{secret}=")) for secret in secrets} == {32}


def test_no_secret_is_stored_or_shown(control_plane: ControlPlane) -> None:
    signed_in = sign_in_at_home(control_plane)
    user = control_plane.sessions.authenticate(signed_in.session)
    with control_plane.store.read() as tx:
        kept = [str(execute_sql(tx, f"select * from {table}").fetchall()) for table in _TABLES]
    shown = [repr(signed_in), repr(user), repr(ClientInfo("a", "b", signed_in.device))]
    for secret in (signed_in.session, signed_in.device, PASSWORD):
        assert not any(secret in text for text in kept + shown)
    assert "argon2" not in repr(user)


@pytest.mark.both_stores
def test_signing_out_during_another_sign_in_in_the_browser_does_not_deadlock(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    kim = "kim@example.com"
    control_plane.batches.create(
        OPERATOR, "more", [checked_user(kim, PASSWORD)], "fail", [(0, PASSWORD)]
    )
    before = sign_in(control_plane, kim, PASSWORD, HOME)
    user = control_plane.sessions.authenticate(before.session)
    has_started, has_revoked, append_entries = Event(), Event(), entries.append_entries

    def append_in_turn(tx: Any, new: Sequence[Entry]) -> None:
        is_leaving = [entry.event for entry in new] == ["session.revoked"]
        if is_leaving:
            has_revoked.set()  # and waits for the audit log, which the other one has locked
        append_entries(tx, new)
        if not is_leaving:
            has_started.set()
            has_revoked.wait(0.5)  # in vain, if signing out waits for the account

    def leave() -> None:
        assert has_started.wait(30)
        with suppress(NotAuthenticated):
            control_plane.sessions.revoke(user, user.session.session_id)

    for module in (entries, sessions):
        monkeypatch.setattr(module, "append_entries", append_in_turn)
    with ThreadPoolExecutor(1) as pool:
        leaving = pool.submit(leave)
        there = structs.replace(HOME, session=before.session)
        assert (
            sign_in(control_plane, EMAIL, PASSWORD, there).user_id
            == get_account(control_plane).user_id
        )
        assert leaving.result() is None


def test_one_session_more_than_fifty_revokes_the_oldest(control_plane: ControlPlane) -> None:
    results = [sign_in_at_home(control_plane) for _ in range(2)]
    let_time_pass(control_plane, 1_000)  # else several may be of one millisecond
    results += [sign_in_at_home(control_plane) for _ in range(50)]
    for number, result in enumerate(results):
        if number < 2:
            with pytest.raises(NotAuthenticated):
                control_plane.sessions.authenticate(result.session)
        else:
            control_plane.sessions.authenticate(result.session)
    caller = control_plane.sessions.authenticate(results[-1].session)
    assert len(control_plane.sessions.list(caller)) == 50
    events = [entry.event for entry in control_plane.audit_log.list(0, 1_000)]
    assert events.count("session.revoked") == 2
    assert events.count("session.created") == 52


def test_an_account_has_sixty_sign_ins_a_minute(
    control_plane: ControlPlane, many_sign_ins: pytest.MonkeyPatch
) -> None:
    many_sign_ins.undo()
    for _ in range(60):
        sign_in_at_home(control_plane)
    with pytest.raises(TooManyFailedLogins, match="too many sign-ins: wait"):
        sign_in_at_home(control_plane)
    with control_plane.store.read() as tx:
        counted = execute_sql(tx, "select count(*) from audit where event = 'session.created'")
        assert counted.fetchone()[0] == 60
