"""Sign-ins by hashes of other systems: no fault of ours fails one, and they delay no others."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import passlib.hash
import pytest
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.rank_sum import area_under_curve, rank_score
from tests.support.servers.control_planes import new_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.sign_in.sign_ins import HOME, fail_to_sign_in, get_account, sign_in
from tests.support.users import PASSWORD, checked_user

from anyscale.domain.validation import Policy
from anyscale.errors import HashingUnavailable, Overloaded, StoreUnavailable
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.argon2id import Hasher
from anyscale.server.core.hashing.pool import CHEAPEST, PasswordHashPool
from anyscale.server.http import thread_pools
from anyscale.server.http.thread_pools import HeldAnswers
from anyscale.server.store.sql.accounts import Accounts

#: some 30 ms
SLOW = passlib.hash.pbkdf2_sha256.using(rounds=100_000).hash(PASSWORD)
#: some 3 ms
FAST = passlib.hash.pbkdf2_sha256.using(rounds=10_000).hash(PASSWORD)

EMAIL = "there0@example.com"

#: of IPv4 each address is a network of its own, with limits of its own
_addresses = (f"127.1.{n >> 8 & 255}.{n & 255}" for n in count(1))


@pytest.fixture
def control_plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with closing(new_control_plane(tmp_path, Policy())) as control_plane:
        yield control_plane


def arrive(control_plane: ControlPlane, password_hash: str, number: int = 1) -> None:
    """Create accounts with a hash: there0@example.com, there1@example.com and so on."""
    users = [
        structs.replace(
            checked_user(f"there{i}@example.com", PASSWORD), password_hash=password_hash
        )
        for i in range(number)
    ]
    control_plane.batches.create(OPERATOR, "arrive", users, "fail")


def request_session(url: str, email: str, password: str = "wrong password") -> tuple[int, float]:
    """Sign in from an address of its own; return the status and the seconds."""
    address = next(_addresses), 0
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(url).port, 60, address)
    with closing(connection):
        connection.connect()
        started = time.perf_counter()
        body = json.dumps({"email": email, "password": password})
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/sessions", body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, time.perf_counter() - started


def test_a_rehash_that_fails_does_not_fail_the_sign_in(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(control_plane, FAST)

    def fail(_self: PasswordHashPool, _password: str) -> str:
        raise HashingUnavailable("no memory")

    with monkeypatch.context() as patch:
        patch.setattr(PasswordHashPool, "hash", fail)
        sign_in(control_plane, EMAIL, PASSWORD, HOME)
    assert get_account(control_plane, EMAIL).password_hash == FAST
    sign_in(control_plane, EMAIL, PASSWORD, HOME)
    assert get_account(control_plane, EMAIL).imported_ms is None


def test_a_rehash_that_cannot_be_stored_does_not_fail_the_sign_in(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(control_plane, FAST)

    def fail(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(Accounts, "set_password", fail)
    assert sign_in(control_plane, EMAIL, PASSWORD, HOME).session
    assert get_account(control_plane, EMAIL).password_hash == FAST


def arrive_beside_jane(control_plane: ControlPlane, number: int) -> None:
    arrive(control_plane, FAST, number)
    users = [checked_user("jane@example.com", PASSWORD)]
    control_plane.batches.create(OPERATOR, "ours", users, "fail", [(0, PASSWORD)])


def stop_imported(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Let sign-ins by `FAST` wait; return what the first one sets, and what ends the wait."""
    started, ending, verify = threading.Event(), threading.Event(), Hasher.verify

    def wait(hasher: Hasher, password_hash: str | None, password: str) -> bool:
        if password_hash == FAST:
            started.set()
            ending.wait(60)
        return verify(hasher, password_hash, password)

    monkeypatch.setattr(Hasher, "verify", wait)
    return started, ending


