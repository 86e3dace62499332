"""Signing in by password, changing it, and setting it by a one-time link, on both stores."""

from base64 import urlsafe_b64decode
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from threading import Barrier, Event, current_thread, main_thread
from typing import Any

import pytest
from msgspec import structs
from tests.support.control_planes import Deployment
from tests.support.stored_data import execute_sql
from tests.support.users import PASSWORD, POLICY, checked_user, passwords_for

from anyscale.errors import (
    AnyscaleError,
    InvalidCredentials,
    LinkInvalid,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    PasswordChangeNeeded,
    PasswordExpired,
    PasswordRefused,
    StoreUnavailable,
    TooManyFailedLogins,
)
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.audit import log as audit
from anyscale.server.core.authorization import Principal
from anyscale.server.core.hashing.argon2id import Hasher, Profile
from anyscale.server.core.login.password_login import LoginResult
from anyscale.server.core.login.sessions import (
    ABSOLUTE_LIMIT,
    DEVICE_LIMIT,
    IDLE_LIMIT,
    ClientInfo,
    create_session,
    lock_account,
)
from anyscale.server.core.secrets import hash_of
from anyscale.server.store.records import AccountRecord, LinkRecord

EMAIL = "jane@example.com"
CHOSEN = "a password of her own"
HOME = ClientInfo("192.0.2.1", "Firefox")
_DAY = 24 * 60 * 60 * 1000


@pytest.fixture
def plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    with closing(store_deployment.control_plane()) as plane:
        users = [checked_user(EMAIL, PASSWORD), checked_user("none@example.com")]
        plane.batches.create("key", users, "fail", Principal("local:test"), [(0, PASSWORD)])
        yield plane


def account(plane: ControlPlane, email: str = EMAIL) -> AccountRecord:
    with plane.store.read() as tx:
        found = tx.accounts.find(email)
    assert found
    return found


def by_password(plane: ControlPlane, email: str, password: str, browser: ClientInfo) -> LoginResult:
    login = plane.passwords.password_login
    return login.login(login.prepare(email, password, browser))


def at_home(plane: ControlPlane, email: str = EMAIL, password: str = PASSWORD) -> LoginResult:
    return by_password(plane, email, password, HOME)


def link(plane: ControlPlane, email: str = EMAIL, days: int = 1) -> str:
    with plane.store.write() as tx:
        now = tx.now()
        user_id = account(plane, email).user_id
        tx.links.replace(
            LinkRecord(user_id, hash_of("secret"), "local:test", now, now + days * _DAY)
        )
    return "secret"


def later(plane: ControlPlane, milliseconds: int) -> None:
    """Let time pass for what is kept, by moving that into the past."""
    with plane.store.write() as tx:
        for column in ("created_at", "used_at", "expires_at"):
            execute_sql(tx, f"update sessions set {column} = {column} - ?", (milliseconds,))
        execute_sql(tx, "update batches set published_at = published_at - ?", (milliseconds,))
        execute_sql(tx, "update devices set used_at = used_at - ?", (milliseconds,))


def events(plane: ControlPlane) -> list[tuple[str, str]]:
    return [(entry.event, entry.actor) for entry in plane.audit_log.list(0, 1_000)]


def suspend(plane: ControlPlane) -> None:
    with plane.store.write() as tx:
        tx.accounts.set_suspended(account(plane).user_id, tx.now())


def test_a_new_control_plane_has_no_account_and_no_token(store_deployment: Deployment) -> None:
    with closing(store_deployment.control_plane()) as plane:
        assert plane.tokens.all() == []
        assert plane.users.page(email="", name="", after="", limit=1) == []


# By password


@pytest.mark.parametrize("email", [EMAIL, "JANE@Example.COM", "jane@EXAMPLE.com"])
def test_the_right_password_signs_in_in_any_spelling_of_the_email(
    plane: ControlPlane, email: str
) -> None:
    signed_in = at_home(plane, email)
    member = plane.sessions.authenticate(signed_in.session)
    assert member.account.email == EMAIL
    assert member.session.auth_method == "password"
    assert (member.session.address, member.session.user_agent) == ("192.0.2.1", "Firefox")
    assert ("session.created", member.actor) in events(plane)


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
def test_whatever_is_wrong_gets_the_same_answer(
    plane: ControlPlane, email: str, password: str
) -> None:
    with pytest.raises(InvalidCredentials, match=r"^email or password is wrong$"):
        at_home(plane, email, password)


