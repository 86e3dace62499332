"""crypt(3) of the system's library, which Python has not had since 3.13."""

import ctypes
import hashlib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # most commands verify nothing
    from anyscale.domain.password_hashes.crypt3 import CryptHash

#: The library of Debian and most other Linux systems, that of Fedora, and musl's.
_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2", None)

#: octets of `struct crypt_data`; glibc's, which is the largest, has 131,232
_DATA_OCTETS = 1 << 18

#: octets of a password; libxcrypt refuses longer ones (CRYPT_MAX_PASSPHRASE_SIZE)
_MAX_OCTETS = 511

#: what crypt_checksalt(3) of libxcrypt returns for a setting that it does not know, or not take
_NONE = (1, 2)

#: settings that cost a millisecond or two
_PROBES = {
    "bcrypt": "$2b$04$abcdefghijklmnopqrstuu",
    "sha256-crypt": "$5$rounds=1000$musterroll$",
    "sha512-crypt": "$6$rounds=1000$musterroll$",
    "yescrypt": "$y$j75$abcdefghijklmnop$",
    "md5-crypt": "$1$muster$",
}


def crypt_tag(stored: "CryptHash", secret: bytes) -> bytes:
    """Compute the tag that a password has with the setting of a hash; b"" if it can have none."""
    if stored.is_sha256:
        secret = hashlib.sha256(secret).hexdigest().encode()
    if b"\0" in secret or len(secret) > _MAX_OCTETS:
        return b""
    return _crypt(secret, stored.setting)


@cache
def supported_schemes() -> frozenset[str]:
    """Return the schemes that the library of this system computes."""
    check = getattr(_library(), "crypt_checksalt", None)  # of libxcrypt: it computes nothing
    if check:
        return frozenset(
            name for name, text in _PROBES.items() if check(text.encode()) not in _NONE
        )
    return frozenset(name for name, setting in _PROBES.items() if _crypt(b"probe", setting))


def _crypt(secret: bytes, setting: str) -> bytes:
    """Return what crypt(3) appends to a setting; b"" if it does not know it."""
    library = _library()
    if library is None:
        return b""
    data = ctypes.create_string_buffer(_DATA_OCTETS)
    hashed: bytes | None = library.crypt_r(secret, setting.encode(), data)
    # Of the salt of bcrypt, two bits count of the last digit: the result may spell it differently.
    if hashed is None or not hashed.startswith(setting[:-1].encode()):
        return b""
    return hashed[len(setting) :]


@cache
def _library() -> ctypes.CDLL | None:
    for name in _LIBRARIES:
        try:
            library = ctypes.CDLL(name)
            library.crypt_r.restype = ctypes.c_char_p
        except (OSError, AttributeError):
            continue
        return library
    return None
