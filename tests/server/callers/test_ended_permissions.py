"""A call writes nothing once the permission of its caller has ended, at whatever moment that is."""

import inspect
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.server.callers.calls import (
    CALLS,
    ENDS,
    OPERATOR_CALLS,
    OWNER_CALLS,
    SHARED,
    Ready,
    new_owner,
)
from tests.server.callers.stored_rows import rows
from tests.support.callers import OPERATOR, session_caller, token_caller
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.locks import wait_until_blocked
from tests.support.databases.stored_data import execute_sql
from tests.support.mail.sending import UNUSED_RELAY
from tests.support.second_factor.authenticator_apps import seed_keys_folder
from tests.support.users import POLICY, checked_users, create_accounts, find_accounts
from tests.support.waiting import wait_until

from anyscale.errors import NotAuthenticated, NotPermitted, PasswordChangeNeeded
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches import undo
from anyscale.server.core.callers import Caller, SessionCaller
from anyscale.server.settings import Settings
from anyscale.server.store.transaction import Transaction

#: They take a caller, but change nothing that a user or an owner can see changed.
NO_CHANGES = {
    "applications.of_form",
    "batches.key_of",
    "batches.show",
    "factors.list",
    "factors.pending_app",
    "factors.require_present",
    "factors.write",  # for the calls that are in the table
    "new_passkeys.options",
    "passkey_login.options_again",
    "password_login.verify_current",
    "sessions.list",
    "sessions.touch",
    "tokens.of_form",
}

#: One for each lock that a permission has: of a token without an owner, and of an account.
LOCKED_ENDS = ["token revoked", "signed out"]


def ends_of(call: str, ways: Iterable[str] = ENDS) -> list[str]:
    """Return the ways in which the permission to make a call ends."""
    return [way for way in ways if call in OWNER_CALLS or "token" not in way]


def prepared(control_plane: ControlPlane, name: str, way: str) -> tuple[Ready, Ready]:
    """Return a call of a new owner, and the call that ends the owner's permission."""
    end = ENDS[way]
    caller = end.caller(control_plane, new_owner(control_plane))
    return CALLS[name](control_plane, caller), end.prepare(control_plane, caller)


def test_the_table_has_every_call_that_takes_a_caller(control_plane: ControlPlane) -> None:
    services = {
        name: getattr(control_plane, name)
        for name in dir(control_plane)
        if not name.startswith("_") and name != "transactions"  # by which these calls write
    }
    found = set()
    for name, service in services.items():
        if not type(service).__module__.startswith("anyscale.server.core"):
            continue
        for method, function in inspect.getmembers(service, inspect.ismethod):
            kind = inspect.signature(function).parameters.get("caller")
            if not method.startswith("_") and kind and kind.annotation in (Caller, SessionCaller):
                found.add(f"{name}.{method}")
    assert found - NO_CHANGES == {*CALLS, *OPERATOR_CALLS}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_whose_permission_ended_before_it_writes_is_refused(
    control_plane: ControlPlane, name: str
) -> None:
    for way in ends_of(name, LOCKED_ENDS):
        call, end_permission = prepared(control_plane, name, way)
        allowed, _ = prepared(control_plane, name, way)
        end_permission()
        before = rows(control_plane)
        with pytest.raises((NotAuthenticated, NotPermitted)):
            call()
        assert rows(control_plane) == before, way
        allowed()
        assert rows(control_plane) != before, way


@pytest.mark.parametrize("name", ["batches.reserve", "updates.update", "tokens.create_personal"])
def test_a_call_is_refused_whatever_has_ended_the_permission(
    control_plane: ControlPlane, name: str
) -> None:
    for way in ends_of(name):
        call, end_permission = prepared(control_plane, name, way)
        end_permission()
        with pytest.raises((NotAuthenticated, NotPermitted)):
            call()


def test_an_expired_token_or_session_writes_nothing(control_plane: ControlPlane) -> None:
    owner = new_owner(control_plane)
    callers = token_caller(control_plane), session_caller(control_plane, owner)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update tokens set expires_at = 1")
        execute_sql(tx, "update sessions set expires_at = 1")
    for caller in callers:
        with pytest.raises(NotAuthenticated):
            control_plane.batches.open(caller, "key", "fail")
    with pytest.raises(NotAuthenticated):
        control_plane.tokens.create_personal(callers[1], "laptop", 1)


def test_a_session_by_an_initial_password_writes_nothing_but_a_new_password(
    tmp_path: Path,
) -> None:
    settings = Settings(
        database=tmp_path / "anyscale.db",
        policy=POLICY,
        public_url="https://accounts.example.com",
        mail=UNUSED_RELAY,
        second_factor_keys=seed_keys_folder(),
    )
    with closing(cheap_control_plane(settings)) as control_plane:
        for name, prepare in CALLS.items():
            caller = session_caller(control_plane, new_owner(control_plane), "password")
            call = prepare(control_plane, caller)
            is_refused = name != "password_changes.change_password"
            with pytest.raises(PasswordChangeNeeded) if is_refused else nullcontext():
                call()
                assert not is_refused, name


def test_a_collaborator_with_a_session_is_no_owner(control_plane: ControlPlane) -> None:
    create_accounts(control_plane, "ann")
    [ann] = find_accounts(control_plane, email="ann@example.com")
    refusal = (
        r"^ann@example\.com has the role collaborator, which may not create accounts: "
        r"this requires the role owner$"
    )
    with pytest.raises(NotPermitted, match=refusal):
        control_plane.batches.open(session_caller(control_plane, ann.user_id), "key", "fail")


