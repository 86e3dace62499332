"""Passkeys: what browsers are asked for, and the checks of what they answer (WebAuthn Level 3).

`fido2` reads the authenticator data and verifies signatures. It leaves to its caller whether an
origin is exactly ours, a challenge is used once, a counter rises and a user handle belongs to the
account: these checks are here and in `challenges.py`.
"""

import hashlib
import re
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from math import gcd
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from msgspec import Struct

from anyscale.errors import PasskeyRefused
from anyscale.server.core.passkeys.relying_party import RelyingParty

if TYPE_CHECKING:  # a server loads it with the first passkey: 35 ms
    from fido2.cose import CoseKey
    from fido2.webauthn import AuthenticatorData

#: passkeys of an account
MOST_PASSKEYS: Final = 20

#: of a browser (WebAuthn Level 3, 5.8.4); others are left out
_TRANSPORTS = frozenset({"ble", "hybrid", "internal", "nfc", "smart-card", "usb"})

#: Octets. A credential id has at most 1,023 (WebAuthn Level 3, 4), an attestation that an
#: authenticator adds although we want none has some 6,000.
_MOST_CREDENTIAL_ID = 1_023
_MOST_CLIENT_DATA = 4_096
_MOST_ATTESTATION = 8_192
_MOST_AUTHENTICATOR_DATA = 2_048
_MOST_SIGNATURE = 1_024
_MOST_USER_HANDLE = 64
#: characters of the whole answer
_MOST_ANSWER = 16_384

#: octets of a coordinate
_POINT = range(32, 33)
#: of an RSA key: 2,048 to 4,096 bits, and an exponent with which verifying stays fast
_MODULUS, _EXPONENT = range(256, 513), range(1, 5)

#: parameters of a key: its algorithm, its type, its curve
_ALGORITHM, _TYPE, _CURVE = 3, 1, -1
#: the type of Ed25519 and its point, the type of RSA and its modulus
_OKP, _X = 1, -2
_RSA, _N = 3, -1
_SMALL_PRIMES = 2 * 3 * 5 * 7 * 11 * 13 * 17 * 19 * 23 * 29 * 31 * 37 * 41 * 43 * 47
#: What phones, computers and security keys support, the preferred one first: ES256, EdDSA, RS256.
#: Parameters with their values, and octets of the others (RFC 9053, 7; RFC 8230, 4).
_KEYS: Final[Mapping[int, tuple[dict[int, int], dict[int, range]]]] = {
    -7: ({_TYPE: 2, _CURVE: 1}, {-2: _POINT, -3: _POINT}),
    -8: ({_TYPE: 1, _CURVE: 6}, {-2: _POINT}),
    -257: ({_TYPE: 3}, {-1: _MODULUS, -2: _EXPONENT}),
}

Answer = TypeVar("Answer")

_is_base64url = re.compile("[0-9A-Za-z_-]*").fullmatch

#: what `fido2` and `cryptography` raise for octets that they cannot read
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    struct.error,
)


class Passkey(Struct, frozen=True):
    """A passkey of an account, as it is stored."""

    credential_id: bytes
    #: a key in COSE (RFC 9052, 7)
    public_key: bytes
    #: signatures so far; a passkey that is on several devices always says 0
    counter: int
    #: Whether it may be on several devices: a provider of passkeys copies it.
    can_be_backed_up: bool
    #: how a browser reaches it, separated by blanks; empty if it does not say
    transports: str


class _ClientData(Struct, frozen=True):
    """What the browser adds (WebAuthn Level 3, 5.8.1)."""

    type: str
    challenge: str
    origin: str
    cross_origin: bool = msgspec.field(default=False, name="crossOrigin")


class _RegistrationAnswer(Struct, frozen=True):
    """What the script of a page sends; octets are in base64url."""

    id: str
    client_data: str
    attestation: str
    transports: list[str] = []


class _AssertionAnswer(Struct, frozen=True):
    id: str
    client_data: str
    authenticator_data: str
    signature: str
    user_handle: str = ""


