"""A signal that comes just before a wait."""

import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import starmap
from operator import call
from typing import Any, cast

import pytest

from anyscale.batch_run.bounded_executor import BoundedExecutor
from anyscale.comparison.comparison_calls import ComparisonCalls
from anyscale.comparison.id_hashes import IdHashes
from anyscale.comparison.listed_accounts import ListedAccounts
from anyscale.errors import Unavailable
from anyscale.interruptible_wait import interruptible_wait
from anyscale.server.check.network import within_time
from anyscale.transport.http.retry_policy import RetryState

#: more than any wait lasts that a signal interrupts
LONG = 8.0


class LateLock:
    """A lock of `threading`: the main thread meets Ctrl-C just before it begins to wait for it.

    The timer ends while `sum` runs, and no instruction of Python is between that and the wait.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.release = self._lock.release

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        in_main = threading.current_thread() is threading.main_thread()
        starts_a_thread = sys._getframe(3).f_code.co_name == "start"
        if not in_main or starts_a_thread or not self._lock.locked():
            return self._lock.acquire(blocking, timeout)
        timer = partial(signal.setitimer, signal.ITIMER_REAL, 0.001)
        steps: list[Callable[[], Any]] = [timer, partial(sum, range(2_000_000))]
        steps.append(partial(self._lock.acquire, blocking, timeout))
        return bool(list(starmap(call, zip(steps, strict=True)))[-1])


@pytest.fixture
def late_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Ctrl-C just before each wait of the main thread; the event is set when it took too long."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    too_late = threading.Event()
    timer = threading.Timer(LONG, too_late.set)
    timer.start()
    with monkeypatch.context() as patch:
        patch.setattr(threading, "_allocate_lock", LateLock)
        yield too_late
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    too_late.set()
    timer.cancel()


class _Listing:
    """A control plane that does not answer before an event."""

    reservations_at_once = 2

    def __init__(self, until: threading.Event) -> None:
        self.users = self
        self.list = lambda *_: until.wait()


def listing(until: threading.Event) -> ComparisonCalls:
    """Return calls whose lists wait for an event; a wait uses no other one."""
    return cast("ComparisonCalls", _Listing(until))


def leave_a_block(until: threading.Event) -> None:
    with BoundedExecutor[bool](1, lambda: None, lambda _: None) as executor:
        executor.submit(until.wait)


def wait_for_an_attempt(until: threading.Event) -> None:
    RetryState(threading.Event()).wait(Unavailable("it is down"), math.inf)


def leave_a_listing(until: threading.Event) -> None:
    with ListedAccounts(listing(until)):
        pass


def look_up_a_listing(until: threading.Event) -> None:
    with ListedAccounts(listing(until)) as accounts:
        list(accounts.missing(IdHashes()))


def check_a_step(until: threading.Event) -> None:
    within_time(until.wait)


@pytest.mark.parametrize(
    "wait",
    [leave_a_block, wait_for_an_attempt, leave_a_listing, look_up_a_listing, check_a_step],
)
def test_ctrl_c_just_before_a_wait_ends_it(
    wait: Callable[[threading.Event], None],
    late_signals: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("anyscale.transport.http.retry_policy._FIRST_PAUSE", 3 * LONG)
    monkeypatch.setattr("anyscale.comparison.listed_accounts._GRACE", 3 * LONG)
    monkeypatch.setattr("anyscale.server.check.network.SECONDS", 3 * LONG)
    with pytest.raises(KeyboardInterrupt):
        wait(late_signals)
    assert not late_signals.is_set()


def test_short_waits_last_as_long_as_the_whole() -> None:
    waits: list[float] = []
    assert not interruptible_wait(waits.append, 0.5)
    assert waits == pytest.approx([0.2, 0.2, 0.1])
    assert interruptible_wait(lambda _: True)
