"""The keys that encrypt seeds: files in a folder outside the database, the newest one encrypts.

So a copy of only the database reveals no seed.
"""

import hashlib
import logging
import os
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from anyscale.errors import ConfigError, SeedKeyMissing
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.key_folders import (
    DELAY,
    LIFETIME,
    KeyKind,
    delete_on_failure,
    is_missing,
)
from anyscale.server.core.secrets import SensitiveStruct
from anyscale.server.core.transactions import Transactions

if TYPE_CHECKING:
    from collections.abc import Mapping

#: for operators
HOW_TO_GET_ONE = (
    "run `anyscale server create-second-factor-key`, and copy the file to every server of the "
    "database; until then nobody can add an app that shows one-time codes"
)
_HOW_TO_COPY = (
    "copy the keys here that the apps of this database were added with: without them their "
    "one-time codes do not work"
)

_OCTETS = 32
_CONTENT = re.compile(rb"([0-9a-f]{64})\n?")

_log = logging.getLogger("anyscale.server")


class SeedKey(SensitiveStruct, frozen=True):
    """A key, and when it begins to encrypt."""

    secret: bytes
    #: milliseconds since 1970
    encrypts_from: int

    @property
    def fingerprint(self) -> str:
        """The name of the key in each text that it has encrypted."""
        return hashlib.sha256(b"second factor key" + self.secret).hexdigest()[:16]


def _parse(path: Path, content: bytes, encrypts_from: int) -> SeedKey:
    digits = _CONTENT.fullmatch(content)
    if digits is None:
        raise ConfigError(f"{path} must contain {_OCTETS * 2} digits from 0 to f")
    return SeedKey(bytes.fromhex(digits[1].decode()), encrypts_from)


#: 256 random bits, in hexadecimal digits
SEED_KEYS = KeyKind("second factor key", ".key", "create-second-factor-key", _parse)


class SeedKeys:
    """The keys of this server.

    A file that becomes unusable changes nothing: its key stays in use, and the log names the file
    each time that the folder is read.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder: Path | None = folder
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        #: by the names of the files
        self._keys: Mapping[str, SeedKey] = {}

    def current(self) -> SeedKey:
        """Return the key that encrypts now.

        Raises:
            SeedKeyMissing: there is none.
        """
        now = time.time() * 1000
        due = [key for key in self._read() if key.encrypts_from <= now]
        if not due:
            raise self._missing(f"no key of {self.folder} encrypts")
        return max(due, key=lambda key: key.encrypts_from)

    def find(self, fingerprint: str) -> SeedKey:
        """Return the key that has a fingerprint.

        Raises:
            SeedKeyMissing: this server does not have it.
        """
        for is_fresh in (False, True):  # its file may have been copied a moment ago
            for key in self._read(is_fresh=is_fresh):
                if key.fingerprint == fingerprint:
                    return key
        raise self._missing(f"no key of {self.folder} has the fingerprint {fingerprint}")

    def _read(self, *, is_fresh: bool = False) -> list[SeedKey]:
        with self._lock:
            if is_fresh or time.monotonic() - self._read_at >= LIFETIME:
                if self.folder:
                    self._keys = SEED_KEYS.read_again(self.folder, self._keys)
                self._read_at = time.monotonic()
            return list(self._keys.values())

    def _missing(self, detail: str) -> SeedKeyMissing:
        _log.error("second factor key is missing", extra={"detail": detail})
        return SeedKeyMissing(
            "one-time codes cannot be used at the moment, because a key of the server is missing: "
            "tell your administrator"
        )


class NewSeedKey(Struct, frozen=True):
    """The file of a new key, and whether it encrypts at once."""

    path: Path
    encrypts_now: bool


def create_key(folder: Path, at: datetime) -> Path:
    """Create a key that encrypts from a time on, in a file that only this user can read.

    Raises:
        ConfigError: the folder or the file cannot be created, or there is a key of this time.
    """
    return SEED_KEYS.create(folder, at, os.urandom(_OCTETS).hex().encode() + b"\n")


def create_next_key(transactions: Transactions, folder: Path, actor: str) -> NewSeedKey:
    """Create the next key, and record it with its actor in the audit log.

    It encrypts after an hour, so that every server has it by then; the first key at once.

    Raises:
        ConfigError: the key cannot be created.
    """
    with transactions.read() as tx:
        is_first = not tx.factors.seed_keys() and not SEED_KEYS.read_all(folder).keys
    at = datetime.now(UTC) + (timedelta() if is_first else DELAY)
    path = create_key(folder, at)
    with delete_on_failure(path), transactions.write_unattended("server key") as tx:
        new = SEED_KEYS.read(path)
        data = {"encrypts_from": new.encrypts_from}
        append_entry(tx, actor, "second_factor_key.created", new.fingerprint, data)
    return NewSeedKey(path, is_first)


def _has_seeds(transactions: Transactions) -> bool:
    with transactions.read() as tx:
        return bool(tx.factors.seed_keys())


def prepare_seed_keys(transactions: Transactions, folder: Path, *, creates_key: bool) -> None:
    """Create the first key, or log what to do without one. It is for a server that starts.

    Args:
        transactions: of the control plane.
        folder: of the keys.
        creates_key: whether a missing folder is created with a key, for a database that only this
            machine uses.
    """
    has_seeds = _has_seeds(transactions)
    try:
        # A copy of a database without the folder of its keys gets none: no seed fits a new one.
        if creates_key and is_missing(folder) and not has_seeds:
            create_next_key(transactions, folder, "system")
        has_key = bool(SEED_KEYS.read_all(folder).keys)
    except ConfigError as error:
        _log.error("no second factor key", extra={"detail": str(error)})
        return
    if not has_key:
        what_to_do = _HOW_TO_COPY if has_seeds else HOW_TO_GET_ONE
        _log.warning("no second factor key", extra={"detail": f"{folder} has none: {what_to_do}"})
