"""Validation of ID tokens: signature, issuer, audience and times (OpenID Connect Core, 3.1.3.7)."""

import hashlib
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeGuard

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode
from msgspec import Struct

from anyscale.errors import SsoRefused
from anyscale.server.core.secrets import SensitiveStruct

#: The allowed algorithms: none with a shared secret. For each the type of its keys, and the hash of
#: the claim `at_hash`.
_ALGORITHMS: Mapping[str, tuple[str, Callable[[bytes], Any]]] = {
    "RS256": ("RSA", hashlib.sha256),
    "PS256": ("RSA", hashlib.sha256),
    "ES256": ("EC", hashlib.sha256),
    "EdDSA": ("OKP", hashlib.sha512),
    "Ed25519": ("OKP", hashlib.sha512),
}

ALGORITHMS = frozenset(_ALGORITHMS)

#: seconds that the clocks of two machines may differ
LEEWAY = 60

_SIGNED_PARTS = 3  # (RFC 7515, 3.1)
_ENCRYPTED_PARTS = 5  # (RFC 7516, 3.1)
_MAX_CHARACTERS = 65_536
_RSA_BITS = 2048

#: the public members of a key that we use (RFC 7517, 4; RFC 7518, 6; RFC 8037, 2)
_PUBLIC = ("kty", "use", "key_ops", "alg", "kid", "n", "e", "crv", "x", "y")

#: Header parameters that an ID token should not have (Core, 2): some name a key of the token's own
#: choice, others change what is signed.
_FORBIDDEN = frozenset({"jwk", "jku", "x5c", "x5u", "crit", "b64"})

#: (Core, 2)
_SUBJECT_LENGTH = 255

#: seconds from 1970 to a time that a claim may have, which the database can store
_MOST_SECONDS = 1e12

#: characters of a provider's value in our log
_LOGGED_LENGTH = 200


class TokenHeader(Struct, frozen=True):
    """The header of a token: its algorithm, and the id of its key."""

    alg: str
    kid: str | None


class ExpectedToken(SensitiveStruct, frozen=True):
    """The values that the token of this sign-in must have."""

    issuer: str
    client_id: str
    nonce: str
    #: from the same response
    access_token: str
    #: seconds since the sign-in at most; None for any
    max_age: int | None = None


def import_keys(key_set: Iterable[Any]) -> list[Key]:
    """Return the keys of a key set (RFC 7517, 5) that may sign ID tokens."""
    return [key for jwk in key_set if (key := _import_key(jwk))]


def parse_header(token: str) -> TokenHeader:
    """Parse the header of a token whose signature is not verified yet, or raise `SsoRefused`."""
    parts = token.split(".")
    if len(parts) == _ENCRYPTED_PARTS:
        raise SsoRefused("token_encrypted")
    if len(parts) != _SIGNED_PARTS or len(token) > _MAX_CHARACTERS:
        raise SsoRefused("token_malformed")
    try:
        header = _decode_json(urlsafe_b64decode(parts[0].encode()))
    except ValueError:
        raise SsoRefused("token_malformed") from None
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or alg not in _ALGORITHMS:
        raise SsoRefused("algorithm", detail=loggable(alg))
    if _FORBIDDEN & header.keys():
        raise SsoRefused("header")
    if not _is_plain_jwt(header):
        raise SsoRefused("token_type")
    if kid is not None and not isinstance(kid, str):
        raise SsoRefused("token_malformed")
    return TokenHeader(alg, kid)


def find_key(header: TokenHeader, keys: Iterable[Key]) -> Key | None:
    """Return the key that the header names, or the only one of its type (Core, 10.1)."""
    kind, _ = _ALGORITHMS[header.alg]
    matching = [
        key
        for key in keys
        if key.key_type == kind
        and key.get("alg") in (None, header.alg)
        and header.kid in (None, key.get("kid"))
    ]
    return matching[0] if len(matching) == 1 else None


