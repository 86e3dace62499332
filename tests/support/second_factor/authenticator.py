"""An authenticator in Python with its browser: they can say what no real one says."""

import hashlib
import json
import os
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from fido2 import cbor

#: flags of the authenticator data (WebAuthn Level 3, 6.1)
PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED, EXTENSIONS = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80


def base64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).decode().rstrip("=")


def octets_of(text: str) -> bytes:
    return urlsafe_b64decode(f"{text}==")


@dataclass(frozen=True)
class KeyPair:
    """A key: how it signs, and the public key in COSE."""

    sign: Callable[[bytes], bytes]
    public: Mapping[int, Any]


def es256() -> KeyPair:
    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_numbers()
    public = {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)}
    return KeyPair(lambda octets: key.sign(octets, ec.ECDSA(hashes.SHA256())), public)


def eddsa() -> KeyPair:
    key = ed25519.Ed25519PrivateKey.generate()
    public = {1: 1, 3: -8, -1: 6, -2: key.public_key().public_bytes_raw()}
    return KeyPair(key.sign, public)


def rs256(bits: int = 2048) -> KeyPair:
    key = rsa.generate_private_key(65537, bits)
    modulus = key.public_key().public_numbers().n.to_bytes(bits // 8)
    public = {1: 3, 3: -257, -1: modulus, -2: b"\1\0\1"}
    return KeyPair(lambda octets: key.sign(octets, padding.PKCS1v15(), hashes.SHA256()), public)


@dataclass
class SoftAuthenticator:
    """One passkey, and the browser that uses it. All that it says can be chosen, also for one call.

    `create` and `get` take the options of a page, as `navigator.credentials` does, and return what
    the script of the page sends.
    """

    origin: str
    key: KeyPair = field(default_factory=es256)
    credential_id: bytes = field(default_factory=lambda: os.urandom(16))
    user_handle: bytes = b""
    flags: int = PRESENT | VERIFIED
    #: rises with each use, unless it is 0 and the passkey has no counter
    counter: int = 1
    has_counter: bool = True
    transports: tuple[str, ...] = ("internal",)

    def create(self, options: Mapping[str, Any], **changed: Any) -> str:
        """Create the passkey for the user of the options."""
        self.user_handle = octets_of(options["user"]["id"])
        client_data = self._client_data("webauthn.create", options, changed)
        public = cbor.encode(changed.get("public", self.key.public))
        attested = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id
        data = self._data(options["rp"]["id"], ATTESTED, attested + public, changed)
        attestation = cbor.encode({"fmt": "none", "attStmt": {}, "authData": data})
        answer = {
            "id": base64url(changed.get("credential_id", self.credential_id)),
            "client_data": base64url(client_data),
            "attestation": base64url(changed.get("attestation", attestation)),
            "transports": list(self.transports),
        }
        return json.dumps(answer | changed.get("answer", {}))

    def get(self, options: Mapping[str, Any], **changed: Any) -> str:
        """Sign a challenge."""
        client_data = self._client_data("webauthn.get", options, changed)
        data = self._data(options["rpId"], 0, b"", changed)
        signed = data + hashlib.sha256(client_data).digest()
        answer = {
            "id": base64url(changed.get("credential_id", self.credential_id)),
            "client_data": base64url(client_data),
            "authenticator_data": base64url(data),
            "signature": base64url(changed.get("signature", self.key.sign(signed))),
            "user_handle": base64url(changed.get("user_handle", self.user_handle)),
        }
        return json.dumps(answer | changed.get("answer", {}))

    def _client_data(self, kind: str, options: Mapping[str, Any], changed: dict[str, Any]) -> bytes:
        content = {
            "type": changed.get("type", kind),
            "challenge": changed.get("challenge", options["challenge"]),
            "origin": changed.get("origin", self.origin),
            "crossOrigin": changed.get("cross_origin", False),
        }
        return json.dumps(content).encode()

    def _data(self, rp_id: str, more: int, attested: bytes, changed: dict[str, Any]) -> bytes:
        if self.has_counter and "counter" not in changed:
            self.counter += 1
        counter = changed.get("counter", self.counter if self.has_counter else 0)
        flags = changed.get("flags", self.flags) | more
        rp_hash = hashlib.sha256(changed.get("rp_id", rp_id).encode()).digest()
        return rp_hash + struct.pack(">BI", flags, counter) + attested
