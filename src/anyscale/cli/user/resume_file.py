"""What the command remembers of a run until it has ended: enough to go on after any crash.

A run has a file of its own, named by the control plane and by the real path of the users file. Its
lock says that a process is working on it. Its lines are only ever appended, so that a crash leaves
the lines before intact: first the run, then, once it was opened, the batch.
"""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from msgspec import DecodeError, Struct, ValidationError, json

from anyscale.errors import BatchRunning, StoreUnavailable

__all__ = ["Run", "RunFile", "abandoned"]


# Whoever asks whether a run is abandoned holds its lock for a moment.
_ASKERS_SECONDS = 0.2


class Run(Struct, frozen=True):
    """What a run is."""

    key: str
    file: str
    #: size in bytes and modification time in nanoseconds of the users file
    stamp: tuple[int, int]
    if_exists: str
    pid: int


class _Opened(Struct, frozen=True):
    batch_id: str


class RunFile:
    """The file of one run, locked as long as this object is open.

    Args:
        folder: where the files of runs are; made if need be.
        target: the control plane.
        users_file: the users file's path.

    Raises:
        BatchRunning: another process is working on the same users file.
        StoreUnavailable: the file cannot be written.
    """

    def __init__(self, folder: Path, target: str, users_file: str) -> None:
        real = os.path.realpath(users_file)
        # A path need not be UTF-8: what is shown and kept of it has to be.
        self.users_file = os.fsencode(real).decode("utf-8", "backslashreplace")
        name = hashlib.sha256(os.fsencode(f"{target}\0{real}")).hexdigest()
        self._path = folder / f"{name[:32]}.run"
        with _translated(self._path):
            # One at a time: `parents` would give the data directory the usual mode.
            for private in (folder.parent, folder):
                private.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = self._locked()
            #: the run that an earlier process left unfinished
            self.earlier, self.batch_id = _parsed(self._path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def begin(self, stamp: tuple[int, int], if_exists: str) -> str:
        """Write a new run down, in place of an earlier one; give its idempotency key."""
        key = os.urandom(16).hex()
        run = Run(key, self.users_file, stamp, if_exists, os.getpid())
        with _translated(self._path):
            os.ftruncate(self._descriptor, 0)
            self._append(json.encode(run))
            _sync_folder(self._path.parent)
        self.batch_id = None
        return key

    def note_batch(self, batch_id: str) -> None:
        """Write down the batch that the run opened."""
        if batch_id != self.batch_id:
            with _translated(self._path):
                self._append(json.encode(_Opened(batch_id)))
            self.batch_id = batch_id

    def end(self) -> None:
        """Forget the run: it has ended, and everything was said."""
        with _translated(self._path, "remove"):
            self._path.unlink(missing_ok=True)

    def _append(self, line: bytes) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_END)
        rest = line + b"\n"
        while rest:  # a disk that fills up takes a part of it
            rest = rest[os.write(self._descriptor, rest) :]
        os.fsync(self._descriptor)

    def _locked(self) -> int:
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            if not _try_lock(descriptor, _ASKERS_SECONDS):
                os.close(descriptor)
                raise BatchRunning(self._who_runs())
            # The process that ended meanwhile may have taken the file away after we opened it.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), self._path.stat()):
                    return descriptor
            os.close(descriptor)

    def _who_runs(self) -> str:
        run, batch_id = _parsed(self._path)
        who = f"process {run.pid}" if run else "another process"
        batch = f" (batch {batch_id})" if batch_id else ""
        return f"{who} is creating the users of {self.users_file}{batch}: wait until it has ended"


@contextlib.contextmanager
def abandoned(folder: Path, batch_id: str) -> Iterator[bool]:
    """Say whether a batch belongs to a run of this folder that no process is working on.

    As long as the block lasts, no process begins to.
    """
    descriptor = _opened(folder, batch_id)
    try:
        yield descriptor is not None and _try_lock(descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _opened(folder: Path, batch_id: str) -> int | None:
    for path in folder.glob("*.run") if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            if _parsed(path)[1] == batch_id:
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    return None


def _sync_folder(folder: Path) -> None:
    """Let the name of a new file survive a power cut as well."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, patience: float = 0) -> bool:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.01)
        else:
            return True


def _parsed(path: Path) -> tuple[Run | None, str | None]:
    lines = path.read_bytes().split(b"\n")
    try:
        run = json.decode(lines[0], type=Run)
    except (DecodeError, ValidationError):
        return None, None  # cut short before anything was done with its key
    try:
        return run, json.decode(lines[1], type=_Opened).batch_id
    except (DecodeError, ValidationError, IndexError):
        return run, None


@contextlib.contextmanager
def _translated(path: Path, what: str = "keep this run in") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"cannot {what} {path}: {error.strerror}") from error
