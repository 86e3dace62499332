"""A file that the command makes: readable by its owner alone, and there whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from anyscale.errors import ConfigError, StoreUnavailable

__all__ = ["NewFile"]

#: what file systems say that know no second name of a file
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})


class NewFile:
    """Written beside its place, where `keep` puts it; without that, nothing is left of it.

    Args:
        path: where it is to be.

    Raises:
        ConfigError: there is something already, or nothing can be made there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._place = Path(path)
        if not self._place.name or os.path.lexists(path):
            raise ConfigError(f"{path} exists: name a new file")
        self._beside = self._place.with_name(f".{self._place.name}.{os.urandom(6).hex()}.part")
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(self._beside, flags, 0o600)
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from None
        self._stream = os.fdopen(descriptor, "w", encoding="utf-8", newline="")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # what could not be written is not missed any more
            self._stream.close()
        with suppress(OSError):
            self._beside.unlink(missing_ok=True)

    def write(self, text: str) -> int:
        """Write some of it; give the characters that were written.

        Raises:
            StoreUnavailable: the disk is full, or fails.
        """
        with self._translated():
            return self._stream.write(text)

    def keep(self) -> None:
        """Put the file in its place, with all that was written to it on the disk.

        Raises:
            ConfigError: somebody else has made a file there meanwhile.
            StoreUnavailable: the disk is full, or fails.
        """
        with self._translated():
            self._stream.flush()
            os.fsync(self._stream.fileno())
            self._put()

    def _put(self) -> None:
        try:
            # Not a renaming, which would put it in place of another one.
            os.link(self._beside, self._place, follow_symlinks=False)
        except FileExistsError:
            raise ConfigError(f"{self._place} exists by now: name a new file") from None
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._beside.rename(self._place)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreUnavailable(f"cannot write {self._place}: {error.strerror}") from error
