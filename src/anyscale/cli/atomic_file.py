"""Create a file atomically: it is readable only by its owner, and exists whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from anyscale.disk import create_unnamed, flush, give_name
from anyscale.errors import ConfigError, StoreUnavailable

_MENDS = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), ": make room on the disk")


class AtomicFile:
    """A new file, written without a name until `keep` gives it its own.

    Without `keep`, it is removed. Where a file has to have a name, that is a hidden one, and a
    process that is killed leaves it behind.

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
        unnamed = None if replaces else create_unnamed(self._path.parent)
        descriptor, self._temporary = unnamed or self._create_hidden()
        self._stream = os.fdopen(descriptor, "w", encoding="utf-8", newline="")

    def _create_hidden(self) -> tuple[int, Path]:
        hidden = self._path.with_name(f".{os.urandom(12).hex()}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(hidden, flags, 0o600), hidden
        except OSError as error:
            raise ConfigError(f"cannot write {self.path}: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what could not be written is removed anyway
            self._stream.close()
        with suppress(OSError):  # a file without a name is gone by now
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
            give_name(self._temporary, self._path)
        except FileExistsError:
            raise ConfigError(f"{self._path} exists by now: name a new file") from None


@contextmanager
def disk_errors(action: str, path: Path) -> Iterator[None]:
    """Raise StoreUnavailable in place of an OSError."""
    try:
        yield
    except OSError as error:
        mend = _MENDS.get(error.errno or 0, "")
        raise StoreUnavailable(f"cannot {action} {path}: {error.strerror}{mend}") from error
