"""scrypt (RFC 7914): PHC strings, and what Django writes."""

import re

from anyscale.domain.password_hashes.parsed_hash import (
    ParsedHash,
    RefusedHash,
    number,
    octets,
    too_costly,
)

#: The caps, in octets: of the memory, and of what is written in it.
_MAX_OCTETS = 1 << 28
_MAX_WORK = 1 << 30

#: The floor, in octets: 16 MiB, as Django has used since 4.0, and OWASP's least of all choices.
_FLOOR_OCTETS = 1 << 24

#: `ln` is the logarithm of N in PHC strings; Kratos writes N itself, which is never as small.
_MAX_LOGARITHM = 31

_phc = re.compile(r"\$scrypt\$ln=(\d+),r=(\d+),p=(\d+)\$([^$]*)\$([^$]*)").fullmatch


class ScryptHash(ParsedHash, frozen=True, gc=False):
    """scrypt with the cost `n`, the block size `r` and the parallelization `p`."""

    n: int
    r: int
    p: int
    salt: bytes

    @property
    def scheme(self) -> str:
        return "scrypt"

    @property
    def octets(self) -> int:
        """The memory that it uses."""
        return 128 * self.n * self.r

    @property
    def weakness(self) -> str:
        if self.octets >= _FLOOR_OCTETS:
            return ""
        return f"uses {self.octets} octets of memory: the floor of scrypt is 16 MiB"

    @property
    def milliseconds(self) -> int:
        return self.octets * self.p >> 18


def parse_scrypt(text: str) -> ScryptHash:
    """Parse a PHC string.

    Raises:
        RefusedHash: it is none, or costs too much.
    """
    match = _phc(text)
    if match is None:
        raise RefusedHash(
            "password_hash_invalid",
            "is not a scrypt hash of the form $scrypt$ln=...,r=...,p=...$salt$tag",
        )
    cost, r, p, salt, tag = match.groups()
    n = number(cost, "a cost")
    n = 1 << n if n <= _MAX_LOGARITHM else n
    return new_scrypt_hash(n, number(r, "a block size"), number(p, "a p"), octets(salt), tag)


def new_scrypt_hash(n: int, r: int, p: int, salt: bytes, tag: str) -> ScryptHash:
    """Return a checked hash. Raises as `parse_scrypt` does."""
    parsed = ScryptHash(n=n, r=r, p=p, salt=salt, tag=octets(tag))
    if parsed.octets > _MAX_OCTETS or parsed.octets * p > _MAX_WORK:
        raise too_costly(
            f"uses {parsed.octets >> 20} MiB {p} times; at most 256 MiB are allowed, 1 GiB in all"
        )
    if n & (n - 1) or n == 1:
        raise RefusedHash("password_hash_invalid", "has a cost that is not a power of two")
    return parsed
