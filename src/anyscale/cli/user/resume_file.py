"""The file that stores the state of a run until it has ended, so that a crash loses nothing.

A run has a file of its own, named after the control plane and the real path of the users file. The
process that works on the run locks the file. Lines are only ever appended, so that a crash leaves
the lines before intact: the first one is the run, the second one, once it was opened, the batch.
"""

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from msgspec import Struct, json

from anyscale.cli.atomic_file import disk_errors
from anyscale.disk import flush
from anyscale.domain.schemas.protocol import DECODE_ERRORS
from anyscale.errors import BatchRunning

#: Seconds to wait for a lock: a process that checks whether a run is abandoned locks it briefly.
_LOCK_PATIENCE = 0.2


class RunRecord(Struct, frozen=True):
    """The first line: one run."""

    #: the idempotency key
    key: str
    #: the real path of the users file
    file: str
    #: size in bytes and modification time in nanoseconds of the users file
    stamp: tuple[int, int]
    if_exists: str
    pid: int


class _BatchRecord(Struct, frozen=True):
    """The second line: the batch that the run opened."""

    batch_id: str


class ResumeFile:
    """The file of one run, locked as long as this object is open.

    The folder is created if needed. `target` tells where the control plane is.

    Raises:
        BatchRunning: another process is working on the same users file.
        StoreUnavailable: the file cannot be written.
    """

    def __init__(self, folder: Path, target: str, users_file: str) -> None:
        real_path = os.path.realpath(users_file)
        # A path need not be UTF-8, but messages and JSON have to be.
        self.users_file: Final = os.fsencode(real_path).decode("utf-8", "backslashreplace")
        self._path = resume_file_path(folder, target, users_file)
        with disk_errors("keep this run in", self._path):
            # One at a time: `parents=True` would create the data directory with the default mode.
            for private in (folder.parent, folder):
                private.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = self._open_locked()
            #: the run that a previous process left unfinished, and its batch
            self.previous: RunRecord | None
            self.batch_id: str | None
            self.previous, self.batch_id = _parsed(self._path)

    def close(self) -> None:
        os.close(self._descriptor)

    def start_new(self, stamp: tuple[int, int], if_exists: str) -> str:
        """Replace the content by a new run; return its idempotency key."""
        key = os.urandom(16).hex()
        run = RunRecord(key, self.users_file, stamp, if_exists, os.getpid())
        with disk_errors("keep this run in", self._path):
            os.ftruncate(self._descriptor, 0)
            self._append(json.encode(run))
            flush(self._path.parent)  # the name of a new file
        self.batch_id = None
        return key

    def store_batch(self, batch_id: str) -> None:
        if batch_id != self.batch_id:
            with disk_errors("keep this run in", self._path):
                self._append(json.encode(_BatchRecord(batch_id)))
            self.batch_id = batch_id

    def remove(self) -> None:
        """Remove the file: the run has ended, and its result was reported."""
        with disk_errors("remove", self._path):
            self._path.unlink(missing_ok=True)

    def _append(self, line: bytes) -> None:
        os.lseek(self._descriptor, 0, os.SEEK_END)
        rest = line + b"\n"
        while rest:  # a disk that fills up accepts a part of it
            rest = rest[os.write(self._descriptor, rest) :]
        os.fsync(self._descriptor)

    def _open_locked(self) -> int:
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._path, flags, 0o600)
            if not _try_lock(descriptor, _LOCK_PATIENCE):
                os.close(descriptor)
                raise BatchRunning(self._running_message())
            # A process that has ended since may have removed the file after it was opened here.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), self._path.stat()):
                    return descriptor
            os.close(descriptor)

    def _running_message(self) -> str:
        run, batch_id = _parsed(self._path)
        process = f"process {run.pid}" if run else "another process"
        batch = f" (batch {batch_id})" if batch_id else ""
        return (
            f"{process} is creating the users of {self.users_file}{batch}: wait until it has ended"
        )


def resume_file_path(folder: Path, target: str, users_file: str) -> Path:
    """Return the path of the file of a run, which exists until the run has ended."""
    real_path = os.path.realpath(users_file)
    name = hashlib.sha256(os.fsencode(f"{target}\0{real_path}")).hexdigest()
    return folder / f"{name[:32]}.run"


def stored_run(path: Path) -> RunRecord | None:
    """Return the run of a resume file, if there is one. Nothing is locked."""
    try:
        return _parsed(path)[0]
    except OSError:  # there is none, or it cannot be read
        return None


@contextlib.contextmanager
def is_abandoned(folder: Path, batch_id: str) -> Iterator[bool]:
    """Tell whether a batch belongs to a run of this folder that no process is working on.

    The run stays locked until the block ends, so that no other process resumes it.
    """
    with _open_file_of(folder, batch_id) as file:
        yield file is not None and _try_lock(file.fileno())


def _open_file_of(
    folder: Path, batch_id: str
) -> contextlib.AbstractContextManager[IO[bytes] | None]:
    for path in folder.glob("*.run"):  # none of a folder that cannot be read
        with contextlib.suppress(OSError):
            if _parsed(path)[1] == batch_id:
                return path.open("r+b")  # NFS locks only files that are open for writing
    return contextlib.nullcontext()


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


def _parsed(path: Path) -> tuple[RunRecord | None, str | None]:
    lines = path.read_bytes().split(b"\n")
    try:
        run = json.decode(lines[0], type=RunRecord)
    except DECODE_ERRORS:
        return None, None  # cut short before its key was used
    try:
        return run, json.decode(lines[1], type=_BatchRecord).batch_id
    except (*DECODE_ERRORS, IndexError):
        return run, None
