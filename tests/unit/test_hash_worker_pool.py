"""Threads that take turns at processes that hash."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

import pytest
from tests.support.waiting import wait_until

from anyscale.errors import NotFound
from anyscale.server.core.hashing.argon2id import Profile
from anyscale.server.core.hashing.worker import HashJob, HashWorker, Job, VerifyJob
from anyscale.server.core.hashing.worker_pool import HashWorkers

#: for long enough that another one waits
_SLOW = Profile(memory_kib=19456, passes=10)

_HASH = HashJob(["correct horse battery"])


@pytest.fixture
def processes() -> Iterator[HashWorkers]:
    with closing(HashWorkers(_SLOW, 1)) as processes:
        yield processes


def _wait(processes: HashWorkers, count: int) -> bool:
    return len(processes._turns) == count


def in_turn(
    processes: HashWorkers,
    second: Callable[[], Job | None],
    third: Callable[[], Job],
) -> list[Future[list[Any]]]:
    """Let one ask, and two more who have to wait."""
    processes.ask(lambda: VerifyJob([]))  # it has begun
    asks = threading.Event()

    def first() -> Job:
        asks.set()
        return _HASH

    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(processes.ask, first)]
        assert asks.wait(10)
        for number, question in enumerate((second, third), 1):
            asked.append(pool.submit(processes.ask, question))
            wait_until(partial(_wait, processes, number))
    return asked


def test_whoever_was_served_asks_for_who_waits(processes: HashWorkers) -> None:
    threads = list[int]()

    def question() -> Job:
        threads.append(threading.get_ident())
        return VerifyJob([(None, b"a guess"), (None, b"another")])

    first, second, third = in_turn(processes, question, lambda: _HASH)
    assert len(first.result()) == len(third.result()) == 1
    assert second.result() == [False, False]
    assert len(set(threads)) == 2  # one has asked, another one has waited for the answer


def test_a_question_that_cannot_be_found_out_is_told_to_its_own_thread(
    processes: HashWorkers,
) -> None:
    def question() -> Job:
        raise NotFound("there is none")

    first, second, third = in_turn(processes, question, lambda: _HASH)
    with pytest.raises(NotFound):
        second.result()
    assert len(first.result()) == len(third.result()) == 1


def test_a_process_that_dies_between_two_leaves_nobody_without_an_answer(
    processes: HashWorkers,
) -> None:
    processes.ask(lambda: _HASH)
    (process,) = processes.begun()

    def question() -> Job:
        if process.is_alive:
            os.kill(process.pid, signal.SIGKILL)
            process._process.wait()
        return _HASH

    first, second, third = in_turn(processes, question, lambda: _HASH)
    assert all(len(asked.result()) == 1 for asked in (first, second, third))
    assert processes.begun() != [process]


def test_an_answer_that_nobody_took_is_given_to_nobody_else(processes: HashWorkers) -> None:
    calls = list[int]()

    def question() -> Job:
        calls.append(1)
        if len(calls) > 1:  # it was asked already, by whoever was served before
            raise NotFound("there is none any more")
        return VerifyJob([(None, b"a guess")] * 2)

    first, second, third = in_turn(processes, question, lambda: _HASH)
    with pytest.raises(NotFound):
        second.result()
    assert len(first.result()) == 1
    assert third.result()[0].startswith("$argon2id$")


def test_nothing_is_asked_for_who_asks_nothing(processes: HashWorkers) -> None:
    assert processes.ask(lambda: None) == []
    assert processes.begun() == []
    processes.ask(lambda: _HASH)
    begun = processes.begun()
    first, second, third = in_turn(processes, lambda: None, lambda: _HASH)
    assert second.result() == []
    assert len(first.result()) == len(third.result()) == 1
    assert processes.begun() == begun


def test_an_answer_that_could_not_be_read_is_given_to_nobody_else(
    processes: HashWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(HashWorker, "answer", fail)
        with pytest.raises(MemoryError):
            processes.ask(lambda: VerifyJob([(None, b"a guess")] * 2))
    assert processes.ask(lambda: _HASH)[0].startswith("$argon2id$")
