"""Folders of keys outside the database: the name of each file is the time when its use begins.

So a new key can be copied to every server before the first one uses it.
"""

import logging
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

from msgspec import Struct

from anyscale.disk import flush, give_name
from anyscale.errors import ConfigError

#: until a new key is used: in this time every server gets it, and every application the key set
DELAY = timedelta(hours=1)

#: seconds after which a server reads its folder again
LIFETIME = 60.0

_MAX_OCTETS = 65_536
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_TIME = "%Y%m%dT%H%M%SZ"

_log = logging.getLogger("anyscale.server")

Key = TypeVar("Key")


class KeyFiles(Struct, Generic[Key], frozen=True):
    """What the files of a folder contain, by their names."""

    keys: Mapping[str, Key]
    #: why a file cannot be used, with its path and what to do
    faults: Mapping[str, str]


class KeyKind(Struct, Generic[Key], frozen=True):
    """A kind of keys: creates and reads their files.

    Args:
        name: `signing key`, as messages and the log name it.
        suffix: of the files, with its point.
        command: of `anyscale server`, which creates a key.
        parse: returns the key in a content, from its path, the content and the time from which it
            is used, in milliseconds since 1970. It raises `ConfigError`.
    """

    name: str
    suffix: str
    command: str
    parse: Callable[[Path, bytes, int], Key]

    def create(self, folder: Path, at: datetime, content: bytes) -> Path:
        """Write a key that is used from a time on into a file that only this user can read.

        Raises:
            ConfigError: the folder or the file cannot be created, or there is a key of this time.
        """
        path = folder / (at.astimezone(UTC).strftime(_TIME) + self.suffix)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_whole(path, content)
        except OSError as error:
            raise ConfigError(f"cannot create {path}: {error.strerror}") from None
        return path

    def read_all(self, folder: Path) -> KeyFiles[Key]:
        """Read the files of a folder; there are none without a folder.

        Raises:
            ConfigError: the folder cannot be read.
        """
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix == self.suffix)
        except FileNotFoundError:
            paths = []
        except OSError as error:
            raise _unreadable(folder, error) from None
        keys, faults = {}, {}
        for path in paths:
            try:
                keys[path.name] = self.read(path)
            except ConfigError as error:  # the other files are of use all the same
                faults[path.name] = str(error)
        return KeyFiles(keys, faults)

    def read(self, path: Path) -> Key:
        """Read a file.

        Raises:
            ConfigError: its name is not a time, others can read it, or it does not contain a key.
        """
        try:
            # strptime would also take fewer digits.
            name = path.stem if _NAME.fullmatch(path.stem) else ""
            used_from = datetime.strptime(name, _TIME).replace(tzinfo=UTC)
        except ValueError:
            raise ConfigError(
                f"{path}: the name of a {self.name} is the time when its use begins, such as "
                f"20261128T120000Z{self.suffix}: `anyscale server {self.command}` creates one"
            ) from None
        return self.parse(path, _content(path), int(used_from.timestamp()) * 1000)

    def read_again(self, folder: Path, last: Mapping[str, Key]) -> Mapping[str, Key]:
        """Read the keys of a running server, by the names of their files, and log what is wrong.

        A key of the `last` ones whose file has become unusable stays in use.
        """
        try:
            files = self.read_all(folder)
        except ConfigError as error:
            _log.error("%ss cannot be read", self.name, extra={"detail": str(error)})
            return last
        for fault in files.faults.values():
            _log.error("%s cannot be used", self.name, extra={"detail": fault})
        kept = {name: key for name, key in last.items() if name in files.faults}
        return {**kept, **files.keys}


def is_missing(folder: Path) -> bool:
    """Return whether a folder does not exist.

    Raises:
        ConfigError: this user cannot look.
    """
    try:
        return not folder.exists()
    except OSError as error:
        raise _unreadable(folder, error) from None


@contextmanager
def delete_on_failure(path: Path) -> Iterator[None]:
    """Delete a new key if the block fails: each key is on the disk and in the audit log."""
    try:
        yield
    except BaseException:
        path.unlink()
        raise


def _unreadable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(f"cannot read the folder {folder}: {error.strerror}")


def _write_whole(path: Path, content: bytes) -> None:
    """Create a file, which nobody sees before it is complete and on the disk."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        give_name(part, path)  # fails if another process was first
        with delete_on_failure(path):
            flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():  # a named pipe would wait for its writer
            raise ConfigError(f"{path} is not a file")
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            # A secret of Kubernetes is a link, and its group may read it.
            if stat.S_IMODE(mode) & 0o037:
                raise ConfigError(f"others can read {path}: run `chmod 600 {path}`")
            return file.read(_MAX_OCTETS)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
