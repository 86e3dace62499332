"""Hashing in worker processes, which may die, stop, or have no memory."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.support.faults.stopping import process_state
from tests.support.hashing import profile_that_takes
from tests.support.users import PASSWORD
from tests.support.waiting import wait_until

from anyscale.errors import HashingUnavailable
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing import worker_queue
from anyscale.server.core.hashing.argon2id import CHEAPEST, Hasher, Profile
from anyscale.server.core.hashing.jobs import CheckJob, HashJob, VerifyJob
from anyscale.server.core.hashing.pool import PasswordHashPool
from anyscale.server.core.hashing.worker import HashWorker
from anyscale.server.core.hashing.worker_queue import WorkerQueue
from anyscale.server.settings import Settings


def idle(queue: WorkerQueue) -> list[HashWorker]:
    """Return the workers that have started and have no job."""
    with queue._idle.mutex:
        return [worker for worker in queue._idle.queue if worker]


def idle_workers(hashing: PasswordHashPool) -> list[HashWorker]:
    assert hashing._workers
    return idle(hashing._workers)


def is_alive(worker: HashWorker) -> bool:
    return worker._process.poll() is None


def the_worker(queue: WorkerQueue) -> HashWorker:
    """Start the worker of a queue of one, and return it."""
    assert queue.run(VerifyJob(None, b"a guess")) is False
    (worker,) = idle(queue)
    return worker


@pytest.fixture
def slow() -> Profile:
    """Its hashes take so long that a test meets a worker at work."""
    return profile_that_takes(0.1)


@pytest.fixture
def queue(slow: Profile) -> Iterator[WorkerQueue]:
    """Not at the lowest priority, which gets little of a core that others keep busy."""
    with closing(WorkerQueue(slow, 1, niceness=0)) as queue:
        yield queue


@pytest.fixture
def often_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for stopped workers more often."""
    monkeypatch.setattr(worker_queue, "_WATCH_SECONDS", 0.1)


# Worker processes


def test_there_is_a_process_for_each_core_and_each_yields_to_others() -> None:
    with closing(PasswordHashPool(CHEAPEST, in_processes=True)) as hashing:
        hashing.hash_many([PASSWORD] * 16)
        pids = [worker.pid for worker in idle_workers(hashing)]
        assert 1 <= len(pids) <= len(os.sched_getaffinity(0))
        assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in pids} == {19}
        assert os.getpriority(os.PRIO_PROCESS, 0) < 19
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_sign_ins_go_before_the_passwords_of_batches_and_after_other_requests(
    tmp_path: Path,
) -> None:
    settings = Settings(database=tmp_path / "anyscale.db")
    control_plane = ControlPlane(settings, profile=CHEAPEST, hash_in_processes=True)
    with closing(control_plane):
        pools = control_plane.hashing, control_plane.password_login._hashing
        for pool in pools:
            pool.hash(PASSWORD)
        batch, sign_in = (
            os.getpriority(os.PRIO_PROCESS, idle_workers(pool)[0].pid) for pool in pools
        )
    assert os.getpriority(os.PRIO_PROCESS, 0) < sign_in < batch


def test_a_worker_imports_no_module_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with closing(WorkerQueue(CHEAPEST, 1)) as queue:
        assert queue.run(HashJob([PASSWORD]))


def test_no_more_workers_start_than_have_a_job_at_once() -> None:
    with closing(PasswordHashPool(CHEAPEST, in_processes=True, niceness=0)) as hashing:
        stored = hashing.hash(PASSWORD)
        assert all(hashing.verify(stored, PASSWORD) for _ in range(8))
        assert len(idle_workers(hashing)) == 1


def test_a_worker_ignores_sigterm_which_its_server_handles() -> None:
    with closing(PasswordHashPool(CHEAPEST, in_processes=True, niceness=0)) as hashing:
        hashing.hash_many([PASSWORD])
        workers = idle_workers(hashing)
        for worker in workers:
            os.kill(worker.pid, signal.SIGTERM)
        assert hashing.hash_many([PASSWORD] * 16)
        assert workers
        assert all(is_alive(worker) for worker in workers)


