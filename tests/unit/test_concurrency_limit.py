"""How many requests are under way: fewer after a refusal, slowly more after good answers."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscale.transport.concurrency_limit import AdaptiveLimit


@given(st.integers(1, 8), st.lists(st.booleans(), max_size=60))
def test_there_is_always_room_for_one_and_never_for_more_than_the_most(
    most: int, answers: list[bool]
) -> None:
    pace = AdaptiveLimit(most)
    for good in answers:
        before = pace.allowed
        (pace.answered if good else pace.refused)()
        assert 1 <= pace.allowed <= most
        assert pace.allowed >= before if good else pace.allowed <= before


def test_a_refusal_halves_it_and_good_answers_bring_it_back() -> None:
    pace = AdaptiveLimit(4)
    pace.refused()
    assert pace.allowed == 2
    pace.refused()
    pace.refused()
    assert pace.allowed == 1
    for _ in range(20):
        pace.answered()
    assert pace.allowed == 4


def test_no_more_have_a_turn_than_are_allowed() -> None:
    pace, lock, under_way, most = AdaptiveLimit(2), threading.Lock(), 0, 0

    def ask(_: int) -> None:
        nonlocal under_way, most
        with pace.turn():
            with lock:
                under_way += 1
                most = max(most, under_way)
            threading.Event().wait(0.002)
            with lock:
                under_way -= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(40)))
    assert most == 2


def test_a_turn_that_fails_is_over() -> None:
    pace = AdaptiveLimit(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), pace.turn():
            _ = 1 / 0
    with pace.turn():
        pass
