"""Writing to the disk what has to survive a power failure, and giving new files their names."""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

#: errors of file systems without hard links, such as FUSE, SMB and exFAT
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})

#: where the files that a process has opened have paths
_DESCRIPTORS = Path("/proc/self/fd")

#: of Linux; 0 where files without a name do not exist
_UNNAMED = getattr(os, "O_TMPFILE", 0)


def flush(path: Path) -> None:
    """Write a file, or the names in a folder, from the cache to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create_unnamed(folder: Path) -> tuple[int, Path] | None:
    """Create a file without a name, which a process that is killed does not leave behind.

    Returns:
        Its descriptor, for writing, and the path that `give_name` accepts; None where the file
        system or the machine has no such files.
    """
    if not _UNNAMED:
        return None
    try:
        descriptor = os.open(folder, _UNNAMED | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return None  # opening it by a name says what is wrong with the folder
    path = _DESCRIPTORS / str(descriptor)
    if path.exists():
        return descriptor, path
    os.close(descriptor)  # without /proc it could not get a name
    return None


def give_name(file: Path, path: Path) -> None:
    """Give a file a name that no file has. One that had a name keeps that, too.

    On a file system without hard links, it is moved, and loses the name that it had. One without a
    name is copied.

    Raises:
        FileExistsError: a file has the name.
    """
    try:
        # Not `rename`, which would replace a file that exists. A folder makes it follow the link
        # of a file without a name.
        os.link(file, path, src_dir_fd=0, follow_symlinks=_is_unnamed(file))
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _move(file, path)


def _move(file: Path, path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some file systems have no locks either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        (_copied(file, path) if _is_unnamed(file) else file).rename(path)
    finally:
        os.close(descriptor)


def _is_unnamed(file: Path) -> bool:
    return file.parent == _DESCRIPTORS


def _copied(file: Path, path: Path) -> Path:
    """Copy a file without a name to a hidden one beside a path, and return that."""
    from shutil import copyfileobj

    hidden = path.with_name(f".{os.urandom(12).hex()}.part")
    with file.open("rb") as source, open(hidden, "xb", opener=_private) as copy:
        copyfileobj(source, copy)
        copy.flush()
        os.fsync(copy.fileno())
    return hidden


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