def test_a_worker_without_a_job_sleeps() -> None:
    with closing(HashWorker(CHEAPEST, niceness=0)) as worker:
        assert worker.run(HashJob([PASSWORD]))
        wait_until(lambda: state_of(worker.pid) == "S")


def test_no_job_shows_a_password() -> None:
    for job in (
        HashJob([PASSWORD]),
        VerifyJob(None, PASSWORD.encode()),
        CheckJob([PASSWORD], [(None, None, None)], 8),
    ):
        assert PASSWORD not in repr(job)


def test_closing_finishes_the_jobs_and_leaves_no_process(slow: Profile) -> None:
    hashing = PasswordHashPool(slow, in_processes=True, niceness=0)
    stored = hashing.hash(PASSWORD)
    (worker,) = idle_workers(hashing)
    with ThreadPoolExecutor(1) as pool:
        right = pool.submit(hashing.verify, stored, PASSWORD)
        wait_until(lambda: right.done() or not idle_workers(hashing))
        hashing.close()
        assert right.result(timeout=30)
    assert not is_alive(worker)
    assert not idle_workers(hashing)


def test_a_closed_pool_takes_no_job() -> None:
    hashing = PasswordHashPool(CHEAPEST, in_processes=True)
    hashing.close()
    with pytest.raises(HashingUnavailable, match="stopping"):
        hashing.verify(None, PASSWORD)


# A worker that dies, stops, or has no memory


def start_jobs(queue: WorkerQueue, *numbers: int) -> list[Future[list[str]]]:
    """Start jobs in threads, and wait until one of them has the worker or all are done."""
    pool = ThreadPoolExecutor(len(numbers))
    jobs = [pool.submit(queue.run, HashJob([f"{PASSWORD} {i}"])) for i in numbers]
    pool.shutdown(wait=False)
    wait_until(lambda: not idle(queue) or all(job.done() for job in jobs))
    return jobs