def test_signing_in_ends_the_session_that_the_browser_had(plane: ControlPlane) -> None:
    first, elsewhere = at_home(plane), at_home(plane)
    again = structs.replace(HOME, session=first.session)

    second = by_password(plane, EMAIL, PASSWORD, again)

    with pytest.raises(NotAuthenticated):
        plane.sessions.authenticate(first.session)
    for kept in (elsewhere, second):
        plane.sessions.authenticate(kept.session)
    ended = [actor for event, actor in events(plane) if event == "session.revoked"]
    assert ended == [f"user:{account(plane).user_id}"]


def test_signing_in_records_that_the_session_of_the_browser_has_expired(
    plane: ControlPlane,
) -> None:
    first = at_home(plane)
    later(plane, IDLE_LIMIT + 60_000)
    by_password(plane, EMAIL, PASSWORD, structs.replace(HOME, session=first.session))
    recorded = [event for event, _ in events(plane)]
    assert "session.expired" in recorded
    assert "session.revoked" not in recorded


def test_a_session_of_somebody_else_in_the_browser_ends_as_well(plane: ControlPlane) -> None:
    first = at_home(plane)
    again = structs.replace(HOME, session=first.session)
    other = "none@example.com"
    with plane.store.write() as tx:
        now, user_id = tx.now(), account(plane, other).user_id
        tx.links.replace(LinkRecord(user_id, hash_of("link"), "local:test", now, now + _DAY))

    second = plane.passwords.by_link("link", CHOSEN, again)

    with pytest.raises(NotAuthenticated):
        plane.sessions.authenticate(first.session)
    assert plane.sessions.authenticate(second.session).account.email == other
    ended = [actor for event, actor in events(plane) if event == "session.revoked"]
    assert ended == [f"user:{account(plane).user_id}"]


def test_two_who_sign_in_by_link_in_each_others_browser_at_once_both_get_in(
    plane: ControlPlane,
) -> None:
    people = [account(plane), account(plane, "none@example.com")]
    for number in range(15):
        secrets = [f"{number} {person.user_id}" for person in people]
        with plane.store.write() as tx:
            now = tx.now()
            for person, secret in zip(people, secrets, strict=True):
                link = LinkRecord(person.user_id, hash_of(secret), "local:test", now, now + _DAY)
                tx.links.replace(link)
            locked = [lock_account(tx, person.user_id, HOME) for person in people]
            sessions = [create_session(tx, "link", one).session for one in locked if one]
        start = Barrier(3)

        def enter(secret: str, session: str, number: int = number, start: Barrier = start) -> None:
            start.wait()
            browser = structs.replace(HOME, session=session)
            plane.passwords.by_link(secret, f"{CHOSEN} {number} {secret}", browser)

        def leave(session: str, start: Barrier = start) -> None:
            member = plane.sessions.authenticate(session)
            start.wait()
            with suppress(NotFound):
                plane.sessions.revoke(member, member.session.session_id)

        with ThreadPoolExecutor(3) as pool:
            entering = pool.map(enter, secrets, reversed(sessions))
            leaving = pool.submit(leave, sessions[0])
            assert list(entering) == [None, None]
            assert leaving.result() is None


def test_whoever_is_refused_keeps_the_session_of_the_browser(plane: ControlPlane) -> None:
    first = at_home(plane)
    for session in (first.session, "made up"):
        with pytest.raises(InvalidCredentials):
            by_password(plane, EMAIL, "wrong", structs.replace(HOME, session=session))
    plane.sessions.authenticate(first.session)


def test_a_user_of_an_open_batch_is_nobody_yet(plane: ControlPlane) -> None:
    batch = plane.batches.open("open", "fail", Principal("local:test"))
    plane.batches.claim(batch.batch_id, 0, [checked_user("open@example.com", PASSWORD)])
    plane.batches.hash(batch.batch_id, [(0, PASSWORD)])
    with pytest.raises(InvalidCredentials):
        at_home(plane, "open@example.com")