def test_sign_ins_by_hashes_of_ours_do_not_wait_for_those_of_other_systems(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However expensive the hashes are: here each takes until the test ends."""
    arrive_beside_jane(control_plane, 6)
    _, ending = stop_imported(monkeypatch)
    with serve_in_process(control_plane) as url, ThreadPoolExecutor(6) as executor:
        flood = [executor.submit(request_session, url, f"there{i}@example.com") for i in range(6)]
        try:
            for _ in range(3):
                assert request_session(url, "jane@example.com", PASSWORD)[0] in (200, 201)
            assert not any(one.done() for one in flood)
        finally:
            ending.set()
        assert {one.result()[0] for one in flood} == {401}


def test_a_known_browser_signs_in_while_others_have_all_places(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive_beside_jane(control_plane, 1)
    monkeypatch.setattr(thread_pools, "_REFUSALS", 1)
    started, ending = stop_imported(monkeypatch)
    with serve_in_process(control_plane) as url, ThreadPoolExecutor(1) as executor:
        known = HttpClient(url)
        assert known.sign_in().status == 200
        flood = executor.submit(request_session, url, EMAIL)
        try:
            assert started.wait(60)
            assert request_session(url, "jane@example.com", PASSWORD)[0] == 429
            assert known.sign_in().status == 200
        finally:
            ending.set()
        assert flood.result()[0] == 401


def test_a_known_email_is_refused_when_an_unknown_one_is(
    control_plane: ControlPlane,
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    number: int = pytestconfig.getoption("--resets") // 9
    arrive(control_plane, SLOW, number)
    attempt = control_plane.password_login.prepare("nobody@example.com", "x", HOME)
    times: dict[str, list[float]] = {"there": [], "nobody": []}
    with serve_in_process(control_plane) as url:
        for i in range(number):
            for name in sorted(times, reverse=i % 2 == 0):
                status, seconds = request_session(url, f"{name}{i}@example.com")
                assert status == 401
                times[name].append(seconds)
    assert min(times["there"] + times["nobody"]) >= attempt.refusal_seconds > 0.1
    area = area_under_curve(times["there"], times["nobody"])
    record_property("refusals", f"area under the curve {area:.3f} of {number}")
    assert abs(rank_score(times["there"], times["nobody"])) < 4
    assert number < 100 or abs(area - 0.5) <= 0.05


@pytest.mark.parametrize("scheme", [passlib.hash.sha256_crypt, passlib.hash.sha512_crypt])
def test_a_refusal_is_held_longer_for_a_password_that_takes_longer(
    control_plane: ControlPlane, scheme: Any
) -> None:
    """SHA-crypt reads it in each round: else a long one would tell who has such a hash."""
    slow = scheme.using(rounds=25_000).hash(PASSWORD)
    arrive(control_plane, slow)
    held, taken = [], []
    for password in ("x" * 8, "x" * 511):
        attempt = control_plane.password_login.prepare(EMAIL, password, HOME)
        held.append(attempt.refusal_seconds - 0.1)
        taken.append(min(_seconds_of(slow, password) for _ in range(3)))
    assert held[1] / held[0] > 0.8 * taken[1] / taken[0] > 3


def _seconds_of(password_hash: str, password: str) -> float:
    started = time.process_time()
    assert not Hasher(CHEAPEST).verify(password_hash, password)
    return time.process_time() - started


def test_refusals_are_not_delayed_once_all_have_signed_in(control_plane: ControlPlane) -> None:
    arrive(control_plane, FAST)
    login = control_plane.password_login
    assert login.prepare(EMAIL, "x", HOME).refusal_seconds > 0.1
    fail_to_sign_in(control_plane, HOME, EMAIL)
    sign_in(control_plane, EMAIL, PASSWORD, HOME)
    assert login.prepare(EMAIL, "x", HOME).refusal_seconds == 0


def take(held: HeldAnswers, *addresses: str) -> None:
    with ExitStack() as places:
        for address in addresses:
            places.enter_context(held.place(address))


def test_no_more_sign_ins_than_a_limit_are_under_way_and_no_network_has_all() -> None:
    """A network of IPv4 is one of 256 addresses."""
    held, one, other = HeldAnswers(4), ["192.0.2.1", "192.0.2.9"], ["198.51.100.1"]
    take(held, *one, *other, "203.0.113.1")
    for many in ([*one, *one], [*one, *other, *other], [*one, *other, "203.0.113.1", "::1"]):
        with pytest.raises(Overloaded):
            take(held, *many)
    take(held, *one, *other, "203.0.113.1")
    assert thread_pools._REFUSALS == 1_000