@pytest.mark.usefixtures("often_watched")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_dies_or_stops_at_work_is_replaced_and_every_job_is_done(
    queue: WorkerQueue, slow: Profile, number: signal.Signals
) -> None:
    worker = the_worker(queue)
    jobs = start_jobs(queue, 0, 1)
    os.kill(worker.pid, number)
    jobs += start_jobs(queue, 2)  # also if the others were done before
    hashes = [job.result(timeout=30)[0] for job in jobs]
    hasher = Hasher(slow)
    assert all(hasher.verify(text, f"{PASSWORD} {i}") for i, text in enumerate(hashes))
    assert not is_alive(worker)
    (replacement,) = idle(queue)
    assert is_alive(replacement)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_an_idle_worker_that_dies_or_stops_is_replaced_within_10_seconds(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long the imports of the new one take is a matter of the machine."""
    replaced: list[float] = []

    def replace(profile: Profile, niceness: int) -> HashWorker:
        replaced.append(time.monotonic())
        return HashWorker(profile, niceness)

    with closing(WorkerQueue(CHEAPEST, 1, niceness=0)) as queue:
        worker = the_worker(queue)
        monkeypatch.setattr(worker_queue, "HashWorker", replace)
        os.kill(worker.pid, number)
        started = time.monotonic()
        assert queue.run(VerifyJob(None, PASSWORD.encode())) is False
        (moment,) = replaced
        assert moment - started < 10
        assert not is_alive(worker)


@pytest.mark.usefixtures("often_watched")
def test_a_stopped_worker_with_a_job_larger_than_its_pipe_is_replaced(queue: WorkerQueue) -> None:
    worker = the_worker(queue)
    os.kill(worker.pid, signal.SIGSTOP)
    job = CheckJob(["x" * 1_000] * 1_000, [(None, None, None)] * 1_000, 8)
    assert len(queue.run(job)) == 1_000
    assert not is_alive(worker)


def test_a_job_is_tried_twice_and_then_fails(
    queue: WorkerQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = []

    def die(worker: HashWorker, _: object) -> None:
        pids.append(worker.pid)
        os.kill(worker.pid, signal.SIGKILL)
        raise EOFError

    with monkeypatch.context() as patched:
        patched.setattr(HashWorker, "run", die)
        with pytest.raises(HashingUnavailable, match="died"):
            queue.run(HashJob([PASSWORD]))
    assert len(set(pids)) == 2
    assert not idle(queue)
    assert queue.run(HashJob([PASSWORD]))


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_response_that_could_not_be_read_is_given_to_no_other_job(
    queue: WorkerQueue, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fail(*_: object) -> None:
        raise error

    worker = the_worker(queue)
    with monkeypatch.context() as patched:
        patched.setattr("anyscale.server.core.hashing.worker._receive", fail)
        with pytest.raises(error):
            queue.run(VerifyJob(None, b"a guess"))
    assert not is_alive(worker)
    assert queue.run(HashJob([PASSWORD]))[0].startswith("$argon2id$")


def test_a_worker_without_memory_fails_only_its_own_job(queue: WorkerQueue) -> None:
    worker = the_worker(queue)
    pages = int(Path(f"/proc/{worker.pid}/statm").read_text("ascii").split()[0])
    soft, hard = resource.prlimit(worker.pid, resource.RLIMIT_AS)
    resource.prlimit(worker.pid, resource.RLIMIT_AS, ((pages + 256) * resource.getpagesize(), hard))
    with pytest.raises(HashingUnavailable, match="memory"):
        queue.run(HashJob([PASSWORD]))
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (soft, hard))
    assert queue.run(HashJob([PASSWORD]))
    assert idle(queue) == [worker]


def test_jobs_fail_while_no_process_can_be_started_and_are_done_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    with closing(PasswordHashPool(CHEAPEST, in_processes=True, niceness=0)) as hashing:
        with monkeypatch.context() as patched:
            patched.setattr("anyscale.server.core.hashing.worker_queue.HashWorker", refuse)
            for _ in range(2 * len(os.sched_getaffinity(0))):
                with pytest.raises(HashingUnavailable, match="Resource temporarily unavailable"):
                    hashing.hash_many([PASSWORD])
        stored = hashing.hash(PASSWORD)
        assert all(hashing.verify(stored, PASSWORD) for _ in range(4))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_died_or_stopped_does_not_delay_closing(number: signal.Signals) -> None:
    hashing = PasswordHashPool(CHEAPEST, in_processes=True, niceness=0)
    hashing.hash_many([PASSWORD] * 8)
    workers = idle_workers(hashing)
    for worker in workers:
        os.kill(worker.pid, number)
    started = time.monotonic()
    hashing.close()
    assert time.monotonic() - started < 10
    assert not any(is_alive(worker) for worker in workers)


SERVER = """
import sys
from anyscale.server.core.hashing.argon2id import OWASP
from anyscale.server.core.hashing.pool import PasswordHashPool
hashing = PasswordHashPool(OWASP, in_processes=True, niceness=0)
hashing.verify(None, "a guess")
print(next(filter(None, hashing._workers._idle.queue)).pid, flush=True)
sys.stdin.readline()
while True:  # until it is killed
    hashing.hash_many(["correct horse"] * 4)
"""


def sleep(pid: int) -> None:
    wait_until(lambda: state_of(pid) == "S")


def stop(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: state_of(pid) == "T")


def work(pid: int) -> None:
    wait_until(lambda: state_of(pid) == "R")


@pytest.mark.parametrize("before", [sleep, stop, work])
def test_no_worker_outlives_a_server_that_is_killed(before: Callable[[int], None]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin
        assert server.stdout
        pid = int(server.stdout.readline())
        assert state_of(pid)
        if before is work:
            server.stdin.write(b"go\n")
            server.stdin.flush()
        before(pid)
        server.kill()
    wait_until(lambda: state_of(pid) in ("", "Z"))


def state_of(pid: int) -> str:
    """Return the state of a process: R runs, S sleeps, T is stopped, Z has ended; or nothing."""
    with suppress(OSError):
        return process_state(Path(f"/proc/{pid}"))
    return ""


def test_a_worker_does_not_get_the_environment_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANYSCALE_DATABASE_URL", "postgresql://jane:secret@db/roll")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    worker = HashWorker(CHEAPEST, niceness=0)
    try:
        worker.run(HashJob([PASSWORD]))
        names = Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0")[:-1]
    finally:
        worker.kill()
    assert b"PYTHONHASHSEED=7" in names
    assert [name for name in names if not name.startswith((b"PYTHON", b"LD_"))] == []