def test_a_suspended_account_is_told_so_to_who_knows_its_password_alone(
    plane: ControlPlane,
) -> None:
    suspend(plane)
    with pytest.raises(InvalidCredentials, match="email or password is wrong"):
        at_home(plane, password="wrong password")
    with pytest.raises(InvalidCredentials, match="suspended"):
        at_home(plane)


def test_a_refusal_is_in_the_trail_under_the_id_of_whose_account_it_was(
    plane: ControlPlane,
) -> None:
    with pytest.raises(InvalidCredentials):
        at_home(plane, password="wrong password")
    plane.passwords.close()
    assert ("access.denied", f"user:{account(plane).user_id}") in events(plane)


def test_a_hash_of_weaker_parameters_is_made_anew_when_its_password_is_known(
    plane: ControlPlane,
) -> None:
    (weaker,) = Hasher(Profile(memory_kib=9, passes=1)).hash([PASSWORD])
    with plane.store.write() as tx:
        tx.accounts.set_password(account(plane).user_id, weaker, None)
    at_home(plane)
    assert "m=8," in str(account(plane).password_hash)
    assert account(plane).password_set_at is None
    at_home(plane)


def test_where_sso_is_the_only_way_there_are_no_passwords(store_deployment: Deployment) -> None:
    with closing(store_deployment.control_plane(structs.replace(POLICY, sso_only=True))) as plane:
        calls: list[Callable[[], object]] = [
            lambda: at_home(plane),
            lambda: plane.passwords.link_account("secret"),
            lambda: plane.passwords.by_link("secret", CHOSEN, HOME),
        ]
        for call in calls:
            with pytest.raises(NotPermitted, match="SSO"):
                call()


# The password that an administrator gave


def test_who_signs_in_by_a_given_password_must_change_it_first(plane: ControlPlane) -> None:
    signed_in = at_home(plane)
    assert signed_in.must_change_password
    member = plane.sessions.authenticate(signed_in.session)
    with pytest.raises(PasswordChangeNeeded):
        member.require_own_password()

    changed = plane.passwords.change_password(member, PASSWORD, CHOSEN, HOME)

    assert not changed.must_change_password
    plane.sessions.authenticate(changed.session).require_own_password()
    assert not at_home(plane, password=CHOSEN).must_change_password
    with pytest.raises(InvalidCredentials):
        at_home(plane)


def test_a_given_password_ends_after_its_days_and_a_chosen_one_does_not(
    plane: ControlPlane,
) -> None:
    later(plane, 29 * _DAY)
    signed_in = at_home(plane)
    later(plane, 2 * _DAY)
    with pytest.raises(PasswordExpired, match="link"):
        at_home(plane)
    with pytest.raises(InvalidCredentials):
        at_home(plane, password="wrong password")
    signed_in = plane.passwords.by_link(link(plane), CHOSEN, HOME)
    assert not signed_in.must_change_password
    later(plane, 1_000 * _DAY)
    at_home(plane, password=CHOSEN)


# Changing it


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("abcdefg", "shorter"),
        ("x" * 1_025, "longer"),
        ("password1234", "common"),
        ("jane has a password", "own name"),
        (PASSWORD, "that you have"),
        ("unspeakable \ud800", "nobody can type"),
    ],
)
def test_a_new_password_is_held_against_the_policy(
    plane: ControlPlane, new: str, said: str
) -> None:
    member = plane.sessions.authenticate(at_home(plane).session)
    with pytest.raises(PasswordRefused, match=said) as refused:
        plane.passwords.change_password(member, PASSWORD, new, HOME)
    assert new not in str(refused.value)
    at_home(plane)


def test_changing_takes_the_current_password(plane: ControlPlane) -> None:
    member = plane.sessions.authenticate(at_home(plane).session)
    with pytest.raises(InvalidCredentials, match="current password"):
        plane.passwords.change_password(member, "wrong password", CHOSEN, HOME)


def test_changing_ends_every_session_and_begins_a_new_one(plane: ControlPlane) -> None:
    elsewhere, here = at_home(plane).session, at_home(plane).session
    member = plane.sessions.authenticate(here)
    changed = plane.passwords.change_password(member, PASSWORD, CHOSEN, HOME)
    for old in (elsewhere, here):
        with pytest.raises(NotAuthenticated):
            plane.sessions.authenticate(old)
    member = plane.sessions.authenticate(changed.session)
    assert len(plane.sessions.list(member)) == 1
    assert ("password.changed", member.actor) in events(plane)


