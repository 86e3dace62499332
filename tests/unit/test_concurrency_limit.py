"""The limit of requests in progress: it falls at a refusal, and rises slowly at successes."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscale.transport.http.concurrency_limit import AdaptiveLimit


@given(st.integers(1, 8), st.lists(st.booleans(), max_size=60))
def test_the_limit_stays_between_one_and_the_maximum(maximum: int, successes: list[bool]) -> None:
    limit = AdaptiveLimit(maximum)
    for success in successes:
        before = limit.allowed
        (limit.increase if success else limit.decrease)()
        assert 1 <= limit.allowed <= maximum
        assert limit.allowed >= before if success else limit.allowed <= before


def test_a_refusal_halves_the_limit_and_successes_restore_it() -> None:
    limit = AdaptiveLimit(4)
    limit.decrease()
    assert limit.allowed == 2
    limit.decrease()
    limit.decrease()
    assert limit.allowed == 1
    for _ in range(20):
        limit.increase()
    assert limit.allowed == 4


def test_no_more_requests_than_the_limit_are_in_progress() -> None:
    limit, lock, in_progress, most = AdaptiveLimit(2), threading.Lock(), 0, 0

    def request(_: int) -> None:
        nonlocal in_progress, most
        with limit.slot():
            with lock:
                in_progress += 1
                most = max(most, in_progress)
            threading.Event().wait(0.002)
            with lock:
                in_progress -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(request, range(40)))
    assert most == 2


def test_an_error_frees_the_slot() -> None:
    limit = AdaptiveLimit(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), limit.slot():
            _ = 1 / 0
    with limit.slot():
        pass
