"""PBKDF2 (RFC 8018): PHC strings, and those of passlib and OpenLDAP; Django's are similar.

`users_file.keycloak_reader` writes those of Keycloak as PHC strings.
"""

import re

from anyscale.domain.password_hashes.parsed_hash import (
    ParsedHash,
    RefusedHash,
    number,
    octets,
    too_costly,
    unknown,
)

#: The cap of the iterations, of all blocks of the tag together: a second or two.
_MAX_ITERATIONS = 5_000_000

#: The floor: what NIST SP 800-63B of 2017 (5.1.1.2) calls the least; twice as much of SHA-1.
_FLOOR = 10_000
_FLOOR_OF_SHA1 = 20_000

#: octets of the digest, and iterations in a millisecond
_DIGESTS = {
    "sha1": (20, 4_000),
    "sha224": (28, 3_000),
    "sha256": (32, 3_000),
    "sha384": (48, 2_000),
    "sha512": (64, 2_000),
}

# OpenLDAP and passlib write only the iterations; without a digest, it is SHA-1.
_text = re.compile(
    r"(?:\$pbkdf2(?:-(sha\d+))?\$|\{(?i:pbkdf2)(?:-((?i:sha)\d+))?\})"
    r"(?:i=)?(\d+)(?:,l=(\d+))?\$([^$]*)\$([^$]*)"
).fullmatch


class Pbkdf2Hash(ParsedHash, frozen=True, gc=False):
    """PBKDF2 with HMAC."""

    digest: str
    iterations: int
    salt: bytes

    @property
    def scheme(self) -> str:
        return "pbkdf2"

    @property
    def weakness(self) -> str:
        floor = _FLOOR_OF_SHA1 if self.digest == "sha1" else _FLOOR
        if self.iterations >= floor:
            return ""
        return f"has {self.iterations} iterations: the floor of PBKDF2 is {floor}"

    @property
    def milliseconds(self) -> int:
        return self.work // _DIGESTS[self.digest][1]

    @property
    def work(self) -> int:
        """The iterations of all blocks of the tag."""
        return self.iterations * -(-len(self.tag) // _DIGESTS[self.digest][0])


def parse_pbkdf2(text: str) -> Pbkdf2Hash:
    """Parse a PHC string.

    Raises:
        RefusedHash: it is none, or costs too much.
    """
    match = _text(text)
    if match is None:
        raise RefusedHash(
            "password_hash_invalid",
            "is not a PBKDF2 hash of the form $pbkdf2-sha256$i=...,l=...$salt$tag",
        )
    digest, of_ldap, iterations, length, salt, tag = match.groups()
    digest = (digest or of_ldap or "sha1").lower()
    parsed = new_pbkdf2_hash(
        digest, number(iterations, "a number of iterations"), octets(salt), tag
    )
    if length and int(length) != len(parsed.tag):
        raise RefusedHash("password_hash_invalid", "has a tag of another length than it says")
    return parsed


def new_pbkdf2_hash(digest: str, iterations: int, salt: bytes, tag: str) -> Pbkdf2Hash:
    """Return a checked hash. Raises as `parse_pbkdf2` does."""
    if digest not in _DIGESTS:
        raise unknown(f"uses PBKDF2 with {digest[:10]}")
    parsed = Pbkdf2Hash(digest=digest, iterations=iterations, salt=salt, tag=octets(tag))
    if parsed.work > _MAX_ITERATIONS:
        raise too_costly(f"has {parsed.work} iterations; at most {_MAX_ITERATIONS} are allowed")
    return parsed