def test_of_two_changes_at_once_one_is_done(plane: ControlPlane) -> None:
    member = plane.sessions.authenticate(at_home(plane).session)

    def change(number: int) -> LoginResult | AnyscaleError:
        try:
            return plane.passwords.change_password(member, PASSWORD, f"{CHOSEN} {number}", HOME)
        except (InvalidCredentials, NotAuthenticated) as error:
            return error

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(change, range(4)))
    done = [number for number, answer in enumerate(answers) if isinstance(answer, LoginResult)]
    assert len(done) == 1
    at_home(plane, password=f"{CHOSEN} {done[0]}")


# By a link


def test_a_link_sets_a_password_and_signs_in_and_works_once(plane: ControlPlane) -> None:
    old = at_home(plane).session
    secret = link(plane)
    assert plane.passwords.link_account(secret).email == EMAIL
    signed_in = plane.passwords.by_link(secret, CHOSEN, HOME)
    assert plane.sessions.authenticate(signed_in.session).session.auth_method == "link"
    assert not signed_in.must_change_password
    at_home(plane, password=CHOSEN)
    for call in (plane.passwords.link_account, lambda s: plane.passwords.by_link(s, CHOSEN, HOME)):
        with pytest.raises(LinkInvalid):
            call(secret)
    with pytest.raises(NotAuthenticated):
        plane.sessions.authenticate(old)


def test_a_link_gives_a_way_in_to_who_had_none(plane: ControlPlane) -> None:
    plane.passwords.by_link(link(plane, "none@example.com"), CHOSEN, HOME)
    at_home(plane, "none@example.com", CHOSEN)


def test_a_refused_password_leaves_the_link_good(plane: ControlPlane) -> None:
    secret = link(plane)
    with pytest.raises(PasswordRefused):
        plane.passwords.by_link(secret, "short", HOME)
    plane.passwords.by_link(secret, CHOSEN, HOME)


def test_a_link_that_is_too_old_or_unknown_or_of_a_suspended_account_is_none(
    plane: ControlPlane,
) -> None:
    with pytest.raises(LinkInvalid):
        plane.passwords.by_link("unknown", CHOSEN, HOME)
    with pytest.raises(LinkInvalid):
        plane.passwords.by_link(link(plane, days=0), CHOSEN, HOME)
    secret = link(plane)
    suspend(plane)
    with pytest.raises(LinkInvalid):
        plane.passwords.by_link(secret, CHOSEN, HOME)


def test_of_eight_who_use_one_link_at_once_one_gets_in(plane: ControlPlane) -> None:
    secret = link(plane)

    def use(number: int) -> bool:
        try:
            plane.passwords.by_link(secret, f"{CHOSEN} {number}", HOME)
        except LinkInvalid:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(8))) == 1


# Sessions


def use(plane: ControlPlane, session: str) -> None:
    """Do with a session what each request does."""
    member = plane.sessions.authenticate(session)
    if member.is_touch_due:
        plane.sessions.touch(member)


def test_a_session_ends_when_it_is_not_used(plane: ControlPlane) -> None:
    session = at_home(plane).session
    later(plane, IDLE_LIMIT - 60_000)
    use(plane, session)
    later(plane, IDLE_LIMIT - 60_000)
    use(plane, session)
    later(plane, IDLE_LIMIT)
    with pytest.raises(NotAuthenticated):
        plane.sessions.authenticate(session)


