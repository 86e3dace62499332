"""Hashes of passwords that other systems have made: parsing and judging them.

A module for each scheme parses a text into a checked value. It computes no hash, so the client does
it while it checks a file, and the server again. `core.hashing.schemes` verifies passwords. The
modules are imported on use: few files have hashes.
"""

from collections.abc import Collection
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anyscale.domain.password_hashes.parsed_hash import ParsedHash

__all__ = ["SCHEMES", "can_be_imported", "parse"]

#: The schemes of hashes, by the names that `/v1/policy` has.
SCHEMES = (
    *("argon2", "scrypt", "pbkdf2", "digest"),
    *("bcrypt", "sha256-crypt", "sha512-crypt", "yescrypt", "md5-crypt"),
)


@cache
def _parsing() -> ModuleType:
    # A statement `import` in a function takes 1.6 us each time, half as long as to parse a hash.
    return import_module(f"{__name__}.parsing")


def parse(text: str) -> "ParsedHash":
    """Parse a hash, as `parsing.parse` does."""
    parsed: ParsedHash = _parsing().parse(text)
    return parsed


def can_be_imported(text: str, schemes: Collection[str], *, accept_weak: bool) -> bool:
    """Whether `parsing.judge` accepts a hash."""
    is_accepted: bool = _parsing().can_be_imported(text, schemes, accept_weak=accept_weak)
    return is_accepted
