"""Messages for errors of SQLite and of the file system."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anyscale.errors import StoreUnavailable

#: seconds to wait for another process's transaction
BUSY_SECONDS = 60.0

_REASONS = {
    "SQLITE_FULL": "the disk is full: make room, then run the same command again",
    "SQLITE_BUSY": "another process has been writing for too long: try again later",
    "SQLITE_READONLY": "it is read-only for this user",
    "SQLITE_CANTOPEN": "it cannot be opened: check the folder and its permissions",
    "SQLITE_NOTADB": "the file is not a database: name a new file, or restore a backup",
    # SQLite reports a disk that cannot be read in the same way.
    "SQLITE_CORRUPT": "it is damaged or the disk fails: see to the disk, or restore a backup",
    "SQLITE_IOERR_SHMSIZE": "the disk is full or fails: make room, then run the same command again",
    "SQLITE_IOERR": "reading or writing the disk failed",
}


@contextmanager
def translated(path: Path, *, outcome_unknown: bool = False) -> Iterator[None]:
    """Raise errors of SQLite and of the file system as `StoreUnavailable`."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        reason = next((text for key, text in _REASONS.items() if name.startswith(key)), None)
        raise StoreUnavailable(
            f"{path}: {reason or error}", outcome_unknown=outcome_unknown
        ) from error
    except OSError as error:
        raise StoreUnavailable(
            f"{path}: {error.strerror or error}", outcome_unknown=outcome_unknown
        ) from error
