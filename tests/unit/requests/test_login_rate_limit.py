"""The login rate limit: failures are counted, limited and expire."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import sleep
from typing import Any

import pytest

from anyscale.errors import TooManyFailedLogins
from anyscale.server.core.login import rate_limit as throttle
from anyscale.server.core.login.rate_limit import LoginRateLimiter
from anyscale.server.http.refusals import retry_after


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(throttle, "time", clock)
    return clock


def test_failures_expire_after_an_hour(clock: Clock) -> None:
    counts = LoginRateLimiter()
    for number in range(50):
        counts.record_failure(f"192.0.2.{number}", f"user{number}@example.com")
    assert len(counts._failures) == 150
    clock.now += 3_601
    counts.record_failure("198.51.100.1", "jane@example.com")
    assert len(counts._failures) == 3


def test_an_account_is_limited_for_an_hour_from_browsers_that_it_does_not_know(
    clock: Clock,
) -> None:
    counts = LoginRateLimiter()
    for number in range(100):
        counts.check("198.51.100.1", "jane@example.com")
        counts.record_failure(f"192.0.2.{number}", "jane@example.com")
    clock.now += 3_599
    counts.record_failure("203.0.113.1", "joe@example.com")  # which deletes old counts
    with pytest.raises(TooManyFailedLogins) as throttled:
        counts.check("198.51.100.1", "jane@example.com")
    assert throttled.value.retry_after_seconds == 1
    clock.now += 1
    counts.check("198.51.100.1", "jane@example.com")


def test_the_time_to_wait_is_rounded_up_to_whole_seconds(clock: Clock) -> None:
    counts = LoginRateLimiter()
    for _ in range(10):
        counts.record_failure("192.0.2.1", "jane@example.com")
    clock.now += 599.75
    with pytest.raises(TooManyFailedLogins, match="failed sign-ins: wait 1 seconds, or") as caught:
        counts.check("192.0.2.1", "jane@example.com")
    assert caught.value.retry_after_seconds == 0.25
    assert retry_after(caught.value) == {"Retry-After": "1"}


def test_an_address_is_limited_for_ten_minutes(clock: Clock) -> None:
    counts = LoginRateLimiter()
    for number in range(100):
        counts.check("192.0.2.1", "jane@example.com")
        counts.record_failure("192.0.2.1", f"user{number}@example.com")
    clock.now += 599
    with pytest.raises(TooManyFailedLogins):
        counts.check("192.0.2.1", "jane@example.com")
    clock.now += 1
    counts.check("192.0.2.1", "jane@example.com")


def test_the_number_of_counted_failures_is_bounded(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "_MAX_COUNTS", 30)
    counts = LoginRateLimiter()
    for number in range(100):
        counts.record_failure(f"192.0.2.{number}", f"user{number}@example.com")
    assert len(counts._failures) == 30


def test_an_error_names_the_time_after_which_a_login_is_allowed(clock: Clock) -> None:
    counts = LoginRateLimiter()
    for _ in range(10):
        counts.record_failure("192.0.2.1", "jane@example.com")
        clock.now += 1
    with pytest.raises(TooManyFailedLogins) as throttled:
        counts.check("192.0.2.1", "jane@example.com")
    assert throttled.value.retry_after_seconds == pytest.approx(590)
    assert "too many failed sign-ins: wait 590 seconds, or ask" in str(throttled.value)
    counts.check("192.0.2.2", "jane@example.com")
    clock.now += 591
    counts.check("192.0.2.1", "jane@example.com")


def test_an_ipv6_site_has_three_times_the_failures_of_an_address(clock: Clock) -> None:
    counts = LoginRateLimiter()
    for number in range(300):
        counts.record_failure(f"2001:db8:1:{number:x}::1", f"user{number}@example.com")
    for address in ("2001:db8:1:ffff::1", "2001:db8:1::1"):
        with pytest.raises(TooManyFailedLogins):
            counts.check(address, "jane@example.com")
    counts.check("2001:db8:2::1", "jane@example.com")
    counts.check("2001:db8:1::1", "jane@example.com", known_device="a device")
    clock.now += 601
    counts.check("2001:db8:1::1", "jane@example.com")


def test_addresses_of_one_ipv4_network_are_counted_separately(clock: Clock) -> None:
    counts = LoginRateLimiter()
    for number in range(1_000):
        counts.record_failure(f"192.0.2.{number % 250}", f"user{number}@example.com")
    counts.check("192.0.2.1", "jane@example.com")


def test_a_failure_beyond_the_limit_is_refused_and_not_counted(clock: Clock) -> None:
    counts = LoginRateLimiter()
    for _ in range(10):
        counts.record_failure("192.0.2.1", "jane@example.com")
    clock.now += 300
    with pytest.raises(TooManyFailedLogins):
        counts.record_failure("192.0.2.1", "jane@example.com")
    clock.now += 301
    counts.check("192.0.2.1", "jane@example.com")


def test_failures_of_many_threads_are_all_counted() -> None:
    class SlowCounts(dict[bytes, deque[float]]):
        """Lets other threads run between the parts of a change."""

        def pop(self, key: bytes, *default: Any) -> Any:
            times = super().pop(key, *default)
            sleep(0.001)
            return times

    threads, turns = 8, 12
    counts, start = LoginRateLimiter(), Barrier(threads)
    counts._failures = SlowCounts()

    def fail(thread: int) -> None:
        start.wait()
        for turn in range(turns):
            counts.record_failure("192.0.2.1", f"user{thread} {turn}@example.com")

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fail, range(threads)))
    for number in range(100 - threads * turns):
        counts.check("192.0.2.1", "jane@example.com")
        counts.record_failure("192.0.2.1", f"{number}@example.com")
    with pytest.raises(TooManyFailedLogins):
        counts.check("192.0.2.1", "jane@example.com")


def test_ten_refused_codes_stop_a_network_for_ten_minutes(clock: Clock) -> None:
    limiter = LoginRateLimiter()
    for host in range(10):
        limiter.check_exchange("2001:db8::1")
        limiter.record_refused_exchange(f"2001:db8::{host}")
        clock.now += 1
    for call in (limiter.check_exchange, limiter.record_refused_exchange):
        with pytest.raises(TooManyFailedLogins) as stopped:
            call("2001:db8::ffff")
        assert stopped.value.retry_after_seconds == pytest.approx(590)
    limiter.check_exchange("2001:db8:0:1::1")
    limiter.check_exchange("192.0.2.1")
    limiter.check("2001:db8::1", "jane@example.com")
    clock.now += 591
    limiter.check_exchange("2001:db8::1")


def test_refused_codes_of_all_networks_of_a_site_are_limited_together(clock: Clock) -> None:
    limiter = LoginRateLimiter()
    for number in range(300):
        limiter.record_refused_exchange(f"2001:db8:0:{number:x}::1")
    with pytest.raises(TooManyFailedLogins):
        limiter.check_exchange("2001:db8:0:ffff::1")
    for number in range(300):
        limiter.record_refused_exchange(f"198.51.{number // 256}.{number % 256}")
    limiter.check_exchange("198.51.9.9")


def test_a_hundred_unanswered_codes_stop_a_network(clock: Clock) -> None:
    limiter = LoginRateLimiter()
    for _ in range(100):
        limiter.check_exchange("192.0.2.1")
        limiter.record_unanswered_exchange("192.0.2.1")
        clock.now += 1
    for call in (limiter.check_exchange, limiter.record_unanswered_exchange):
        with pytest.raises(TooManyFailedLogins) as stopped:
            call("192.0.2.1")
        assert stopped.value.retry_after_seconds == pytest.approx(500)
    limiter.check_exchange("192.0.2.2")
    limiter.check("192.0.2.1", "jane@example.com")


def test_sign_ins_of_an_account_are_limited_by_minute(clock: Clock) -> None:
    limiter = LoginRateLimiter()
    for _ in range(60):
        limiter.record_sign_in("usr_a", "password", "")
    for _ in range(2):  # the refused one is not counted
        with pytest.raises(TooManyFailedLogins) as stopped:
            limiter.record_sign_in("usr_a", "password", "")
        assert stopped.value.retry_after_seconds == pytest.approx(60)
    limiter.record_sign_in("usr_b", "password", "")
    limiter.check("192.0.2.1", "jane@example.com")
    clock.now += 61
    limiter.record_sign_in("usr_a", "password", "")


@pytest.mark.parametrize(("method", "known_by"), [("passkey", ""), ("password", "a browser")])
def test_sign_ins_of_strangers_do_not_count_for_passkeys_and_known_browsers(
    clock: Clock, method: str, known_by: str
) -> None:
    limiter = LoginRateLimiter()
    for _ in range(60):
        limiter.record_sign_in("usr_a", "password", "")
    for _ in range(60):
        limiter.record_sign_in("usr_a", method, known_by)
    with pytest.raises(TooManyFailedLogins):
        limiter.record_sign_in("usr_a", method, known_by)


def test_half_sign_ins_count_by_network_and_by_known_browser(clock: Clock) -> None:
    limiter = LoginRateLimiter()

    def begin(address: str, known_by: str = "") -> None:
        limiter.record_half_sign_in("usr_a", address, known_by)

    for _ in range(20):
        begin("192.0.2.1")
        begin("192.0.2.1", "a browser")
    for address, known_by in (("192.0.2.1", ""), ("192.0.2.1", "a browser"), ("::1", "a browser")):
        with pytest.raises(TooManyFailedLogins):
            begin(address, known_by)
    begin("192.0.2.2")
    begin("192.0.2.1", "another browser")
    limiter.record_half_sign_in("usr_b", "192.0.2.1", "")
    limiter.record_sign_in("usr_a", "password", "")


def test_half_sign_ins_of_an_account_from_everywhere_are_bounded(clock: Clock) -> None:
    limiter = LoginRateLimiter()
    for number in range(1_000):
        limiter.record_half_sign_in("usr_a", f"192.0.{number // 256}.{number % 256}", "")
    with pytest.raises(TooManyFailedLogins):
        limiter.record_half_sign_in("usr_a", "198.51.100.1", "")
    limiter.record_half_sign_in("usr_a", "198.51.100.1", "a browser")
