"""A queue of worker processes: one for each core, started when they are needed."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import LifoQueue
from typing import Any

from anyscale.errors import HashingUnavailable
from anyscale.server.core.hashing.argon2id import Profile
from anyscale.server.core.hashing.jobs import NICENESS, Job
from anyscale.server.core.hashing.worker import HashWorker

_log = logging.getLogger("anyscale.server")

#: A job whose worker has died is done once more, by another one: to hash twice does no harm.
_ATTEMPTS = 2

#: seconds between two looks for workers that a signal has stopped
_WATCH_SECONDS = 2.0


class WorkerQueue:
    """Idle workers. A job takes one, and puts it back.

    A worker that dies fails only its own job, and is replaced by the next job.
    """

    def __init__(self, profile: Profile, count: int, niceness: int = NICENESS) -> None:
        self._profile = profile
        self._niceness = niceness
        self._count = count
        #: None stands for a worker that is still to be started. The last one used comes first, so
        #: that no more are started than are needed.
        self._idle: LifoQueue[HashWorker | None] = LifoQueue()
        for _ in range(count):
            self._idle.put(None)
        self._started: set[HashWorker] = set()
        self._lock = threading.Lock()
        #: set when the queue starts no more workers, and when all of them have ended
        self._closed = threading.Event()
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="hash-workers", daemon=True)

    def run(self, job: Job) -> Any:
        """Have a job done by a worker, as soon as one is idle, and return the result.

        Raises:
            HashingUnavailable: no worker can be started, two have died over the job, there is not
                enough memory, or the queue is closed.
        """
        for _ in range(_ATTEMPTS):
            try:
                with self._worker() as worker:
                    return worker.run(job)
            except (EOFError, OSError):
                _log.error("hash worker lost", extra={"worker": worker.pid})
        raise HashingUnavailable("the process that hashes passwords has died: try again later")

    def close(self) -> None:
        """Let the workers finish their jobs, and end them."""
        self._closed.set()
        # This takes all of them before it ends any: one that has a job comes when the job is done.
        for worker in [self._idle.get() for _ in range(self._count)]:
            if worker:
                worker.close()
            self._idle.put(None)
        self._ended.set()
        if self._watching.ident:
            self._watching.join()

    @contextmanager
    def _worker(self) -> Iterator[HashWorker]:
        worker = self._idle.get()
        try:
            worker = worker or self._start()
            yield worker
        except HashingUnavailable:
            raise
        except BaseException:  # the response to this job may still be in the pipe
            if worker:
                with self._lock:
                    self._started.discard(worker)
                worker.kill()
            worker = None
            raise
        finally:
            self._idle.put(worker)

    def _start(self) -> HashWorker:
        if self._closed.is_set():
            raise HashingUnavailable("the server is stopping")
        try:
            worker = HashWorker(self._profile, self._niceness)
        except OSError as error:
            raise HashingUnavailable(
                f"no process can be started to hash passwords: {error.strerror}"
            ) from None
        with self._lock:
            self._started.add(worker)
            if not self._watching.ident:
                self._watching.start()
        return worker

    def _watch(self) -> None:
        """Kill workers that are stopped: their jobs fail at once, and go to other workers."""
        while not self._ended.wait(_WATCH_SECONDS):
            with self._lock:
                started = list(self._started)
            for worker in started:
                worker.kill_if_stopped()