class Registration:
    """A browser's answer to `registration_options`.

    Raises:
        PasskeyRefused: it cannot be read.
    """

    def __init__(self, answer: str) -> None:
        from fido2.webauthn import AttestationObject

        read = _decoded(answer, _RegistrationAnswer)
        self._credential_id: Final = _octets(read.id, _MOST_CREDENTIAL_ID)
        self._client_data: Final = _decoded(
            _octets(read.client_data, _MOST_CLIENT_DATA), _ClientData
        )
        attestation = _octets(read.attestation, _MOST_ATTESTATION)
        try:
            self._data: Final = AttestationObject(attestation).auth_data
        except _UNREADABLE:
            raise PasskeyRefused("malformed") from None
        self._transports: Final = " ".join(sorted(_TRANSPORTS.intersection(read.transports)))

    @property
    def challenge(self) -> str:
        """The challenge, which the caller checks."""
        return self._client_data.challenge

    def verify(self, rp: RelyingParty) -> Passkey:
        """Return the new passkey (WebAuthn Level 3, 7.1).

        Raises:
            PasskeyRefused: another page has asked for it, the user was not verified, or we do not
                accept its key.
        """
        from fido2 import cbor

        _check_client_data(self._client_data, "create", rp)
        _check_flags(self._data, rp)
        created = self._data.credential_data
        if created is None or not self._credential_id:
            raise PasskeyRefused("malformed")
        if created.credential_id != self._credential_id:
            raise PasskeyRefused("credential")
        return Passkey(
            credential_id=self._credential_id,
            public_key=cbor.encode(_checked_key(created.public_key)),
            counter=self._data.counter,
            can_be_backed_up=self._data.is_backup_eligible(),
            transports=self._transports,
        )


class Assertion:
    """A browser's answer to `request_options`.

    Raises:
        PasskeyRefused: it cannot be read.
    """

    def __init__(self, answer: str) -> None:
        from fido2.webauthn import AuthenticatorData

        read = _decoded(answer, _AssertionAnswer)
        #: names the passkey
        self.credential_id: Final = _octets(read.id, _MOST_CREDENTIAL_ID)
        self._user_handle: Final = _octets(read.user_handle, _MOST_USER_HANDLE)
        self._signature: Final = _octets(read.signature, _MOST_SIGNATURE)
        self._client_octets: Final = _octets(read.client_data, _MOST_CLIENT_DATA)
        self._client_data: Final = _decoded(self._client_octets, _ClientData)
        data = _octets(read.authenticator_data, _MOST_AUTHENTICATOR_DATA)
        try:
            self._data: Final = AuthenticatorData(data)
        except _UNREADABLE:
            raise PasskeyRefused("malformed") from None

    @property
    def challenge(self) -> str:
        """The challenge, which the caller checks."""
        return self._client_data.challenge

    @property
    def counter(self) -> int:
        """The signatures of the authenticator so far, to be stored after `verify`."""
        return self._data.counter

    def verify(self, rp: RelyingParty, stored: Passkey, user_id: str, *, needs_user: bool) -> None:
        """Check the answer against the stored passkey of an account (WebAuthn Level 3, 7.2).

        `needs_user`: nobody has said yet who signs in, so the answer has to name the account.

        Raises:
            PasskeyRefused: it is not a new answer of this passkey to a page of ours.
        """
        if self.credential_id != stored.credential_id:
            raise PasskeyRefused("credential")
        if (self._user_handle or needs_user) and self._user_handle != user_handle(user_id):
            raise PasskeyRefused("account")
        _check_client_data(self._client_data, "get", rp)
        _check_flags(self._data, rp)
        if self._data.is_backup_eligible() != stored.can_be_backed_up:
            raise PasskeyRefused("backup")
        self._check_signature(stored.public_key)
        if is_copied(stored.counter, self.counter):
            raise PasskeyRefused("copied")

    def _check_signature(self, public_key: bytes) -> None:
        from fido2 import cbor
        from fido2.cose import CoseKey

        key = CoseKey.parse(cbor.decode(public_key))  # type: ignore[arg-type]  # a map that we wrote
        signed = bytes(self._data) + hashlib.sha256(self._client_octets).digest()
        try:
            key.verify(signed, self._signature)
        except (InvalidSignature, *_UNREADABLE):
            raise PasskeyRefused("signature") from None


def is_copied(stored: int, counter: int) -> bool:
    """Whether a counter says that another authenticator has the same passkey.

    Passkeys that are copied on purpose have no counter: both are 0 (WebAuthn Level 3, 6.1.1).
    """
    return bool(stored or counter) and counter <= stored


def user_handle(user_id: str) -> bytes:
    """Return the handle of an account: not its email, which changes (WebAuthn Level 3, 14.6.1)."""
    return user_id.encode()


