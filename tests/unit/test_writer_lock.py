"""The lock of SQLite's writer: in the order of asking, and never lost."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from tests.support.waiting import wait_until

from anyscale.server.store.sqlite.writer_lock import WriterLock


def test_threads_get_the_lock_in_the_order_in_which_they_asked_for_it() -> None:
    lock, order = WriterLock(), list[int]()

    def write(number: int) -> None:
        with lock:
            order.append(number)

    with ThreadPoolExecutor(20) as pool, lock:
        for number in range(20):
            pool.submit(write, number)
            wait_until(partial(_waits_for, lock, number + 1))

    assert order == list(range(20))
    assert not lock.locked()


def test_a_thread_that_takes_the_lock_again_and_again_lets_one_that_waits_pass() -> None:
    lock, passed = WriterLock(), threading.Event()

    def wait() -> None:
        with lock:
            passed.set()

    with lock:
        waiting = threading.Thread(target=wait)
        waiting.start()
        wait_until(lambda: bool(lock._waiting))
    with lock:  # at once, without a pause
        assert passed.is_set()
    waiting.join()


def test_only_one_thread_has_the_lock() -> None:
    lock, inside, most = WriterLock(), 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(2_000):
            with lock:
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
    with lock:
        assert not lock.acquire(0)
        assert not lock.acquire(0.01)
    assert not lock.locked()
    assert lock.acquire(0)
    lock.release()
    assert not lock.locked()


@pytest.mark.parametrize("is_turn_taken", [False, True])
def test_a_thread_that_is_interrupted_while_it_waits_leaves_the_lock_to_others(
    monkeypatch: pytest.MonkeyPatch, is_turn_taken: bool
) -> None:
    lock = WriterLock()
    lock.__enter__()

    class InterruptedTurn:
        """What `threading.Lock` is to a thread that Ctrl-C interrupts while it waits."""

        calls = 0

        def acquire(self, timeout: float = -1) -> None:  # noqa: ARG002 - as `threading.Lock`
            self.calls += 1
            if self.calls == 2:
                if is_turn_taken:
                    lock.__exit__(None, None, None)
                raise KeyboardInterrupt

        def release(self) -> None:
            """Do as `threading.Lock`."""

    monkeypatch.setattr(threading, "Lock", InterruptedTurn)
    with pytest.raises(KeyboardInterrupt), lock:
        pytest.fail("an interrupted thread has no lock")
    monkeypatch.undo()

    assert lock.locked() is not is_turn_taken
    assert not lock._waiting


def _waits_for(lock: WriterLock, threads: int) -> bool:
    return len(lock._waiting) == threads
