"""The files of signing keys: PEM files in a folder outside the database (RFC 7517, RFC 7638)."""

import os
import re
import stat
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import RSAKey
from msgspec import Struct, json

from anyscale.errors import ConfigError
from anyscale.server.store.records.openid import PublicKeyRecord

__all__ = ["ALGORITHM", "KeyFiles", "SigningKey", "create_key", "read_key", "read_keys"]

ALGORITHM = "RS256"
_BITS = 2048
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
        fields = {"kid": self.kid, "use": "sig", "alg": ALGORITHM}
        jwk = self.pair.as_dict(private=False) | fields
        return PublicKeyRecord(self.kid, json.encode(jwk).decode(), self.signs_from)

    def __repr__(self) -> str:
        return f"SigningKey({self.kid!r})"


class KeyFiles(Struct, frozen=True):
    """What the files of a folder contain, by their names."""

    keys: Mapping[str, SigningKey]
    #: why a file cannot be used, with its path and what to do
    faults: Mapping[str, str]


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


def read_keys(folder: Path) -> KeyFiles:
    """Read the files of a folder; there are none without a folder.

    Raises:
        ConfigError: the folder cannot be read.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".pem")
    except FileNotFoundError:
        paths = []
    except OSError as error:
        raise ConfigError(f"cannot read the folder {folder}: {error.strerror}") from None
    keys, faults = {}, {}
    for path in paths:
        try:
            keys[path.name] = read_key(path)
        except ConfigError as error:  # the other files are of use all the same
            faults[path.name] = str(error)
    return KeyFiles(keys, faults)


def read_key(path: Path) -> SigningKey:
    """Read a file.

    Raises:
        ConfigError: its name is not a time, others can read it, or it does not contain a private
            RSA key of 2,048 bits.
    """
    try:
        # strptime would also take fewer digits.
        name = path.name if _NAME.fullmatch(path.name) else ""
        signs_from = datetime.strptime(name, _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError(
            f"{path}: the name of a signing key is the time from which it signs, such as "
            "20261128T120000Z.pem: `anyscale server create-signing-key` creates one"
        ) from None
    return SigningKey(_import(path, _content(path)), int(signs_from.timestamp()) * 1000)


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


def _import(path: Path, content: bytes) -> RSAKey:
    try:
        with warnings.catch_warnings(action="ignore", category=SecurityWarning):
            pair = RSAKey.import_key(content)
        is_usable = pair.is_private and pair.raw_value.key_size >= _BITS
    except TypeError:  # of cryptography, which gets no password
        raise ConfigError(f"{path} is encrypted: store the key without a password") from None
    except (JoseError, UnsupportedAlgorithm, ValueError):
        raise ConfigError(f"{path} must contain an RSA key as PEM") from None
    if not is_usable:
        raise ConfigError(f"{path} must contain a private RSA key of at least {_BITS} bits")
    return pair
