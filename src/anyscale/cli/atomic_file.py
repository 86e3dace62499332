"""Create a file atomically: it is readable only by its owner, and exists whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from anyscale.disk import flush
from anyscale.errors import ConfigError, StoreUnavailable

__all__ = ["AtomicFile", "disk_errors"]

#: errors of file systems without hard links
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})

_MENDS = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), ": make room on the disk")


class AtomicFile:
    """A new file, written under a temporary name until `keep` gives it its own.

    Without `keep`, it is removed.

    Args:
        path: of the file.
        replaces: whether the path may exist, and `keep` replaces it.

    Raises:
        ConfigError: the path exists, or cannot be written.
    """

    def __init__(self, path: str, *, replaces: bool = False) -> None:
        self.path = path
        self._replaces = replaces
        self._path = Path(path)
        if not path:
            raise ConfigError("the name of the output file is empty: name a new file")
        if not self._path.name or (not replaces and os.path.lexists(path)):
            raise ConfigError(f"{path} exists: name a new file")
        self._temporary = self._path.with_name(f".{os.urandom(12).hex()}.part")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(self._temporary, flags, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from None
        self._stream = os.fdopen(descriptor, "w", encoding="utf-8", newline="")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what could not be written is removed anyway
            self._stream.close()
        with suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    def write(self, text: str) -> int:
        """Write text; return the number of characters.

        Raises:
            StoreUnavailable: the disk is full, or fails.
        """
        with disk_errors("write", self._path):
            return self._stream.write(text)

    def keep(self) -> None:
        """Give the file its name, after all of it was written to the disk.

        Raises:
            ConfigError: another process has created a file of that name.
            StoreUnavailable: the disk is full, or fails.
        """
        with disk_errors("write", self._path):
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._link()
        with suppress(OSError):  # not every file system can, and the file is complete
            flush(self._path.parent)

    def _link(self) -> None:
        if self._replaces:
            self._temporary.replace(self._path)
            return
        try:
            # Not `rename`, which would replace a file that exists.
            os.link(self._temporary, self._path, follow_symlinks=False)
        except FileExistsError:
            raise ConfigError(f"{self._path} exists by now: name a new file") from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._temporary.rename(self._path)


@contextmanager
def disk_errors(action: str, path: Path) -> Iterator[None]:
    """Raise StoreUnavailable in place of an OSError."""
    try:
        yield
    except OSError as error:
        mend = _MENDS.get(error.errno or 0, "")
        raise StoreUnavailable(f"cannot {action} {path}: {error.strerror}{mend}") from error
