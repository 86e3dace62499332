"""Argon2 (RFC 9106) in PHC strings: `$argon2id$v=19$m=19456,t=2,p=1$salt$tag`."""

import re

from anyscale.domain.password_hashes.parsed_hash import (
    ParsedHash,
    RefusedHash,
    number,
    octets,
    too_costly,
)

#: The versions of Argon2: 1.3, and 1.0, of hashes that do not name one.
VERSION = 0x13
OLD_VERSION = 0x10

#: The caps: one that asks for more must not use up memory or time.
MAX_MEMORY_KIB = 256 * 1024
_MAX_MEMORY_KIB_PASSES = 1024 * 1024
_MAX_LANES = 16

#: The floor is the cheapest of the choices of OWASP's Password Storage Cheat Sheet: 7 MiB, 5 times.
_FLOOR_MEMORY_KIB = 7 * 1024
_FLOOR_MEMORY_KIB_PASSES = 35 * 1024

# Limits of the reference implementation.
_MIN_SALT_OCTETS = 8
_MIN_TAG_OCTETS = 4
_MIN_MEMORY_KIB = 8  # for each lane
_MAX_OCTETS = 256

_phc = re.compile(
    r"\$argon2(id|i|d)(?:\$v=(\d+))?\$m=(\d+),t=(\d+),p=(\d+)\$([^$]*)\$([^$]*)"
).fullmatch


class Argon2Hash(ParsedHash, frozen=True, gc=False):
    """Argon2i, Argon2d or Argon2id."""

    #: `id`, `i` or `d`
    kind: str
    version: int
    memory_kib: int
    passes: int
    lanes: int
    salt: bytes

    @property
    def scheme(self) -> str:
        return "argon2"

    @property
    def weakness(self) -> str:
        memory = self.memory_kib
        if memory >= _FLOOR_MEMORY_KIB and memory * self.passes >= _FLOOR_MEMORY_KIB_PASSES:
            return ""
        return f"uses {memory} KiB {self.passes} times: the floor of Argon2 is 7 MiB, 5 times"

    @property
    def milliseconds(self) -> int:
        return self.memory_kib * self.passes // 1024


def parse_argon2(text: str) -> Argon2Hash:
    """Parse a PHC string.

    Raises:
        RefusedHash: it is none, or costs too much.
    """
    match = _phc(text)
    if match is None:
        raise RefusedHash(
            "password_hash_invalid",
            "is not an Argon2 hash of the form $argon2id$v=19$m=...,t=...,p=...$salt$tag",
        )
    kind, version, memory, passes, lanes, salt, tag = match.groups()
    parsed = Argon2Hash(
        kind=kind,
        version=number(version, "a version") if version else OLD_VERSION,
        memory_kib=number(memory, "an amount of memory"),
        passes=number(passes, "a number of passes"),
        lanes=number(lanes, "a number of lanes"),
        salt=octets(salt),
        tag=octets(tag),
    )
    _require_computable(parsed)
    return parsed


def _require_computable(parsed: Argon2Hash) -> None:
    memory, passes, lanes = parsed.memory_kib, parsed.passes, parsed.lanes
    if memory > MAX_MEMORY_KIB or memory * passes > _MAX_MEMORY_KIB_PASSES or lanes > _MAX_LANES:
        raise too_costly(
            f"uses {memory} KiB {passes} times in {lanes} lanes; at most 256 MiB, "
            f"1 GiB in all passes and {_MAX_LANES} lanes are allowed"
        )
    if not (
        parsed.version in (OLD_VERSION, VERSION)
        and _MIN_SALT_OCTETS <= len(parsed.salt) <= _MAX_OCTETS
        and _MIN_TAG_OCTETS <= len(parsed.tag) <= _MAX_OCTETS
        and memory >= _MIN_MEMORY_KIB * lanes
    ):
        raise RefusedHash("password_hash_invalid", "has parameters that Argon2 does not allow")
