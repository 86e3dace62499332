"""ID tokens: signed by whom, for whom, and until when (OpenID Connect Core 1.0, 3.1.3.7)."""

import hashlib
import math
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode
from msgspec import Struct

from anyscale.errors import SsoRefused

__all__ = ["Expected", "Header", "claims_of", "header_of", "key_for", "keys_of", "same"]

#: What may sign: nothing that shares a secret, and nothing that the token says changes this. With
#: each the kind of its keys, and the hash by which a token is bound to another.
_ALGORITHMS: Mapping[str, tuple[str, Callable[[bytes], Any]]] = {
    "RS256": ("RSA", hashlib.sha256),
    "PS256": ("RSA", hashlib.sha256),
    "ES256": ("EC", hashlib.sha256),
    "EdDSA": ("OKP", hashlib.sha512),
    "Ed25519": ("OKP", hashlib.sha512),
}

#: Seconds by which two clocks may differ.
_LEEWAY = 60

_SIGNED_PARTS = 3  # (RFC 7515, 3.1)
_ENCRYPTED_PARTS = 5  # (RFC 7516, 3.1)
_MOST_CHARACTERS = 65_536
_RSA_BITS = 2048

#: "SHOULD NOT" be in an ID token (Core, 2): they tell a careless reader where to find the key. And
#: those that change what is signed.
_FOREIGN = frozenset({"jwk", "jku", "x5c", "x5u", "crit", "b64"})

#: (Core, 2)
_SUBJECT_LENGTH = 255


class Header(Struct, frozen=True):
    """By what a token says that it is signed."""

    alg: str
    kid: str | None


class Expected(Struct, frozen=True):
    """What the token of this sign-in has to say."""

    issuer: str
    client_id: str
    nonce: str
    #: that came beside it
    access_token: str

    def __repr__(self) -> str:
        return "Expected(...)"


def keys_of(found: Iterable[Any]) -> list[Key]:
    """Give those of a provider's keys (RFC 7517, 5) that may sign ID tokens."""
    return [key for one in found if (key := _key(one))]


def header_of(token: str) -> Header:
    """Read the header of a token, which nobody has checked yet.

    Raises:
        SsoRefused: it is none that an ID token may have.
    """
    parts = token.split(".")
    if len(parts) == _ENCRYPTED_PARTS:
        raise SsoRefused("token_encrypted")
    if len(parts) != _SIGNED_PARTS or len(token) > _MOST_CHARACTERS:
        raise SsoRefused("token_malformed")
    found = _decoded(parts[0])
    alg, kid = found.get("alg"), found.get("kid")
    if not isinstance(alg, str) or alg not in _ALGORITHMS:
        raise SsoRefused("algorithm")
    if _FOREIGN & found.keys():
        raise SsoRefused("header")
    if not _is_plain_jwt(found):
        raise SsoRefused("token_type")
    if kid is not None and not isinstance(kid, str):
        raise SsoRefused("token_malformed")
    return Header(alg, kid)


def key_for(header: Header, keys: Iterable[Key]) -> Key | None:
    """Give the key that a token names, or the only one that it can mean (Core, 10.1)."""
    kind, _ = _ALGORITHMS[header.alg]
    fitting = [
        key
        for key in keys
        if key.key_type == kind
        and key.get("alg") in (None, header.alg)
        and header.kid in (None, key.get("kid"))
    ]
    return fitting[0] if len(fitting) == 1 else None


def claims_of(token: str, header: Header, key: Key, expected: Expected) -> dict[str, Any]:
    """Check a token, and give what it says.

    Raises:
        SsoRefused: it is not signed by this key, or not for this sign-in, or not now.
    """
    claims = _signed(token, header.alg, key)
    _check_parties(claims, expected)
    _check_times(claims, time.time())
    if not same(expected.nonce, claims.get("nonce")):
        raise SsoRefused("nonce")
    _check_access_token(claims, header.alg, expected.access_token)
    subject = claims.get("sub")
    # Printable: it becomes a text of the database, and a provider's mistake shows no further.
    if not (isinstance(subject, str) and subject.isascii() and subject.isprintable()):
        raise SsoRefused("subject")
    if not 0 < len(subject) <= _SUBJECT_LENGTH:
        raise SsoRefused("subject")
    return claims


def same(ours: str, theirs: object) -> bool:
    """Compare with a secret in a time that tells nothing of it."""
    if not isinstance(theirs, str):
        return False
    return secrets.compare_digest(ours.encode(), theirs.encode(errors="replace"))


def _key(found: Any) -> Key | None:
    try:
        key = JWKRegistry.import_key(found)
    except Exception:  # noqa: BLE001 - whatever is wrong with somebody else's key, it is none
        return None
    operations = key.get("key_ops")
    for_signatures = key.get("use") in (None, "sig") and "verify" in (operations or ("verify",))
    return key if for_signatures and _is_strong(key) else None


def _is_strong(key: Key) -> bool:
    if isinstance(key, RSAKey):
        return key.public_key.key_size >= _RSA_BITS
    if isinstance(key, ECKey):
        return key.curve_name == "P-256"
    return isinstance(key, OKPKey) and key.curve_name == "Ed25519"


def _is_plain_jwt(header: Mapping[str, Any]) -> bool:
    """Say whether it is neither another kind of token (RFC 8725, 3.11) nor holds another one."""
    kind = header.get("typ", "JWT")
    return isinstance(kind, str) and kind.lower() == "jwt" and "cty" not in header


def _signed(token: str, alg: str, key: Key) -> dict[str, Any]:
    # By the algorithm itself: the library's way around it warns of the name `EdDSA`, for which
    # RFC 9864 has another one, and providers still use it.
    algorithm = JWSRegistry.algorithms[alg]
    signed, _, signature = token.rpartition(".")
    try:
        algorithm.check_key(key)
        is_good = algorithm.verify(signed.encode(), urlsafe_b64decode(signature.encode()), key)
    except (JoseError, ValueError, TypeError):
        is_good = False
    if not is_good:
        raise SsoRefused("signature")
    return _decoded(signed.partition(".")[2])


def _check_parties(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise SsoRefused("issuer")
    audience = claims.get("aud")
    several = audience if isinstance(audience, list) else [audience]
    if expected.client_id not in several:
        raise SsoRefused("audience")
    # (Core, 3.1.3.7, 4 and 5)
    if claims.get("azp", None if len(several) > 1 else expected.client_id) != expected.client_id:
        raise SsoRefused("authorized_party")


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    ends, issued = _time(claims, "exp"), _time(claims, "iat")
    begins = _time(claims, "nbf") if "nbf" in claims else issued
    if ends + _LEEWAY <= now:
        raise SsoRefused("expired")
    if max(issued, begins) - _LEEWAY > now:
        raise SsoRefused("not_yet_valid")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SsoRefused("times")
    return value


def _check_access_token(claims: Mapping[str, Any], alg: str, access_token: str) -> None:
    """Compare the left half of its hash (Core, 3.1.3.6), if the token has it."""
    if "at_hash" not in claims:
        return
    digest = _ALGORITHMS[alg][1](access_token.encode(errors="replace")).digest()
    half = urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
    if not same(half, claims["at_hash"]):
        raise SsoRefused("access_token_hash")


def _decoded(part: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(urlsafe_b64decode(part.encode()), type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise SsoRefused("token_malformed") from None
