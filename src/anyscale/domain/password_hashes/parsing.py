"""Parsing and judging a hash of any scheme."""

import re
from collections.abc import Callable, Collection
from functools import lru_cache

from anyscale.domain.password_hashes.argon2 import parse_argon2
from anyscale.domain.password_hashes.crypt3 import parse_crypt
from anyscale.domain.password_hashes.digest import (
    new_digest_hash,
    parse_digest,
    parse_ldap_digest,
)
from anyscale.domain.password_hashes.django import parse_django
from anyscale.domain.password_hashes.parsed_hash import (
    MIN_TAG_OCTETS,
    ParsedHash,
    RefusedHash,
    unknown,
)
from anyscale.domain.password_hashes.pbkdf2 import parse_pbkdf2
from anyscale.domain.password_hashes.scrypt import parse_scrypt

#: characters; the longest that a scheme writes has about 250
_MAX_LENGTH = 1024

#: By the beginning of a hash: what is cut off before the parser gets it, and the parser. First are
#: those that most hashes have.
_PARSERS: dict[str, tuple[str, Callable[[str], ParsedHash]]] = {
    **dict.fromkeys(("$2", "$5$", "$6$", "$y$"), ("", parse_crypt)),
    "$argon2": ("", parse_argon2),
    "$scrypt$": ("", parse_scrypt),
    "$pbkdf2": ("", parse_pbkdf2),
    "{pbkdf2": ("", parse_pbkdf2),
    "{crypt}": ("{crypt}", parse_crypt),
    "{bcrypt}": ("{bcrypt}", parse_crypt),
    "{argon2}": ("{argon2}", parse_argon2),
    "{": ("", parse_ldap_digest),
    # Kratos writes names in place of the numbers of crypt(3).
    "$md5-crypt$": ("$md5-crypt", lambda text: parse_crypt(f"$1{text}")),
    "$sha256-crypt$": ("$sha256-crypt", lambda text: parse_crypt(f"$5{text}")),
    "$sha512-crypt$": ("$sha512-crypt", lambda text: parse_crypt(f"$6{text}")),
    "$md5$": ("", parse_digest),
    "$sha": ("", parse_digest),
    "$": ("", parse_crypt),
}

_is_md5 = re.compile("[0-9a-fA-F]{32}").fullmatch


@lru_cache(maxsize=1)  # a reader judges a hash, and then looks whether it is weak
def parse(text: str) -> ParsedHash:
    """Parse a hash of any scheme that is read, and check its parameters. It computes nothing.

    Raises:
        RefusedHash: it is none, or costs too much.
    """
    if len(text) > _MAX_LENGTH or not (text.isascii() and text.isprintable()):
        raise RefusedHash(
            "password_hash_invalid", f"is longer than {_MAX_LENGTH} characters, or not ASCII"
        )
    if text[:1] not in ("$", "{"):
        if _is_md5(text):
            return new_digest_hash("md5", b"", b"", bytes.fromhex(text))
        return parse_django(text)
    beginning = text[:16].lower()
    for prefix, (cut, parser) in _PARSERS.items():
        if beginning.startswith(prefix):
            return parser(text[len(cut) :])
    raise unknown("is of no scheme that is read")


def judge(text: str, schemes: Collection[str], *, accept_weak: bool = False) -> ParsedHash:
    """Parse a hash that is to be imported.

    Args:
        text: the hash.
        schemes: those that the server verifies: see `Policy.hash_schemes`.
        accept_weak: whether hashes below the floor of their scheme are accepted.

    Raises:
        RefusedHash: it cannot be imported.
    """
    parsed = parse(text)
    if parsed.scheme not in schemes:
        detail = f"is of {parsed.scheme}, which this control plane cannot verify: its schemes are "
        raise RefusedHash("password_hash_unsupported", detail + ", ".join(schemes))
    if len(parsed.tag) < MIN_TAG_OCTETS:
        raise RefusedHash("password_hash_invalid", "is shorter than 16 octets")
    if parsed.weakness and not accept_weak:
        mend = "to import it anyway, wrapped in Argon2id, use --accept-weak-hashes"
        raise RefusedHash("password_hash_weak", f"{parsed.weakness}; {mend}")
    return parsed


def can_be_imported(text: str, schemes: Collection[str], *, accept_weak: bool = False) -> bool:
    """Whether `judge` accepts a hash."""
    try:
        judge(text, schemes, accept_weak=accept_weak)
    except RefusedHash:
        return False
    return True
