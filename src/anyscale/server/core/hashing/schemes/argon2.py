"""Argon2: PyNaCl computes what has the form of our own hashes, argon2-cffi all else."""

from anyscale.domain.password_hashes.argon2 import VERSION, Argon2Hash
from anyscale.errors import HashingUnavailable

NO_MEMORY = "there is not enough memory to hash a password: try again later"

#: PyNaCl takes only salts of this length, and computes tags from this length on.
NACL_SALT_OCTETS = _NACL_MIN_TAG_OCTETS = 16


def argon2_tag(stored: Argon2Hash, secret: bytes) -> bytes:
    """Compute the tag that a password has with the parameters and the salt of a hash.

    Raises:
        HashingUnavailable: there is not enough memory.
    """
    from argon2.exceptions import HashingError
    from argon2.low_level import Type, hash_secret_raw
    from nacl.exceptions import RuntimeError as NaclError
    from nacl.pwhash import argon2id

    salt, size, version = stored.salt, len(stored.tag), stored.version
    passes, memory, lanes = stored.passes, stored.memory_kib, stored.lanes
    is_for_nacl = stored.kind == "id" and version == VERSION and lanes == 1
    is_for_nacl &= len(salt) == NACL_SALT_OCTETS and size >= _NACL_MIN_TAG_OCTETS
    kind = {"id": Type.ID, "i": Type.I, "d": Type.D}[stored.kind]
    try:
        if is_for_nacl:
            return argon2id.kdf(size, secret, salt, passes, memory * 1024)
        return hash_secret_raw(secret, salt, passes, memory, lanes, size, kind, version)
    except (NaclError, HashingError):
        raise HashingUnavailable(NO_MEMORY) from None
