"""The tag that a password has with the parameters of a hash, by a function for each scheme."""

import hashlib

from anyscale.domain.password_hashes.argon2 import Argon2Hash
from anyscale.domain.password_hashes.crypt3 import CryptHash
from anyscale.domain.password_hashes.digest import DigestHash
from anyscale.domain.password_hashes.parsed_hash import ParsedHash
from anyscale.domain.password_hashes.pbkdf2 import Pbkdf2Hash
from anyscale.domain.password_hashes.scrypt import ScryptHash
from anyscale.errors import HashingUnavailable
from anyscale.server.core.hashing.schemes.argon2 import NO_MEMORY, argon2_tag
from anyscale.server.core.hashing.schemes.libcrypt import crypt_tag

#: octets of a password: the time of some schemes grows with it
MAX_SECRET_OCTETS = 4096

#: beside the memory of scrypt itself
_SCRYPT_EXTRA_OCTETS = 1 << 20


def compute_tag(stored: ParsedHash, secret: bytes) -> bytes:
    """Compute the tag that a password has with the parameters of a hash; b"" if it can have none.

    Raises:
        HashingUnavailable: there is not enough memory.
    """
    if len(secret) > MAX_SECRET_OCTETS:
        return b""
    if isinstance(stored, Argon2Hash):
        return argon2_tag(stored, secret)
    if isinstance(stored, CryptHash):
        return crypt_tag(stored, secret)
    if isinstance(stored, ScryptHash):
        return _scrypt_tag(stored, secret)
    if isinstance(stored, Pbkdf2Hash):
        size = len(stored.tag)
        return hashlib.pbkdf2_hmac(stored.digest, secret, stored.salt, stored.iterations, size)
    assert isinstance(stored, DigestHash)
    octets = stored.before + secret + stored.after
    return hashlib.new(stored.digest, octets, usedforsecurity=False).digest()


def _scrypt_tag(stored: ScryptHash, secret: bytes) -> bytes:
    costs = {"n": stored.n, "r": stored.r, "p": stored.p}
    most = stored.octets + 256 * stored.r * stored.p + _SCRYPT_EXTRA_OCTETS
    try:
        return hashlib.scrypt(secret, salt=stored.salt, **costs, maxmem=most, dklen=len(stored.tag))
    except MemoryError:
        raise HashingUnavailable(NO_MEMORY) from None