def test_the_release_of_a_batch_without_rows_checks_its_caller(control_plane: ControlPlane) -> None:
    caller = token_caller(control_plane)
    batch = control_plane.batches.open(caller, "key", "fail")
    control_plane.tokens.revoke(OPERATOR, "laptop")
    with pytest.raises(NotAuthenticated):
        control_plane.batches.release(caller, batch.batch_id)


class HeldTransaction:
    """Stops the first write transaction of a call before it commits, until it is let go."""

    def __init__(self, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
        self._thread = 0
        self._go = threading.Event()
        self.tx: Transaction | None = None
        self._write = control_plane.store.write
        monkeypatch.setattr(control_plane.store, "write", self._held)

    def run(self, call: Callable[[], object]) -> object:
        self._thread = threading.get_ident()
        return call()

    def let_go(self) -> None:
        self._go.set()

    @contextmanager
    def _held(self, **options: Any) -> Iterator[Transaction]:
        with self._write(**options) as tx:
            yield tx
            if threading.get_ident() == self._thread and self.tx is None:
                self.tx = tx
                assert self._go.wait(30)


@contextmanager
def one_during_the_other(
    control_plane: ControlPlane,
    monkeypatch: pytest.MonkeyPatch,
    first: Callable[[], object],
    second: Callable[[], object],
) -> Iterator[list[Any]]:
    """Start a call before the transaction of another one commits; yield the future of each."""
    with monkeypatch.context() as patch, ThreadPoolExecutor(2) as pool:
        held = HeldTransaction(control_plane, patch)
        running = pool.submit(held.run, first)
        try:
            wait_until(lambda: held.tx or running.done())
            assert held.tx, running.result()
            waiting = pool.submit(second)
            wait_until_blocked(control_plane.store, held.tx)
        finally:
            held.let_go()
        yield [running, waiting]


# SQLite has one transaction that writes, so that the cases above and test_races.py suffice.
@pytest.mark.parametrize("store_kind", ["postgres"], indirect=True, scope="module")
@pytest.mark.parametrize(
    ("name", "way"),
    [
        *((name, way) for name in CALLS for way in ends_of(name, LOCKED_ENDS)),
        *(("updates.update", way) for way in ENDS if way not in LOCKED_ENDS),
    ],
)
def test_a_permission_ends_before_or_after_a_transaction_and_never_during_it(
    shared_control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, name: str, way: str
) -> None:
    call, end_permission = prepared(shared_control_plane, name, way)
    with one_during_the_other(shared_control_plane, monkeypatch, call, end_permission) as [
        calling,
        ending,
    ]:
        # A release has further transactions, which are refused.
        with suppress(*[NotAuthenticated] * (name == "batches.release")):
            calling.result(30)
        with suppress(NotAuthenticated):  # a change of the password has signed the user out
            ending.result(30)

    call, end_permission = prepared(shared_control_plane, name, way)
    with one_during_the_other(shared_control_plane, monkeypatch, end_permission, call) as [
        ending,
        calling,
    ]:
        ending.result(30)
        with pytest.raises((NotAuthenticated, NotPermitted)):
            calling.result(30)


@pytest.mark.parametrize("store_kind", ["postgres"], indirect=True)
@pytest.mark.parametrize("name", sorted(SHARED))
def test_chunks_of_one_owner_do_not_wait_for_each_other(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with ThreadPoolExecutor(1) as pool:
        caller = session_caller(control_plane, new_owner(control_plane))
        first, second = CALLS[name](control_plane, caller), CALLS[name](control_plane, caller)
        held = HeldTransaction(control_plane, monkeypatch)
        running = pool.submit(held.run, first)
        wait_until(lambda: held.tx)
        second()
        assert not running.done()
        held.let_go()
        running.result(30)


@pytest.mark.both_stores
@pytest.mark.parametrize("way", LOCKED_ENDS)
@pytest.mark.parametrize("work", ["undo", "release"])
def test_long_work_stops_at_the_first_transaction_after_its_permission_ended(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, work: str, way: str
) -> None:
    caller = ENDS[way].caller(control_plane, new_owner(control_plane))
    end_permission = ENDS[way].prepare(control_plane, caller)
    batch_id = control_plane.batches.open(caller, "key", "fail").batch_id
    for chunk, names in enumerate(("abc", "d")):
        control_plane.batches.reserve(caller, batch_id, chunk, checked_users(*names))
    call: Callable[[], object] = partial(control_plane.batches.release, caller, batch_id)
    if work == "undo":
        control_plane.batches.publish(caller, batch_id, 4)
        monkeypatch.setattr(undo, "_SLICE", 3)
        call = partial(control_plane.batches.undo, caller, batch_id, "", force=True, dry_run=False)

    after_deletion(control_plane, monkeypatch, end_permission)
    with suppress(NotAuthenticated):  # an undo returns what it has deleted before
        call()
    with pytest.raises(NotAuthenticated):
        call()

    assert emails_of(control_plane, batch_id) == ["d@example.com"]


def after_deletion(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, then: Callable[[], object]
) -> None:
    """Make a call once, after the transaction that is the first one to delete users."""
    write, is_made = control_plane.store.write, False

    @contextmanager
    def write_and_call(**options: Any) -> Iterator[Transaction]:
        nonlocal is_made
        with write(**options) as tx:
            before = count_users(tx)
            yield tx
            has_deleted = count_users(tx) < before
        if has_deleted and not is_made:
            is_made = True
            then()

    monkeypatch.setattr(control_plane.store, "write", write_and_call)


def count_users(tx: Transaction) -> int:
    return int(execute_sql(tx, "select count(*) from users").fetchone()[0])


def emails_of(control_plane: ControlPlane, batch_id: str) -> list[str]:
    sql = "select email from users join batches on batches.id = users.batch where batch_id = ?"
    with control_plane.store.read() as tx:
        return [email for (email,) in execute_sql(tx, sql, (batch_id,)).fetchall()]
