"""Weak hashes wrapped in Argon2id: the weak digest is hashed once more, and is not stored.

The text is `$wrapped$`, the parameters of the weak hash in URL-safe base64, and a PHC string.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error

import msgspec
from msgspec import structs

from anyscale.domain.password_hashes.argon2 import Argon2Hash, parse_argon2
from anyscale.domain.password_hashes.crypt3 import CryptHash
from anyscale.domain.password_hashes.digest import DigestHash
from anyscale.domain.password_hashes.parsed_hash import ParsedHash, RefusedHash
from anyscale.domain.password_hashes.pbkdf2 import Pbkdf2Hash
from anyscale.domain.password_hashes.scrypt import ScryptHash
from anyscale.server.core.secrets import SensitiveStruct

PREFIX = "$wrapped$"

_Inner = Argon2Hash | CryptHash | DigestHash | Pbkdf2Hash | ScryptHash


class WrappedHash(SensitiveStruct, frozen=True):
    """A weak hash whose tag is replaced by zeros, and the Argon2 hash of that tag."""

    inner: ParsedHash
    outer: Argon2Hash


def wrapped_text(weak: ParsedHash, outer: str) -> str:
    """Return the text of a weak hash, whose tag has the PHC string `outer`."""
    without_tag = structs.replace(weak, tag=bytes(len(weak.tag)))
    return PREFIX + urlsafe_b64encode(msgspec.json.encode(without_tag)).decode() + outer


def parse_wrapped(text: str) -> WrappedHash:
    """Parse what `wrapped_text` returns.

    Raises:
        RefusedHash: it is another text.
    """
    encoded, at, outer = text.removeprefix(PREFIX).partition("$")
    try:
        inner = msgspec.json.decode(urlsafe_b64decode(encoded), type=_Inner)
    except (Error, ValueError, msgspec.MsgspecError):
        raise RefusedHash("password_hash_invalid", "is not a wrapped hash") from None
    return WrappedHash(inner, parse_argon2(at + outer))