def verify_token(
    token: str, header: TokenHeader, key: Key, expected: ExpectedToken
) -> dict[str, Any]:
    """Validate a token, and return its claims.

    Raises:
        SsoRefused: it is not signed by this key, not for this sign-in, expired or not valid yet.
    """
    claims = _verify_signature(token, header.alg, key)
    _check_parties(claims, expected)
    _check_times(claims, time.time())
    _check_authentication_time(claims, expected.max_age, time.time())
    if not is_same(expected.nonce, claims.get("nonce")):
        raise SsoRefused("nonce")
    _check_access_token(claims, header.alg, expected.access_token)
    subject = claims.get("sub")
    # It must be printable, because it is stored as text, and ASCII (Core, 2).
    if not (isinstance(subject, str) and subject.isascii() and subject.isprintable()):
        raise SsoRefused("subject")
    if not 0 < len(subject) <= _SUBJECT_LENGTH:
        raise SsoRefused("subject")
    return claims


def is_same(ours: str, theirs: object) -> bool:
    """Compare with a secret, in constant time."""
    if not isinstance(theirs, str):
        return False
    return secrets.compare_digest(ours.encode(), theirs.encode(errors="replace"))


def loggable(value: object) -> str:
    """Return an algorithm or an issuer as our log shows it: visible ASCII, and not too much."""
    if value is None:
        return "absent"
    if not isinstance(value, str):
        return "no text"
    is_visible = value.isascii() and value.isprintable()
    return value[:_LOGGED_LENGTH] if is_visible else ascii(value[:_LOGGED_LENGTH])


def _import_key(jwk: Any) -> Key | None:
    try:
        # With a private part the library may compute the factors of `n`, which can take minutes.
        key = JWKRegistry.import_key({name: jwk[name] for name in _PUBLIC if name in jwk})
    except Exception:  # noqa: BLE001 - joserfc raises many kinds for odd keys
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
    """Whether a token is not another kind of JWT (RFC 8725, 3.11) and does not contain one."""
    kind = header.get("typ", "JWT")
    return isinstance(kind, str) and kind.lower() == "jwt" and "cty" not in header


class _Registry(JWSRegistry):
    """Verifies by one algorithm, and accepts every header that `parse_header` does.

    The library's own registry warns of the name `EdDSA`, which providers still use, though RFC 9864
    replaces it; and it limits headers to 512 octets.
    """

    max_header_length = max_payload_length = max_signature_length = _MAX_CHARACTERS

    def __init__(self, alg: str) -> None:
        super().__init__(algorithms=[alg], strict_check_header=False)
        self._alg = alg

    def get_alg(self, name: str) -> Any:
        if name != self._alg:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


def _verify_signature(token: str, alg: str, key: Key) -> dict[str, Any]:
    try:
        signed = jws.deserialize_compact(token, key, registry=_Registry(alg))
    except (JoseError, ValueError, TypeError):
        raise SsoRefused("signature") from None
    return _decode_json(signed.payload)


def _check_parties(claims: Mapping[str, Any], expected: ExpectedToken) -> None:
    if claims.get("iss") != expected.issuer:
        raise SsoRefused("issuer", detail=loggable(claims.get("iss")))
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
    if ends + LEEWAY <= now:
        raise SsoRefused("expired")
    if max(issued, begins) - LEEWAY > now:
        raise SsoRefused("not_yet_valid")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if not _is_time(value):
        raise SsoRefused("times")
    return value


def _is_time(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= _MOST_SECONDS  # JSON has numbers that no float can have


def _check_authentication_time(claims: Mapping[str, Any], max_age: int | None, now: float) -> None:
    """Check that the user has signed in lately, if that was requested (Core, 3.1.3.7, 13)."""
    if max_age is None:
        return
    authenticated_at = authentication_time(claims)
    if authenticated_at is None or now - authenticated_at / 1000 > max_age + LEEWAY:
        raise SsoRefused("auth_time")


def authentication_time(claims: Mapping[str, Any]) -> int | None:
    """Return when the user signed in, in milliseconds since 1970; None if no claim says it."""
    value = claims.get("auth_time")
    return int(value * 1000) if _is_time(value) else None


def _check_access_token(claims: Mapping[str, Any], alg: str, access_token: str) -> None:
    """Compare the left half of its hash (Core, 3.1.3.6), if the token has it."""
    if "at_hash" not in claims:
        return
    digest = _ALGORITHMS[alg][1](access_token.encode(errors="replace")).digest()
    half = urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
    if not is_same(half, claims["at_hash"]):
        raise SsoRefused("access_token_hash")


def _decode_json(text: bytes | str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise SsoRefused("token_malformed") from None
