"""The lock that tells whether a server has a SQLite file."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anyscale.errors import StoreUnavailable
from anyscale.server.store.sqlite.errors import translated


@contextmanager
def lock_for_server(database: Path) -> Iterator[bool]:
    """Lock a database for a server, and give whether it is the only one.

    The operating system ends the lock with the process, however that ends. It is on a file of its
    own: on some systems a lock of this kind would keep SQLite from locking the database.

    Raises:
        StoreUnavailable: the file cannot be opened or locked.
    """
    with _open(database) as descriptor:
        with translated(database):
            is_only_one = _is_locked(descriptor)
            # All servers share the lock from here on, so a later one finds any of them.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield is_only_one


@contextmanager
def lock_without_server(database: Path) -> Iterator[None]:
    """Lock a database that no server has: one that starts during the block waits for its end.

    Raises:
        StoreUnavailable: a server has the database, or the file cannot be opened.
    """
    with _open(database) as descriptor:
        with translated(database):
            is_locked = _is_locked(descriptor)
        if not is_locked:
            raise StoreUnavailable(f"{database}: a server has the database: stop the server first")
        yield


@contextmanager
def _open(database: Path) -> Iterator[int]:
    path = database.with_name(f"{database.name}-server")
    with translated(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
