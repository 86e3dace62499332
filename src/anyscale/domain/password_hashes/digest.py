"""Plain digests, which are all weak: those of LDAP, of Kratos and of Django."""

import hashlib
import re
from base64 import b64decode

from anyscale.domain.password_hashes.parsed_hash import ParsedHash, RefusedHash, unknown

#: octets of the digests that are read
_SIZES = {
    name: hashlib.new(name, usedforsecurity=False).digest_size
    for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
}

_ldap = re.compile(r"\{(s?)(md5|sha|sha256|sha384|sha512)\}(.+)", re.IGNORECASE).fullmatch
_kratos = re.compile(r"\$(md5|sha1|sha256|sha512)\$(?:pf=([^$]+)\$([^$]+)\$)?([^$]+)").fullmatch

_PASSWORD, _SALT = b"{PASSWORD}", b"{SALT}"


class DigestHash(ParsedHash, frozen=True, gc=False):
    """A digest of a password, with octets before and after it."""

    digest: str
    before: bytes
    after: bytes

    @property
    def scheme(self) -> str:
        return "digest"

    @property
    def weakness(self) -> str:
        return f"is a plain {self.digest.upper()} digest, which is weak whatever its password is"

    @property
    def milliseconds(self) -> int:
        return 0


def new_digest_hash(digest: str, before: bytes, after: bytes, tag: bytes) -> DigestHash:
    """Return a checked digest.

    Raises:
        RefusedHash: it has another length than a digest.
    """
    if len(tag) != _SIZES[digest]:
        raise _invalid(f"has {len(tag)} octets, and a digest of {digest} {_SIZES[digest]}")
    return DigestHash(digest=digest, before=before, after=after, tag=tag)


def parse_ldap_digest(text: str) -> DigestHash:
    """Parse `{SSHA}` and its kin (RFC 2307), whose salt follows the digest.

    Raises:
        RefusedHash: it is none.
    """
    match = _ldap(text)
    if match is None:
        raise unknown("is of no scheme of LDAP that is read")
    salted, name, encoded = match.groups()
    digest = {"sha": "sha1"}.get(name.lower(), name.lower())
    octets = _decoded(encoded)
    size = _SIZES[digest] if salted else len(octets)
    return new_digest_hash(digest, b"", octets[size:], octets[:size])


def parse_digest(text: str) -> DigestHash:
    """Parse a digest of Kratos: `$md5$...`, or `$sha1$pf=...$salt$...` with a format.

    Raises:
        RefusedHash: it is none.
    """
    match = _kratos(text)
    if match is None:
        raise _invalid("is not a digest of the form $sha256$pf=format$salt$digest")
    digest, form, salt, tag = match.groups()
    before = after = b""
    if form:
        before, password, after = _decoded(form).partition(_PASSWORD)
        if not password or _PASSWORD in after:
            raise _invalid("has a format without one {PASSWORD}")
        before, after = (part.replace(_SALT, _decoded(salt)) for part in (before, after))
    return new_digest_hash(digest, before, after, _decoded(tag))


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise _invalid("has a salt or a digest that is not valid base64") from None


def _invalid(detail: str) -> RefusedHash:
    return RefusedHash("password_hash_invalid", detail)
