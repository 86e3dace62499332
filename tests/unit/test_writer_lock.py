"""The lock of SQLite's writer: in the order of asking, and never lost."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from functools import partial

import pytest
from tests.support.faults.interrupts import Interrupt
from tests.support.waiting import wait_until

from anyscale.server.store.sqlite import writer_lock
from anyscale.server.store.sqlite.writer_lock import WriterLock


def test_threads_get_the_lock_in_the_order_of_their_requests() -> None:
    lock, order = WriterLock(), list[int]()

    def write(number: int) -> None:
        with lock.lock():
            order.append(number)

    with ThreadPoolExecutor(20) as pool, lock.lock():
        for number in range(20):
            pool.submit(write, number)
            wait_until(partial(_waits_for, lock, number + 1))

    assert order == list(range(20))
    assert not lock.locked()


def test_a_thread_that_takes_the_lock_again_and_again_lets_one_that_waits_pass() -> None:
    lock, passed = WriterLock(), threading.Event()

    def wait() -> None:
        with lock.lock():
            passed.set()

    with lock.lock():
        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(partial(_waits_for, lock, 1))
    with lock.lock():  # at once, without a pause
        assert passed.is_set()
    waiting.join()


def test_another_write_comes_before_the_slices_that_wait_but_for_one_in_between() -> None:
    lock, order = WriterLock(), list[bool]()

    def write(is_slice: bool) -> None:
        with lock.lock(is_slice=is_slice):
            order.append(is_slice)

    with ThreadPoolExecutor(6) as pool, lock.lock(is_slice=True):
        for number, is_slice in enumerate([True, True, True, False, False, False]):
            pool.submit(write, is_slice)
            wait_until(partial(_waits_for, lock, number + 1))

    assert order == [False, True] * 3
    assert not lock.locked()


def test_only_one_thread_has_the_lock() -> None:
    lock, inside, most = WriterLock(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(2_000):
            with lock.lock():
                inside += 1
                most = max(most, inside)
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work) for _ in range(8)]:
            future.result()

    assert most == 1
    assert not lock.locked()


def test_a_thread_whose_time_is_up_leaves_the_lock_to_others() -> None:
    lock = WriterLock()
    with _locked_by_another_thread(lock):
        for seconds in (0, 0.01):
            with lock.lock(seconds) as is_locked:
                assert not is_locked
    with lock.lock(0) as is_locked:
        assert is_locked
    assert not lock.locked()


@pytest.mark.parametrize("is_free", [True, False])
def test_an_interrupt_at_any_line_of_locking_leaves_the_lock_to_others(is_free: bool) -> None:
    lock, interrupts = WriterLock(), 0

    def is_interrupted(number: int) -> bool:
        with (
            Interrupt(number, writer_lock.__file__) as interrupt,
            suppress(KeyboardInterrupt),
            lock.lock(0.001),
        ):
            interrupt.cancel()
        return interrupt.is_raised

    with nullcontext() if is_free else _locked_by_another_thread(lock):
        while is_interrupted(interrupts):
            assert len(lock._line) == (0 if is_free else 1)
            interrupts += 1
    assert interrupts > (5 if is_free else 8)
    assert not lock.locked()


def test_after_an_interrupt_at_any_line_of_a_block_the_thread_can_lock_again() -> None:
    lock, interrupts = WriterLock(), 0

    def is_interrupted(number: int) -> bool:
        with (
            Interrupt(number, writer_lock.__file__) as interrupt,
            suppress(KeyboardInterrupt),
            lock.lock(),
        ):
            pass
        return interrupt.is_raised

    while is_interrupted(interrupts):
        assert _lock_at_once(lock), f"it waits for itself after an interrupt at line {interrupts}"
        interrupts += 1
    assert interrupts > 15
    assert not lock.locked()


def test_a_thread_that_waits_is_first_although_nobody_has_woken_it() -> None:
    """As after an interrupt that came when a thread had left the line."""
    lock, passed = WriterLock(), threading.Event()

    def wait() -> None:
        with lock.lock():
            passed.set()

    with lock.lock():
        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(partial(_waits_for, lock, 1))
        lock._line.popleft()
        waiting.join(30)
        assert passed.is_set()
    assert not lock.locked()


def test_a_thread_leaves_the_line_with_a_block_whose_end_was_skipped() -> None:
    lock = WriterLock()
    skipped = lock.lock()
    skipped.__enter__()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lock.leave).result(30)
        assert lock.locked()  # it is the lock of another thread
        lock.leave()
        assert pool.submit(_lock_at_once, lock).result(30)
    skipped.__exit__(None, None, None)
    assert not lock.locked()


def _lock_at_once(lock: WriterLock) -> bool:
    with lock.lock(0) as is_locked:
        return is_locked


@contextmanager
def _locked_by_another_thread(lock: WriterLock) -> Iterator[None]:
    done = threading.Event()

    def work() -> None:
        with lock.lock():
            done.wait(30)

    working = threading.Thread(target=work)
    working.start()
    wait_until(lock.locked)
    yield
    done.set()
    working.join(30)


def _waits_for(lock: WriterLock, threads: int) -> bool:
    return len(lock._line) == 1 + threads
