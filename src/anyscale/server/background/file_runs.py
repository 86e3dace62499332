"""The runs of a server process: each has a thread of its own, and needs no browser."""

import logging
import threading
import time
from collections import OrderedDict
from contextvars import copy_context
from typing import Final

from anyscale.domain.models.batches import Batch
from anyscale.errors import (
    AnyscaleError,
    BatchRefused,
    BatchUnfinished,
    KeyReused,
    NotAuthenticated,
    NotPermitted,
    Overloaded,
    ServerFault,
    ServerUnreachable,
)
from anyscale.server.background.file_run import STOPPED, FileRun, StoppedRun, no_users
from anyscale.server.background.uploads import Upload
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import SessionCaller
from anyscale.server.fault_place import place_of

__all__ = ["FileRuns"]

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
_OTHER_FILE = "a run of another file with this key is active: wait for its end, or choose its file"
_SIGNED_OUT = (
    "The run stopped: the session of the owner who started it was ended. No user was created. Sign "
    "in and choose the same file to continue."
)
_NO_OWNER = (
    "The run stopped: the user who started it is no longer an owner. No user was created. Another "
    "owner can choose the same file to continue."
)


class FileRuns:
    """The runs of this process."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._control_plane = control_plane
        self._active: dict[str, FileRun] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._stopped: OrderedDict[str, StoppedRun] = OrderedDict()
        self._lock = threading.Lock()
        self._is_stopping = False
        #: when the server process was started, in seconds since 1970
        self.started_at: Final = time.time()

    def check(self, upload: Upload, caller: SessionCaller) -> FileRun:
        """Return a check, which runs in the caller's thread."""
        return FileRun(self._control_plane, upload, caller)

    def start(
        self,
        upload: Upload,
        caller: SessionCaller,
        key: str,
        batch_id: str = "",
        if_exists: str = "",
    ) -> FileRun:
        """Start a run, or return the one that has the key already, and the same file.

        Raises:
            ServerUnreachable: the server stops.
            KeyReused: a run of another file has the key.
            Overloaded: there are too many runs.
        """
        with self._lock:
            if self._is_stopping:
                raise ServerUnreachable(STOPPED)
            if active := self._active.get(key):
                if not active.upload.is_same_as(upload):
                    raise KeyReused(_OTHER_FILE)
                return active
            if len(self._active) >= _MOST_RUNS:
                raise Overloaded(_MANY_RUNS, _RETRY_SECONDS)
            run = FileRun(self._control_plane, upload, caller, key, batch_id, if_exists)
            self._start_thread(run)
            # Only now: the request closes the file of a run that could not start.
            upload.is_kept = True
        return run

    def _start_thread(self, run: FileRun) -> None:
        """Start the thread of a run. The lock is held, so that `stop` joins started threads only.

        Raises:
            Overloaded: the system has no thread for it.
        """
        thread = threading.Thread(
            target=copy_context().run, args=(self._work, run), name="console-run", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            raise Overloaded(_MANY_RUNS, _RETRY_SECONDS) from None
        # Its end waits for the lock, and removes both.
        self._active[run.key], self._threads[run.key] = run, thread

    def find(self, batch_id: str) -> FileRun | None:
        """Return the run of a batch, if this process has it."""
        with self._lock:
            return next((r for r in self._active.values() if r.batch_id == batch_id), None)

    def of_session(self, session_id: str) -> list[str]:
        """Return the batches of the runs of a session."""
        with self._lock:
            runs = [r for r in self._active.values() if r.caller.session.session_id == session_id]
        return [run.batch_id for run in runs if run.batch_id]

    def stopped(self, batch_id: str) -> StoppedRun | None:
        """Return the last run of a batch that has stopped in this process."""
        return self._stopped.get(batch_id)

    def stop(self) -> None:
        """Let the runs finish their chunks, and leave their batches open."""
        with self._lock:
            self._is_stopping = True
            threads = list(self._threads.values())
            for run in self._active.values():
                run.is_stopping = True
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _work(self, run: FileRun) -> None:
        error: AnyscaleError | None = None
        try:
            run.store_batch(_created(run).batch_id)
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
        if error and not run.opened.done():
            run.opened.set_exception(error)

    def _note_stop(self, run: FileRun, error: AnyscaleError) -> None:
        # Who chose another file by mistake is told so; the others have nothing to learn from it.
        if run.batch_id and run.is_compared:
            self._stopped[run.batch_id] = StoppedRun(_message(error), run.upload.fields)
            while len(self._stopped) > _MOST_STOPPED:
                self._stopped.popitem(last=False)


def _created(run: FileRun) -> Batch:
    batch = run.create().batch
    if batch is None:
        raise no_users(run.file.name)
    return batch


def _message(error: AnyscaleError) -> str:
    """Return why a run stopped, for the page of its batch."""
    cause = error.__cause__ if isinstance(error, BatchUnfinished) else error
    if isinstance(cause, NotAuthenticated):
        return _SIGNED_OUT
    if isinstance(cause, NotPermitted):
        return _NO_OWNER
    if isinstance(error, BatchRefused):
        lines = "; ".join(str(problem) for problem in error.problems[:3])
        return f"The run stopped, and no user was created: {lines}"
    return f"The run stopped: {error}. Choose the same file to continue."