def test_a_session_ends_however_much_it_is_used(plane: ControlPlane) -> None:
    session = at_home(plane).session
    for _ in range(ABSOLUTE_LIMIT // (IDLE_LIMIT // 2) - 1):
        later(plane, IDLE_LIMIT // 2)
        use(plane, session)
    later(plane, IDLE_LIMIT // 2)
    with pytest.raises(NotAuthenticated):
        plane.sessions.authenticate(session)


def test_sessions_of_a_suspended_account_are_over(plane: ControlPlane) -> None:
    session = at_home(plane).session
    suspend(plane)
    with pytest.raises(NotAuthenticated):
        plane.sessions.authenticate(session)


def test_a_member_ends_one_of_her_sessions_or_all_others_and_nobody_elses(
    plane: ControlPlane,
) -> None:
    plane.passwords.by_link(link(plane, "none@example.com"), CHOSEN, HOME)
    stranger = plane.sessions.authenticate(at_home(plane, "none@example.com", CHOSEN).session)
    first, second, third = (at_home(plane).session for _ in range(3))
    member = plane.sessions.authenticate(third)
    assert member.session in plane.sessions.list(member)
    ended = plane.sessions.authenticate(first).session.session_id
    with pytest.raises(NotFound):
        plane.sessions.revoke(stranger, ended)
    plane.sessions.revoke(member, ended)
    with pytest.raises(NotAuthenticated):
        plane.sessions.authenticate(first)
    plane.sessions.authenticate(second)
    assert plane.sessions.revoke_others(member) == 1
    with pytest.raises(NotAuthenticated):
        plane.sessions.authenticate(second)
    plane.sessions.authenticate(third)
    assert len(plane.sessions.list(stranger)) == 2


def test_what_is_over_is_forgotten(plane: ControlPlane) -> None:
    at_home(plane)
    later(plane, IDLE_LIMIT)
    at_home(plane)
    link(plane, days=0)
    plane.clean_up()
    with plane.store.read() as tx:
        assert len(tx.sessions.list(account(plane).user_id)) == 1
        assert tx.links.get(hash_of("secret")) is None


def test_a_session_is_known_by_256_random_bits(plane: ControlPlane) -> None:
    secrets = {at_home(plane).session for _ in range(5)}
    assert len(secrets) == 5
    assert {len(urlsafe_b64decode(f"{secret}=")) for secret in secrets} == {32}


def test_no_secret_is_kept_or_shown(plane: ControlPlane) -> None:
    signed_in = at_home(plane)
    member = plane.sessions.authenticate(signed_in.session)
    with plane.store.read() as tx:
        kept = [str(execute_sql(tx, f"select * from {table}").fetchall()) for table in _TABLES]
    shown = [repr(signed_in), repr(member), repr(ClientInfo("a", "b", signed_in.device))]
    for secret in (signed_in.session, signed_in.device, PASSWORD):
        assert not any(secret in text for text in kept + shown)
    assert "argon2" not in repr(member)


_TABLES = ("users", "sessions", "devices", "links", "audit")


# Several who come at once


def together(plane: ControlPlane, *sign_ins: tuple[str, str, ClientInfo]) -> list[str]:
    """Sign in at the same time; return the user id or the error's message of each, in order."""
    login = plane.passwords.password_login
    start = Barrier(len(sign_ins))

    def sign_in(sign_in: tuple[str, str, ClientInfo]) -> str:
        try:
            attempt = login.prepare(*sign_in)
            start.wait()
            return login.login(attempt).user_id
        except AnyscaleError as error:
            return str(error)

    with ThreadPoolExecutor(len(sign_ins)) as pool:
        return list(pool.map(sign_in, sign_ins))


def sessions_of(plane: ControlPlane, email: str) -> int:
    user_id = account(plane, email).user_id
    with plane.store.read() as tx:
        return len(tx.sessions.list(user_id))


def test_each_of_several_gets_the_own_answer(plane: ControlPlane) -> None:
    kim, lee = "kim@example.com", "lee@example.com"
    users = [checked_user(email, PASSWORD) for email in (kim, lee)]
    plane.batches.create("more", users, "fail", Principal("local:test"), passwords_for(users))
    with plane.store.write() as tx:
        tx.accounts.set_suspended(account(plane, lee).user_id, tx.now())
    answers = together(
        plane,
        (EMAIL, PASSWORD, HOME),
        (kim, "wrong", HOME),
        ("nobody@example.com", PASSWORD, HOME),
        (lee, PASSWORD, HOME),
        ("no email", "\ud800", HOME),
        (kim, PASSWORD, HOME),
        (kim, PASSWORD, HOME),
    )
    jane_id, kim_id = account(plane).user_id, account(plane, kim).user_id
    wrong, suspended = "email or password is wrong", "this account is suspended"
    expected = [jane_id, wrong, wrong, suspended, wrong, kim_id, kim_id]
    assert [answer.partition(":")[0] for answer in answers] == expected
    assert [sessions_of(plane, email) for email in (EMAIL, kim, lee)] == [1, 2, 0]
    plane.passwords.close()  # refusals are noted a moment later
    events = [entry.event for entry in plane.audit_log.list(0, 100)]
    assert events.count("session.created") == 3


def test_a_password_that_is_changed_while_it_is_checked_is_wrong(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = plane.passwords._hashing.verify

    def meanwhile(password_hash: str | None, password: str) -> bool:
        is_right = verify(password_hash, password)
        plane.passwords.by_link(link(plane), CHOSEN, HOME)
        return is_right

    monkeypatch.setattr(plane.passwords._hashing, "verify", meanwhile)
    with pytest.raises(InvalidCredentials, match="email or password is wrong"):
        at_home(plane)
    assert sessions_of(plane, EMAIL) == 1  # the link's


def test_a_rate_limit_is_checked_before_the_hash_and_a_known_browser_may_go_on(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    login, device = plane.passwords.password_login, at_home(plane).device
    login.prepare(EMAIL, PASSWORD, HOME)
    assert [failing(plane, HOME) for _ in range(10)] == [InvalidCredentials] * 10
    with pytest.raises(TooManyFailedLogins):
        login.prepare(EMAIL, PASSWORD, HOME)
    login.prepare(EMAIL, PASSWORD, structs.replace(HOME, device=device))


def test_an_attempt_that_waited_is_checked_again_before_its_hash(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = plane.passwords.password_login
    attempt = login.prepare(EMAIL, PASSWORD, HOME)
    assert [failing(plane, HOME) for _ in range(10)] == [InvalidCredentials] * 10
    monkeypatch.setattr(plane.passwords._hashing, "verify", None)
    with pytest.raises(TooManyFailedLogins):
        login.login(attempt)


def test_whoever_is_refused_waits_for_nobody_who_writes(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        # The thread that notes refusals a moment later may try.
        assert current_thread() is not main_thread(), "there is nothing to write"
        raise StoreUnavailable("not now")

    monkeypatch.setattr(plane.store, "write", fail)
    with pytest.raises(InvalidCredentials, match="email or password is wrong"):
        at_home(plane, password="wrong")


def test_who_guesses_several_times_at_once_has_no_more_guesses(plane: ControlPlane) -> None:
    assert [failing(plane, HOME) for _ in range(9)] == [InvalidCredentials] * 9
    guesses = [(EMAIL, f"wrong {number}", HOME) for number in range(4)]
    messages = [message[:8] for message in together(plane, *guesses)]
    assert sorted(messages) == ["email or", "too many", "too many", "too many"]


def test_the_right_password_at_the_limit_tells_nothing(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify = plane.passwords._hashing.verify

    def meanwhile(password_hash: str | None, password: str) -> bool:
        monkeypatch.undo()
        assert [failing(plane, HOME) for _ in range(10)] == [InvalidCredentials] * 10
        return verify(password_hash, password)

    monkeypatch.setattr(plane.passwords._hashing, "verify", meanwhile)
    with pytest.raises(TooManyFailedLogins):
        at_home(plane)


def test_a_hash_of_old_parameters_is_renewed_for_who_comes_twice_at_once(
    plane: ControlPlane,
) -> None:
    old = Hasher(Profile(memory_kib=16, passes=1)).hash([PASSWORD])[0]
    with plane.store.write() as tx:
        tx.accounts.set_password(account(plane).user_id, old, None)
    jane = account(plane).user_id
    assert together(plane, (EMAIL, PASSWORD, HOME), (EMAIL, PASSWORD, HOME)) == [jane, jane]
    assert account(plane).password_hash != old
    at_home(plane)


def test_signing_out_while_another_user_signs_in_there_keeps_neither_waiting(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    kim = "kim@example.com"
    plane.batches.create(
        "more", [checked_user(kim, PASSWORD)], "fail", Principal("local:test"), [(0, PASSWORD)]
    )
    before = by_password(plane, kim, PASSWORD, HOME)
    member = plane.sessions.authenticate(before.session)
    has_begun, has_ended, append_all = Event(), Event(), audit.append_all

    def meet(tx: Any, entries: Sequence[audit.Entry]) -> None:
        is_leaving = [entry.event for entry in entries] == ["session.revoked"]
        if is_leaving:
            has_ended.set()  # and waits for the audit log, which the other one has locked
        append_all(tx, entries)
        if not is_leaving:
            has_begun.set()
            has_ended.wait(0.5)  # in vain, if signing out waits for the account

    def leave() -> None:
        assert has_begun.wait(10)
        with suppress(NotFound):
            plane.sessions.revoke(member, member.session.session_id)

    monkeypatch.setattr(audit, "append_all", meet)
    with ThreadPoolExecutor(1) as pool:
        leaving = pool.submit(leave)
        there = structs.replace(HOME, session=before.session)
        assert by_password(plane, EMAIL, PASSWORD, there).user_id == account(plane).user_id
        assert leaving.result() is None


def test_a_session_whose_audit_entry_cannot_be_written_is_not_created(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    append_all = audit.append_all

    def append_and_fail(tx: Any, entries: Sequence[audit.Entry]) -> None:
        append_all(tx, entries)
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(audit, "append_all", append_and_fail)
    with pytest.raises(StoreUnavailable, match="the disk is full"):
        at_home(plane)
    assert sessions_of(plane, EMAIL) == 0


@pytest.mark.parametrize("method", ["read", "write"])
def test_a_database_that_fails_refuses_the_sign_in(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail() -> None:
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(plane.store, method, fail)
        with pytest.raises(StoreUnavailable):
            at_home(plane)
    assert sessions_of(plane, EMAIL) == 0


# Who guesses


def failing(plane: ControlPlane, browser: ClientInfo, email: str = EMAIL) -> type[AnyscaleError]:
    try:
        by_password(plane, email, "wrong password", browser)
    except (InvalidCredentials, TooManyFailedLogins) as error:
        return type(error)
    raise AssertionError("the wrong password was right")


def test_who_guesses_at_an_account_is_stopped_and_the_right_person_elsewhere_is_not(
    plane: ControlPlane,
) -> None:
    stranger = ClientInfo("203.0.113.7", "curl")
    answers = [failing(plane, stranger) for _ in range(20)]
    assert answers == [InvalidCredentials] * 10 + [TooManyFailedLogins] * 10
    with pytest.raises(TooManyFailedLogins) as throttled:
        by_password(plane, EMAIL, PASSWORD, stranger)  # even with the right one
    assert 60 < throttled.value.retry_after_seconds <= 600
    at_home(plane)


def test_a_flood_from_everywhere_does_not_keep_out_who_signed_in_before(
    plane: ControlPlane,
) -> None:
    device = at_home(plane).device
    answers = [failing(plane, ClientInfo(f"203.0.113.{n % 250}", "curl")) for n in range(200)]
    assert answers.count(InvalidCredentials) == 100
    with pytest.raises(TooManyFailedLogins):
        by_password(plane, EMAIL, PASSWORD, ClientInfo("198.51.100.1", "a new one"))
    # From a new address as well, and from one of those that guess.
    for address in ("192.0.2.1", "198.51.100.2", "203.0.113.7"):
        by_password(plane, EMAIL, PASSWORD, ClientInfo(address, "Firefox", device))


def test_the_link_is_a_way_in_for_who_never_signed_in_and_is_guessed_at(
    plane: ControlPlane,
) -> None:
    for number in range(110):
        failing(plane, ClientInfo(f"203.0.113.{number}", "curl"))
    device = plane.passwords.by_link(link(plane), CHOSEN, HOME).device
    by_password(plane, EMAIL, CHOSEN, structs.replace(HOME, device=device))


def test_a_device_is_known_for_its_own_account_and_not_for_ever(plane: ControlPlane) -> None:
    device = plane.passwords.by_link(link(plane, "none@example.com"), CHOSEN, HOME).device
    mine = at_home(plane).device
    for number in range(110):
        failing(plane, ClientInfo(f"203.0.113.{number}", "curl"))
    with pytest.raises(TooManyFailedLogins):
        by_password(plane, EMAIL, PASSWORD, structs.replace(HOME, device=device))
    later(plane, DEVICE_LIMIT + 1_000)
    with pytest.raises(TooManyFailedLogins):
        by_password(plane, EMAIL, PASSWORD, structs.replace(HOME, device=mine))


def test_two_people_may_share_a_browser(plane: ControlPlane) -> None:
    device = at_home(plane).device
    shared = structs.replace(HOME, device=device)
    assert plane.passwords.by_link(link(plane, "none@example.com"), CHOSEN, shared).device == device
    for number in range(110):
        for email in (EMAIL, "none@example.com"):
            failing(plane, ClientInfo(f"2001:db8:0:{number:x}::1", "curl"), email)
    by_password(plane, EMAIL, PASSWORD, shared)
    by_password(plane, "none@example.com", CHOSEN, shared)


def test_who_guesses_at_many_accounts_from_one_address_is_stopped(plane: ControlPlane) -> None:
    spraying = [failing(plane, HOME, f"user{number}@example.com") for number in range(110)]
    assert spraying == [InvalidCredentials] * 100 + [TooManyFailedLogins] * 10
    by_password(plane, EMAIL, PASSWORD, ClientInfo("192.0.2.2", "next door"))


def test_a_network_of_ipv6_counts_as_one_address(plane: ControlPlane) -> None:
    answers = [failing(plane, ClientInfo(f"2001:db8:1:2::{n:x}", "curl")) for n in range(12)]
    assert answers == [InvalidCredentials] * 10 + [TooManyFailedLogins] * 2
    assert failing(plane, ClientInfo("2001:db8:1:3::1", "curl")) is InvalidCredentials


def test_a_device_that_is_known_has_as_few_guesses_as_anybody(plane: ControlPlane) -> None:
    known = structs.replace(HOME, device=at_home(plane).device)
    assert [failing(plane, known) for _ in range(12)] == [InvalidCredentials] * 10 + [
        TooManyFailedLogins
    ] * 2


def test_a_browser_that_signed_in_before_has_its_guesses_wherever_it_is(
    plane: ControlPlane,
) -> None:
    device = at_home(plane).device
    answers = [failing(plane, ClientInfo(f"203.0.113.{n}", "curl", device)) for n in range(15)]
    assert answers == [InvalidCredentials] * 10 + [TooManyFailedLogins] * 5


def test_a_changed_password_makes_strangers_of_all_other_browsers(plane: ControlPlane) -> None:
    old = at_home(plane).device
    member = plane.sessions.authenticate(at_home(plane).session)
    here = plane.passwords.change_password(member, PASSWORD, CHOSEN, HOME).device
    for number in range(110):
        failing(plane, ClientInfo(f"203.0.113.{number}", "curl"))
    with pytest.raises(TooManyFailedLogins):
        by_password(plane, EMAIL, CHOSEN, structs.replace(HOME, device=old))
    by_password(plane, EMAIL, CHOSEN, structs.replace(HOME, device=here))


def test_a_changed_password_ends_the_link_that_was_not_used(plane: ControlPlane) -> None:
    member = plane.sessions.authenticate(at_home(plane).session)
    secret = link(plane)
    plane.passwords.change_password(member, PASSWORD, CHOSEN, HOME)
    with pytest.raises(LinkInvalid):
        plane.passwords.by_link(secret, CHOSEN, HOME)


def test_whose_session_ended_meanwhile_changes_no_password(plane: ControlPlane) -> None:
    member = plane.sessions.authenticate(at_home(plane).session)
    plane.sessions.revoke(member, member.session.session_id)
    with pytest.raises(NotAuthenticated):
        plane.passwords.change_password(member, PASSWORD, CHOSEN, HOME)
    member = plane.sessions.authenticate(at_home(plane).session)
    suspend(plane)
    with pytest.raises(NotAuthenticated):
        plane.passwords.change_password(member, PASSWORD, CHOSEN, HOME)


def test_addresses_of_ipv4_are_told_apart_in_the_form_of_ipv6(plane: ControlPlane) -> None:
    for _ in range(12):
        failing(plane, ClientInfo("::ffff:203.0.113.7", "curl"))
    assert failing(plane, ClientInfo("::ffff:203.0.113.8", "curl")) is InvalidCredentials
    assert failing(plane, ClientInfo("203.0.113.7", "curl")) is TooManyFailedLogins


def test_right_passwords_are_not_counted(plane: ControlPlane) -> None:
    for _ in range(30):
        at_home(plane)
