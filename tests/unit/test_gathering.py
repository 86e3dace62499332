"""Work that is done for several requests at once."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, cast

import pytest
from tests.support.fault_injection import until

from anyscale.errors import NotFound, Overloaded
from anyscale.server.http.login import gathering
from anyscale.server.http.login.gathering import Gathering

Take = Callable[[], list[int]]


class Doubling:
    """Doubles numbers when it may, and notes which it was given together."""

    def __init__(self) -> None:
        self.may_take = threading.Event()
        self.together: list[list[int]] = []

    def __call__(self, take: Take) -> list[int | Exception]:
        assert self.may_take.wait(10)
        numbers = take()
        if numbers:
            self.together.append(numbers)
        return [number * 2 if number else NotFound("no zero") for number in numbers]


@pytest.fixture
def work() -> Iterator[Doubling]:
    doubling = Doubling()
    yield doubling
    doubling.may_take.set()  # no thread is left behind


async def placed(lane: Gathering, work: Callable[[Take], Any], number: int) -> int:
    with lane.place():
        return cast("int", await lane.gather(work, number))


async def answers(lane: Gathering, work: Doubling, count: int) -> list[int | BaseException]:
    """Ask for so many at once, and let the work begin when all of them wait."""
    asked = [asyncio.ensure_future(placed(lane, work, number)) for number in range(count)]
    await asyncio.sleep(0)
    work.may_take.set()
    return await asyncio.gather(*asked, return_exceptions=True)


def test_each_is_told_its_own_answer_or_error(work: Doubling) -> None:
    told = asyncio.run(answers(Gathering("test", 2, 30, shares=2, others=lambda: True), work, 20))
    assert isinstance(told[0], NotFound)
    assert told[1:] == [2 * number for number in range(1, 20)]
    assert sorted(number for numbers in work.together for number in numbers) == list(range(20))


def test_a_thread_takes_its_share_of_who_waits_and_four_at_most(work: Doubling) -> None:
    asyncio.run(answers(Gathering("test", 1, 30, shares=2, others=lambda: True), work, 20))
    # Of 20 half would be ten; in the end half of 4, of 2 and of 1 is left.
    assert [len(numbers) for numbers in work.together] == [4, 4, 4, 4, 2, 1, 1]


def test_who_takes_while_the_other_core_is_busy_takes_its_share_too() -> None:
    may_take, may_end = threading.Semaphore(0), threading.Event()
    together: list[list[int]] = []

    def work(take: Take) -> list[int]:
        assert may_take.acquire(timeout=10)
        together.append(numbers := take())
        assert may_end.wait(10)
        return numbers

    async def ask(lane: Gathering, *numbers: int) -> asyncio.Future[list[int]]:
        asked = [asyncio.ensure_future(placed(lane, work, number)) for number in numbers]
        await asyncio.sleep(0)  # until all of them wait
        groups = len(together)
        may_take.release()
        await asyncio.to_thread(until, lambda: len(together) > groups)
        return asyncio.gather(*asked)

    async def main() -> None:
        lane = Gathering("test", 2, 9, shares=2, others=lambda: True)
        answers = [await ask(lane, 0), await ask(lane, 1, 2, 3)]
        may_end.set()
        may_take.release(9)
        assert await asyncio.wait_for(asyncio.gather(*answers), 10) == [[0], [1, 2, 3]]

    asyncio.run(main())
    assert together[:2] == [[0], [1, 2, 3]]


def test_no_more_threads_are_woken_than_who_waits_needs(work: Doubling) -> None:
    begun: list[int] = []

    def counted(take: Take) -> list[int | Exception]:
        begun.append(1)
        return work(take)

    async def main() -> list[int]:
        lane = Gathering("test", 8, 30, shares=2, others=lambda: True)
        asked = [asyncio.ensure_future(placed(lane, counted, number)) for number in range(1, 13)]
        await asyncio.sleep(0)
        await asyncio.to_thread(until, lambda: len(begun) == 3)  # of four people each
        work.may_take.set()
        return await asyncio.wait_for(asyncio.gather(*asked), 10)

    assert asyncio.run(main()) == [2 * number for number in range(1, 13)]
    assert len(begun) < 8


def test_beyond_the_room_it_is_refused_and_the_room_is_given_back(work: Doubling) -> None:
    lane = Gathering("test", 1, 2, shares=1, others=lambda: True)
    told = asyncio.run(answers(lane, work, 5))
    assert [type(answer) for answer in told[3:]] == [Overloaded, Overloaded]
    assert told[1:3] == [2, 4]
    with lane.place():
        pass


def test_an_error_of_the_work_is_told_to_each_that_waits(work: Doubling) -> None:
    def before(take: Take) -> list[int]:
        raise OSError("nothing could be taken")

    def after(take: Take) -> list[int]:
        take()
        raise OSError("what was taken got lost")

    def in_vain(take: Take) -> list[int]:
        take()
        return take()[1:]

    def nobody(take: Take) -> list[int]:
        return []

    failing = {before: OSError, after: OSError, in_vain: RuntimeError, nobody: RuntimeError}
    for fails, error in failing.items():
        told = asyncio.run(_failing(fails))
        assert [type(answer) for answer in told] == [error] * 3


async def _failing(work: Callable[[Take], list[int]]) -> list[int | BaseException]:
    lane = Gathering("test", 1, 9, shares=1, others=lambda: True)
    asked = (placed(lane, work, number) for number in range(3))
    return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)


def test_who_gave_up_keeps_nobody_from_an_answer(work: Doubling) -> None:
    async def main() -> tuple[BaseException | int, ...]:
        lane = Gathering("test", 1, 9, shares=1, others=lambda: True)
        asked = [asyncio.ensure_future(placed(lane, work, number)) for number in (1, 2)]
        await asyncio.sleep(0)
        asked[0].cancel()
        work.may_take.set()
        return tuple(await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10))

    first, second = asyncio.run(main())
    assert isinstance(first, asyncio.CancelledError)
    assert second == 4
    until(lambda: work.together == [[2]])  # nothing was begun for who gave up


async def times_of_answers(lane: Gathering, work: Doubling, count: int) -> list[float]:
    """Ask for so many at once; give the times at which they are told."""
    times = []

    async def ask(number: int) -> None:
        await placed(lane, work, number)
        times.append(asyncio.get_running_loop().time())

    asked = [asyncio.ensure_future(ask(number)) for number in range(1, count + 1)]
    await asyncio.sleep(0)
    work.may_take.set()
    await asyncio.wait_for(asyncio.gather(*asked), 10)
    return times


def moments_of(lane: Gathering, monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """Give a list to which each moment comes in which somebody is told, with how many are."""
    tell, moments = lane._tell, list[tuple[float, int]]()

    def telling(loop: asyncio.AbstractEventLoop) -> None:
        at, before = loop.time(), len(lane._answers)
        tell(loop)
        if told := before - len(lane._answers):
            moments.append((at, told))

    monkeypatch.setattr(lane, "_tell", telling)
    return moments


@pytest.mark.parametrize("groups", [1, 2])
def test_those_who_were_dealt_with_together_are_told_one_after_the_other(
    work: Doubling, monkeypatch: pytest.MonkeyPatch, groups: int
) -> None:
    lane = Gathering("test", groups, 9, shares=groups, others=lambda: True)
    moments = moments_of(lane, monkeypatch)
    asyncio.run(times_of_answers(lane, work, 4 * groups))
    assert len(work.together) == 1 if groups == 1 else len(work.together) > 1
    assert [told for _, told in moments] == [1] * 4 * groups
    assert all(later - earlier > 0.0015 for (earlier, _), (later, _) in pairwise(moments))


def test_where_many_are_told_at_once_none_waits_long(work: Doubling) -> None:
    lane = Gathering("test", 40, 400, shares=40, others=lambda: True)
    told = asyncio.run(times_of_answers(lane, work, 400))
    assert told[-1] - told[0] < 400 * 0.002 / 2


def test_a_lane_that_has_told_everything_rests(
    work: Doubling, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = Gathering("test", 1, 9, shares=1, others=lambda: True)
    tell, times = lane._tell, list[float]()

    def telling(loop: asyncio.AbstractEventLoop) -> None:
        times.append(loop.time())
        tell(loop)

    async def main() -> None:
        await times_of_answers(lane, work, 4)
        await asyncio.sleep(10 * 0.002)

    monkeypatch.setattr(lane, "_tell", telling)
    asyncio.run(main())
    assert len(times) == 4 + 1


def test_an_answer_that_cannot_be_told_keeps_nobody_else_waiting(
    work: Doubling, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = Gathering("test", 1, 9, shares=1, others=lambda: True)
    set_, has_failed = gathering._set, asyncio.Event()

    def fail_once(*_: Any) -> None:
        monkeypatch.setattr(gathering, "_set", set_)
        has_failed.set()
        raise TypeError("no error for a future")

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        untold = asyncio.ensure_future(placed(lane, work, 1))
        await asyncio.sleep(0)
        monkeypatch.setattr(gathering, "_set", fail_once)
        work.may_take.set()
        await asyncio.wait_for(has_failed.wait(), 10)
        assert await asyncio.wait_for(placed(lane, work, 2), 10) == 4
        untold.cancel()

    asyncio.run(main())


def test_where_nobody_else_asks_for_anything_all_are_told_at_once(
    work: Doubling, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = Gathering("test", 1, 9, shares=1, others=lambda: False)
    moments = moments_of(lane, monkeypatch)
    asyncio.run(times_of_answers(lane, work, 4))
    assert [told for _, told in moments] == [4]
