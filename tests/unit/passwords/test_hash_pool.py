"""Hashing on every core: the same in threads of this process and in worker processes."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from functools import partial
from unicodedata import normalize

import argon2
import pytest
from tests.support.hashing import profile_that_takes, record_hashed
from tests.support.users import PASSWORD
from tests.support.waiting import wait_until

from anyscale.domain import passwords
from anyscale.errors import HashingUnavailable
from anyscale.server.core.hashing import argon2id
from anyscale.server.core.hashing.argon2id import CHEAPEST, Hasher, Profile
from anyscale.server.core.hashing.pool import PasswordHashPool


@pytest.fixture(params=[False, True], ids=["threads", "processes"])
def hashing(request: pytest.FixtureRequest) -> Iterator[PasswordHashPool]:
    """Not at the lowest priority, which gets little of a core that others keep busy."""
    with closing(PasswordHashPool(CHEAPEST, in_processes=request.param, niceness=0)) as hashing:
        yield hashing


def test_a_server_normalizes_passwords_in_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    composed, decomposed = "sångbok-på-ön", normalize("NFD", "sångbok-på-ön")

    def refuse(_: str) -> str:
        raise AssertionError("a password is normalized in the server's own process")

    for module in (passwords, argon2id):
        monkeypatch.setattr(module, "normalized", refuse)
    with closing(PasswordHashPool(CHEAPEST, in_processes=True)) as hashing:
        (stored,) = hashing.hash_many([decomposed])
        assert hashing.verify(stored, composed)
        (fault,) = hashing.faults([decomposed], [("Sångbok", None, "jane@example.com")], 8)
        assert fault
        assert fault[0] == "password_personal"


def test_the_right_password_is_right_and_another_is_not(hashing: PasswordHashPool) -> None:
    stored = hashing.hash(PASSWORD)
    assert hashing.verify(stored, PASSWORD)
    for wrong in ("", PASSWORD.upper(), f"{PASSWORD} ", PASSWORD[:-1], "\ud800"):
        assert not hashing.verify(stored, wrong)


@pytest.mark.parametrize("password", ["", PASSWORD, "\ud800"])
def test_nothing_is_verified_without_a_hash(hashing: PasswordHashPool, password: str) -> None:
    assert not hashing.verify(None, password)
    assert not hashing.verify("", password)
    assert not hashing.verify("not a hash", password)


def test_a_hash_of_another_profile_is_verified_and_needs_a_rehash(
    hashing: PasswordHashPool,
) -> None:
    stored = hashing.hash(PASSWORD)
    assert not hashing.needs_rehash(stored)
    with closing(PasswordHashPool(Profile(memory_kib=16, passes=1))) as stronger:
        assert stronger.needs_rehash(stored)
        assert stronger.verify(stored, PASSWORD)


def test_hashes_come_in_the_order_of_the_passwords(hashing: PasswordHashPool) -> None:
    passwords = [f"password number {number}" for number in range(40)]
    hashed = record_hashed(hashing)
    hashes = hashing.hash_many(passwords)
    assert all(hashing.verify(text, known) for text, known in zip(hashes, passwords, strict=True))
    assert sorted(hashed) == sorted(passwords)
    assert hashing.hash_many([]) == []


def test_faults_are_those_of_the_policy(hashing: PasswordHashPool) -> None:
    own = ("Jane", None, "jane@example.com")
    faults = hashing.faults(["short", PASSWORD, "password1234"], [own] * 3, 8)
    assert [fault and fault[0] for fault in faults] == [
        "password_too_short",
        None,
        "password_common",
    ]


def test_a_password_that_cannot_be_hashed_stops_the_others(hashing: PasswordHashPool) -> None:
    compute, is_stopped = hashing._hash, threading.Event()

    def compute_when_stopped(passwords: Sequence[str]) -> list[str]:
        if "\ud800" not in passwords:
            is_stopped.wait(60)
        return compute(passwords)

    vars(hashing)["_hash"] = compute_when_stopped
    hashed = record_hashed(hashing)
    with pytest.raises(UnicodeEncodeError):
        hashing.hash_many(["\ud800", *[PASSWORD] * 2_000])
    is_stopped.set()
    assert hashing.hash(PASSWORD)  # after all that were not stopped, but for some in other threads
    assert len(hashed) < 1_990


def test_a_thread_that_cannot_be_started_is_an_error_of_hashing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with closing(PasswordHashPool(CHEAPEST)) as hashing:
        monkeypatch.setattr(threading.Thread, "start", start)
        with pytest.raises(HashingUnavailable, match="starts no thread"):
            hashing.hash_many(["password"])


def test_there_is_a_thread_for_each_core_and_each_yields_to_others() -> None:
    cores = len(os.sched_getaffinity(0))
    with closing(PasswordHashPool(CHEAPEST)) as hashing:
        hashing.hash_many([PASSWORD] * cores * 8)
        threads = list(hashing._threads._threads)
        assert hashing._threads._max_workers == cores
        assert 1 <= len(threads) <= cores

        def priorities() -> set[int]:
            return {os.getpriority(os.PRIO_PROCESS, each.native_id or 0) for each in threads}

        # A thread lowers its priority before its first job, which the others may have done by now.
        wait_until(lambda: priorities() == {19})
        assert os.getpriority(os.PRIO_PROCESS, 0) < 19


def test_both_libraries_release_the_lock_of_python() -> None:
    """While one thread hashes, another one continues: it would wait for the whole hash else."""
    slow = profile_that_takes(0.1)
    by_argon2 = argon2.PasswordHasher(slow.passes, slow.memory_kib, 2).hash(PASSWORD)
    hasher = Hasher(slow)
    for job in (partial(hasher.hash, [PASSWORD]), partial(hasher.verify, by_argon2, PASSWORD)):
        assert continues_during(job)


def continues_during(job: Callable[[], object]) -> bool:
    """Run a job in another thread; return whether this one runs in the middle of its work.

    In processor time, so that it does not matter when a loaded machine runs either of them.
    """
    begin, moments = time.process_time(), list[float]()
    with ThreadPoolExecutor(1) as pool:
        hashing: Future[object] = pool.submit(job)
        while not wait([hashing], 0.001).done:
            moments.append(time.process_time() - begin)
    return any(0.2 < moment / moments[-1] < 0.8 for moment in moments)


def test_closing_ends_the_threads() -> None:
    hashing = PasswordHashPool(CHEAPEST)
    hashing.hash_many([PASSWORD])
    threads = list(hashing._threads._threads)
    hashing.close()
    assert not any(thread.is_alive() for thread in threads)
    PasswordHashPool(CHEAPEST).close()
