"""Hashes of passwords that other systems have made: parsing and judging them.

A module for each scheme parses a text into a checked value. It computes no hash, so the client does
it while it checks a file, and the server again. `core.hashing.schemes` verifies passwords. The
modules are imported on use: few files have hashes.
"""

__all__ = ["SCHEMES"]

#: The schemes of hashes, by the names that `/v1/policy` has.
SCHEMES = (
    *("argon2", "scrypt", "pbkdf2", "digest"),
    *("bcrypt", "sha256-crypt", "sha512-crypt", "yescrypt", "md5-crypt"),
)
