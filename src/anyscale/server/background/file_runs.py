"""The runs of a server process: each has a thread of its own, and needs no browser."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import Final, TypeVar

from anyscale.errors import (
    AnyscaleError,
    KeyReused,
    Overloaded,
    ServerFault,
    ServerUnreachable,
)
from anyscale.server.background.file_run import STOPPED, FileRun, StoppedRun
from anyscale.server.background.file_sync import FileSync
from anyscale.server.fault_place import place_of

_log = logging.getLogger("anyscale.server")

#: stopped runs that a process remembers
_MOST_STOPPED = 100

#: runs at once: each has a thread
_MOST_RUNS = 32
_RETRY_SECONDS = 30.0

#: Seconds that a server that stops waits for the chunks of all of its runs. What stops the server
#: kills it some time after the requests have ended, so this is short.
_STOP_SECONDS = 10.0

_MANY_RUNS = "The server works on many other files. Your file was not read: try again in a moment."
_OTHER_SYNC = "Another update of the accounts runs: wait for its end, and check the file again."
_OTHER_FILE = "a run of another file with this key is active: wait for its end, or choose its file"

_Run = TypeVar("_Run", bound=FileRun)


class FileRuns:
    """The runs of this process."""

    def __init__(self) -> None:
        self._active: dict[str, FileRun] = {}
        self._checks: list[FileRun] = []
        self._threads: dict[str, threading.Thread] = {}
        self._stopped: OrderedDict[str, StoppedRun] = OrderedDict()
        self._lock = threading.Lock()
        self._is_stopping = False
        #: when the server process was started, in seconds since 1970
        self.started_at: Final = time.time()

    def start(self, run: _Run) -> _Run:
        """Start a run, or return the one that has the key already, and the same file.

        Raises:
            ServerUnreachable: the server stops.
            KeyReused: a run of another file has the key.
            Overloaded: there are too many runs, or a sync runs: a process has one at a time, since
                each has its plan in memory.
        """
        with self._lock:
            if self._is_stopping:
                raise ServerUnreachable(STOPPED)
            if active := self._active.get(run.key):
                if not active.upload.is_same_as(run.upload):
                    raise KeyReused(_OTHER_FILE)
                assert isinstance(active, type(run))
                return active
            if isinstance(run, FileSync) and self._has_sync():
                raise Overloaded(_OTHER_SYNC, _RETRY_SECONDS)
            self._start_thread(run)
        return run

    def _has_sync(self) -> bool:
        return any(isinstance(run, FileSync) for run in self._active.values())

    def _start_thread(self, run: FileRun) -> None:
        """Start the thread of a run. The lock is held, so that `stop` joins started threads only.

        Raises:
            Overloaded: there are too many runs, or the system has no thread for it.
        """
        if len(self._active) >= _MOST_RUNS:
            raise Overloaded(_MANY_RUNS, _RETRY_SECONDS)
        thread = threading.Thread(
            target=copy_context().run, args=(self._work, run), name="console-run", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            raise Overloaded(_MANY_RUNS, _RETRY_SECONDS) from None
        # Its end waits for the lock, and removes both.
        self._active[run.key], self._threads[run.key] = run, thread
        # Only now: the request closes the file of a run that could not start.
        run.upload.is_kept = True

    def find(self, run_id: str) -> FileRun | None:
        """Return the run of a batch or a sync, if this process has it."""
        with self._lock:
            return next((r for r in self._active.values() if r.result.run_id == run_id), None)

    @contextmanager
    def checking(self, run: FileRun) -> Iterator[None]:
        """Let `of_form` find a check in the block."""
        with self._lock:
            self._checks.append(run)
        try:
            yield
        finally:
            with self._lock:
                self._checks.remove(run)

    def of_form(self, form_key: str, session_id: str) -> FileRun | None:
        """Return the check or the run of a form of a session, if this process has it."""
        with self._lock:
            runs = [*self._checks, *self._active.values()]
        for run in runs:
            if run.upload.form_key == form_key and run.caller.session.session_id == session_id:
                return run
        return None

    def of_session(self, session_id: str) -> list[FileRun]:
        """Return the runs of a session that have pages."""
        with self._lock:
            runs = [r for r in self._active.values() if r.caller.session.session_id == session_id]
        return [run for run in runs if run.result.run_id]

    def stopped(self, run_id: str) -> StoppedRun | None:
        """Return the last run of a batch or a sync that has stopped in this process."""
        return self._stopped.get(run_id)

    def stop(self) -> None:
        """Let the runs finish their chunks, and leave their batches open."""
        with self._lock:
            self._is_stopping = True
            threads = list(self._threads.values())
            for run in self._active.values():
                run.state.is_stopping = True
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self, run: FileRun) -> None:
        error: AnyscaleError | None = None
        try:
            run.work()
        except AnyscaleError as raised:
            error = raised
        except Exception as raised:  # noqa: BLE001 - the page that waits learns of a bug
            extra = {"kind": type(raised).__name__, "place": place_of(raised)}
            _log.error("a run of the console failed", extra=extra)
            error = ServerFault("a fault of the control plane: its log says where")
        # Within the lock: the file of an active run is open.
        with self._lock:
            if error:
                self._note_stop(run, error)
            self._active.pop(run.key, None)
            self._threads.pop(run.key, None)
            run.upload.close()
        # Only now: the page that shows the error shows no active run.
        run.result.end(error)

    def _note_stop(self, run: FileRun, error: AnyscaleError) -> None:
        # Who chose another file by mistake is told so; the others have nothing to learn from it.
        run_id = run.result.run_id
        if run_id and run.result.is_compared:
            self._stopped[run_id] = StoppedRun(run.stop_message(error), run.upload.fields)
            while len(self._stopped) > _MOST_STOPPED:
                self._stopped.popitem(last=False)
