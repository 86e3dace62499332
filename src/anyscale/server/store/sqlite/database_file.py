"""Look at a database's path before anything is created, opened or changed.

Another program's file, a device and another user's database stay as they are.
"""

import os
import shlex
import stat
from contextlib import suppress
from pathlib import Path

from anyscale.errors import StoreUnavailable

#: Octets of a disk with room. A write that finds no room leaves less: the write-ahead log keeps
#: what it got.
_ROOM = 1 << 20


def check_path(path: Path) -> bool:
    """Return whether the file exists; check it and its folder.

    Raises:
        StoreUnavailable: every user can write to the folder, the path is not a regular file, or it
            belongs to another user.
        OSError: the path cannot be examined.
    """
    try:
        _check_folder(path)
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    if not stat.S_ISREG(status.st_mode):
        raise StoreUnavailable(f"{path}: it is not a regular file")
    if status.st_uid != os.geteuid():
        raise StoreUnavailable(f"{path}: it belongs to {_owner_and_mend(path, status.st_uid)}")
    return True


def create_file(path: Path) -> None:
    """Create the folder and an empty file, both only for this user, where there is none.

    Raises:
        StoreUnavailable: see `check_path`.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not check_path(path):
        with suppress(FileExistsError):  # another process has created it
            os.close(_open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL))
        check_path(path)


def has_room(path: Path) -> bool:
    """Return whether the disk of a file has room for more."""
    disk = os.statvfs(path.parent)
    return disk.f_bavail * disk.f_frsize >= _ROOM


def is_at_rest(path: Path) -> bool:
    """Return whether this user can only read the file, and all of it is in it.

    SQLite could not create the write-ahead log, without which it opens no database for reading.
    """
    is_writable = os.access(path.parent, os.W_OK, effective_ids=True)
    return not is_writable and not path.with_name(f"{path.name}-wal").exists()


def make_private(path: Path) -> None:
    """Make a file, such as a copy, private to this user.

    Close the connection to it before: closing a file drops all locks of this process on it.
    """
    descriptor = _open(path, os.O_RDONLY)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _open(path: Path, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _check_folder(path: Path) -> None:
    status = path.parent.stat()
    if status.st_mode & stat.S_IWOTH:
        raise StoreUnavailable(
            f"{path}: every user of this machine can write to its folder: "
            "choose a folder that only you can write to"
        )
    if os.geteuid() == 0 != status.st_uid:
        raise StoreUnavailable(
            f"{path}: its folder belongs to {_owner_and_mend(path.parent, status.st_uid)}"
        )
    if status.st_mode & stat.S_IWGRP:
        import logging

        logging.getLogger("anyscale").warning(
            "a group of users can replace the database: run `chmod g-w` on %s", path.parent
        )


def _owner_and_mend(path: Path, uid: int) -> str:
    """Name the owner of a file or folder, and a command that corrects it."""
    import pwd

    # The owner's programs must not get root's terminal, into which they could push keys.
    try:
        owner = pwd.getpwuid(uid).pw_name
        become = f"runuser --pty -u {owner} --"
    except KeyError:
        owner = f"with uid {uid}"
        become = f"setsid --wait setpriv --reuid={uid} --clear-groups"
    if os.geteuid() != 0:
        mend = f"`chown {os.geteuid()} {shlex.quote(str(path))}` as root"
        mend = mend if uid == 0 else f"the command as that user, or {mend}"
        return f"the user {owner}: run {mend}"
    # Without root's HOME, the command looks for the owner's own files.
    return f"the user {owner}: run `{become} env -u HOME anyscale ...`"