def registration_options(
    rp: RelyingParty,
    *,
    challenge: str,
    organization: str,
    user_id: str,
    email: str,
    known: Sequence[Passkey],
) -> dict[str, Any]:
    """Return the options of `navigator.credentials.create`, with octets in base64url.

    A passkey that the user has is not created again. `organization` and `email` are shown by the
    browser.
    """
    return {
        "rp": {"id": rp.rp_id, "name": organization or rp.rp_id},
        "user": {"id": _text(user_handle(user_id)), "name": email, "displayName": email},
        "challenge": challenge,
        "pubKeyCredParams": [{"type": "public-key", "alg": number} for number in _KEYS],
        "authenticatorSelection": {
            "residentKey": "required",
            "requireResidentKey": True,
            "userVerification": "required",
        },
        "attestation": "none",
        "excludeCredentials": _descriptors(known),
    }


def request_options(
    rp: RelyingParty, *, challenge: str, known: Sequence[Passkey] = ()
) -> dict[str, Any]:
    """Return the options of `navigator.credentials.get`, with octets in base64url.

    Without `known` passkeys the user chooses the account.
    """
    return {
        "rpId": rp.rp_id,
        "challenge": challenge,
        "userVerification": "required",
        "allowCredentials": _descriptors(known),
    }


def _descriptors(known: Sequence[Passkey]) -> list[dict[str, Any]]:
    return [
        {
            "type": "public-key",
            "id": _text(passkey.credential_id),
            "transports": passkey.transports.split(),
        }
        for passkey in known
    ]


def _check_client_data(data: _ClientData, call: str, rp: RelyingParty) -> None:
    if data.type != f"webauthn.{call}":
        raise PasskeyRefused("type")
    if data.origin != rp.origin:
        raise PasskeyRefused("origin")
    if data.cross_origin:  # our pages are in no frame
        raise PasskeyRefused("cross_origin")


def _check_flags(data: "AuthenticatorData", rp: RelyingParty) -> None:
    """Check what the authenticator says of the address and of the user."""
    if data.rp_id_hash != hashlib.sha256(rp.rp_id.encode()).digest():
        raise PasskeyRefused("rp_id")
    if not data.is_user_present():
        raise PasskeyRefused("presence")
    if not data.is_user_verified():
        raise PasskeyRefused("unverified")
    if data.is_backed_up() and not data.is_backup_eligible():
        raise PasskeyRefused("backup")


def _checked_key(key: "CoseKey") -> dict[int, Any]:
    """Return only the parameters of a key that verifying needs."""
    from fido2.cose import CoseKey

    algorithm = key.get(_ALGORITHM)
    fixed, lengths = _KEYS.get(algorithm if isinstance(algorithm, int) else 0, ({}, {}))
    has_all = all(_has(key.get(name), length) for name, length in lengths.items())
    if not fixed or not has_all or any(key.get(name) != fixed[name] for name in fixed):
        raise PasskeyRefused("key")
    checked = {name: key[name] for name in (_ALGORITHM, *fixed, *lengths)}
    _require_usable(CoseKey.parse(checked))
    return checked


def _has(value: object, lengths: range) -> bool:
    return isinstance(value, bytes) and len(value) in lengths


def _require_usable(key: "CoseKey") -> None:
    """Check a key by a signature that is wrong: a point may not be on its curve.

    For a point of small order, and for a modulus with a small factor, everybody can sign.
    """
    from nacl.bindings import crypto_core_ed25519_is_valid_point as is_valid_point

    if key[_TYPE] == _OKP and not is_valid_point(key[_X]):
        raise PasskeyRefused("key")
    if key[_TYPE] == _RSA and gcd(int.from_bytes(key[_N]), _SMALL_PRIMES) != 1:
        raise PasskeyRefused("key")
    try:
        key.verify(b"", b"")
    except InvalidSignature:
        return
    except _UNREADABLE:
        pass
    raise PasskeyRefused("key")


def _decoded(text: str | bytes, kind: type[Answer]) -> Answer:
    if len(text) > _MOST_ANSWER:
        raise PasskeyRefused("malformed")
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise PasskeyRefused("malformed") from None


def _octets(text: str, most: int) -> bytes:
    """Return the octets of base64url without padding, `most` at most."""
    if len(text) > (most * 4 + 2) // 3 or not _is_base64url(text):
        raise PasskeyRefused("malformed")
    try:
        return urlsafe_b64decode(f"{text}==")
    except ValueError:
        raise PasskeyRefused("malformed") from None


def _text(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode().rstrip("=")
