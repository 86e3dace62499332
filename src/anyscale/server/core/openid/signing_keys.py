"""The keys that sign ID tokens: PEM files in a folder outside the database (RFC 7517, RFC 7638)."""

import os
import re
import stat
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey
from msgspec import Struct, json

from anyscale.errors import ConfigError
from anyscale.server.store.records.openid import PublicKeyRecord
from anyscale.server.store.transaction import Store

__all__ = ["SigningKey", "SigningKeys", "create_key", "read_keys", "revoke_other_keys"]

_ALGORITHM = "RS256"
_BITS = 2048
#: seconds after which the folder is read again
_LIFETIME = 60.0
_MAX_OCTETS = 65_536

#: The name of a file: when the key begins to sign, in UTC.
_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z\.pem")
_TIME = "%Y%m%dT%H%M%SZ.pem"


class SigningKey(Struct, frozen=True):
    """A key pair, and when it begins to sign."""

    pair: RSAKey
    #: milliseconds since 1970
    signs_from: int

    @property
    def kid(self) -> str:
        """The thumbprint of the key (RFC 7638)."""
        return self.pair.thumbprint()

    @property
    def public(self) -> PublicKeyRecord:
        """The public part, as the database stores it."""
        fields = {"kid": self.kid, "use": "sig", "alg": _ALGORITHM}
        jwk = self.pair.as_dict(private=False) | fields
        return PublicKeyRecord(self.kid, json.encode(jwk).decode(), self.signs_from)

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r})"


def create_key(folder: Path, at: datetime) -> Path:
    """Create a key that signs from a time on, in a file that only this user can read.

    Raises:
        ConfigError: the folder or the file cannot be created, or there is a key of this time.
    """
    pem = RSAKey.generate_key(_BITS).as_pem(private=True)
    path = folder / at.astimezone(UTC).strftime(_TIME)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = folder / f".{path.name}.{os.getpid()}"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)  # fails if another process was first, and shows no half of a file
        finally:
            part.unlink()
    except OSError as error:
        raise ConfigError(f"cannot create {path}: {error.strerror}") from None
    return path


def read_keys(folder: Path) -> list[SigningKey]:
    """Return the keys of a folder, by the time from which they sign; none without a folder.

    Raises:
        ConfigError: a file cannot be read, is no RSA key of 2,048 bits, or others can read it.
    """
    try:
        names = sorted(path.name for path in folder.iterdir() if path.suffix == ".pem")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"cannot read the folder {folder}: {error.strerror}") from None
    return [_read_key(folder / name) for name in names]


def _read_key(path: Path) -> SigningKey:
    if not _NAME.fullmatch(path.name):
        raise ConfigError(
            f"{path}: the name of a signing key is the time from which it signs, such as "
            "20261128T120000Z.pem: `anyscale server create-signing-key` creates one"
        )
    try:
        # A secret of Kubernetes is a link, and its group may read it.
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o037:
                raise ConfigError(f"others can read {path}: run `chmod 600 {path}`")
            pair = RSAKey.import_key(file.read(_MAX_OCTETS))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (JoseError, ValueError):
        raise ConfigError(f"{path} must contain an RSA key as PEM") from None
    if not pair.is_private or pair.raw_value.key_size < _BITS:
        raise ConfigError(f"{path} must contain a private RSA key of at least {_BITS} bits")
    at = datetime.strptime(path.name, _TIME).replace(tzinfo=UTC)
    return SigningKey(pair, int(at.timestamp()) * 1000)


def revoke_other_keys(store: Store, folder: Path, path: Path) -> None:
    """Revoke all keys but that of a file, and delete their files.

    Raises:
        ConfigError: a file cannot be deleted; the key is revoked all the same.
    """
    new = _read_key(path)
    with store.write() as tx:
        tx.public_keys.add(new.public)
        tx.public_keys.revoke_others(new.kid, tx.now())
    for other in folder.glob("*.pem"):
        if other != path:
            _delete(other)


def _delete(path: Path) -> None:
    try:
        path.unlink()
    except OSError as error:
        raise ConfigError(f"cannot delete {path}: {error.strerror}") from None


class SigningKeys:
    """The keys of this server, and the public keys of all servers of the database."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.folder = folder
        self._store = store
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._keys: list[SigningKey] = []
        self._public: list[PublicKeyRecord] = []

    def current(self) -> SigningKey:
        """Return the key that signs now.

        Raises:
            ConfigError: there is none, or the folder cannot be read.
        """
        keys, public = self._refreshed()
        now, valid = time.time() * 1000, {record.kid for record in public}
        due = [key for key in keys if key.signs_from <= now and key.kid in valid]
        if not due:
            raise ConfigError(f"no key of {self.folder} signs yet")
        return due[-1]

    def sign(self, claims: dict[str, Any]) -> str:
        """Return claims as a signed token (RFC 7515)."""
        key = self.current()
        header = {"alg": _ALGORITHM, "kid": key.kid, "typ": "JWT"}
        return jwt.encode(header, claims, key.pair, algorithms=[_ALGORITHM])

    def verify(self, token: str) -> dict[str, Any] | None:
        """Return the claims of a token that one of the keys has signed; None for any other."""
        try:
            keys = KeySet.import_key_set({"keys": self.published()})
            return dict(jwt.decode(token, keys, algorithms=[_ALGORITHM]).claims)
        except (JoseError, ValueError, TypeError):
            return None

    def published(self) -> list[dict[str, Any]]:
        """Return the public keys of all servers (RFC 7517, 5)."""
        _, public = self._refreshed()
        return [json.decode(key.jwk) for key in public]

    def missing(self) -> list[str]:
        """Return the ids of the keys of other servers that this one does not have."""
        keys, public = self._refreshed()
        own = {key.kid for key in keys}
        return [key.kid for key in public if key.kid not in own]

    def _refreshed(self) -> tuple[list[SigningKey], list[PublicKeyRecord]]:
        with self._lock:
            if time.monotonic() - self._read_at >= _LIFETIME:
                keys = read_keys(self.folder)
                self._public = self._register(keys)
                self._keys = keys
                self._read_at = time.monotonic()
            return self._keys, self._public

    def _register(self, keys: list[SigningKey]) -> list[PublicKeyRecord]:
        with self._store.read() as tx:
            known = list(tx.public_keys.list())
        new = [key.public for key in keys if key.kid not in {record.kid for record in known}]
        if new:
            with self._store.write() as tx:
                for record in new:
                    tx.public_keys.add(record)
        return [record for record in (*known, *new) if record.revoked_at is None]
