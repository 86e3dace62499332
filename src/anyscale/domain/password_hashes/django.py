"""The encoded passwords of Django: `algorithm$...`, whose salts are texts."""

from collections.abc import Callable

from msgspec import structs

from anyscale.domain.password_hashes.argon2 import parse_argon2
from anyscale.domain.password_hashes.crypt3 import CryptHash, parse_crypt
from anyscale.domain.password_hashes.digest import DigestHash, new_digest_hash
from anyscale.domain.password_hashes.parsed_hash import ParsedHash, RefusedHash, number, unknown
from anyscale.domain.password_hashes.pbkdf2 import Pbkdf2Hash, new_pbkdf2_hash
from anyscale.domain.password_hashes.scrypt import ScryptHash, new_scrypt_hash


def parse_django(text: str) -> ParsedHash:
    """Parse what the field `password` of Django's users has.

    Raises:
        RefusedHash: it is of no hasher of Django that is read, or costs too much.
    """
    algorithm, _, rest = text.partition("$")
    parse = _PARSERS.get(algorithm)
    if parse is None:
        raise unknown("is of no scheme that is read")
    try:
        return parse(algorithm, rest)
    except RefusedHash:
        raise
    except ValueError:  # too few parts, or too many
        detail = f"is not a complete hash of Django's {algorithm}"
        raise RefusedHash("password_hash_invalid", detail) from None


def _pbkdf2(algorithm: str, rest: str) -> Pbkdf2Hash:
    iterations, salt, tag = rest.split("$")
    digest = algorithm.removeprefix("pbkdf2_")
    count = number(iterations, "a number of iterations")
    return new_pbkdf2_hash(digest, count, salt.encode(), tag)


def _scrypt(_: str, rest: str) -> ScryptHash:
    n, salt, r, p, tag = rest.split("$")
    costs = number(n, "a cost"), number(r, "a block size"), number(p, "a p")
    return new_scrypt_hash(*costs, salt.encode(), tag)


def _bcrypt(algorithm: str, rest: str) -> CryptHash:
    parsed = parse_crypt(rest)
    if parsed.scheme != "bcrypt":
        raise ValueError
    return structs.replace(parsed, is_sha256=algorithm == "bcrypt_sha256")


def _digest(algorithm: str, rest: str) -> DigestHash:
    salt, tag = rest.split("$")
    return new_digest_hash(algorithm, salt.encode(), b"", bytes.fromhex(tag))


_PARSERS: dict[str, Callable[[str, str], ParsedHash]] = {
    "pbkdf2_sha256": _pbkdf2,
    "pbkdf2_sha1": _pbkdf2,
    "scrypt": _scrypt,
    "argon2": lambda _, rest: parse_argon2(f"${rest}"),
    "bcrypt": _bcrypt,
    "bcrypt_sha256": _bcrypt,
    "md5": _digest,
    "sha1": _digest,
}
