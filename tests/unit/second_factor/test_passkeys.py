"""Passkeys: all that is refused, and the keys and flags that are accepted."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from fido2 import cbor
from hypothesis import given
from hypothesis import strategies as st
from tests.support.second_factor.authenticator import (
    BACKED_UP,
    ELIGIBLE,
    PRESENT,
    VERIFIED,
    KeyPair,
    SoftAuthenticator,
    base64url,
    eddsa,
    es256,
    octets_of,
    rs256,
)

from anyscale.errors import PasskeyRefused
from anyscale.server.core.passkeys.relying_party import RelyingParty
from anyscale.server.core.passkeys.webauthn import (
    Assertion,
    Passkey,
    Registration,
    registration_options,
    request_options,
)

RP = RelyingParty("accounts.example.com", "https://accounts.example.com")
USER = "usr_01"
CREATION = registration_options(
    RP, challenge="AAAA", organization="Example", user_id=USER, email="ada@example.com", known=[]
)
REQUEST = request_options(RP, challenge="BBBB")


def authenticator(**values: Any) -> SoftAuthenticator:
    return SoftAuthenticator(RP.origin, **values)


def registered(device: SoftAuthenticator, **changed: Any) -> Passkey:
    return Registration(device.create(CREATION, **changed)).verify(RP)


def reason_of(call: Callable[[], object]) -> str:
    with pytest.raises(PasskeyRefused) as refused:
        call()
    return refused.value.reason


@pytest.fixture(scope="module")
def device() -> SoftAuthenticator:
    return authenticator()


@pytest.fixture(scope="module")
def passkey(device: SoftAuthenticator) -> Passkey:
    return registered(device)


@pytest.mark.parametrize("new_key", [es256, eddsa, rs256])
def test_a_passkey_of_each_kind_of_key_is_added_and_signs_in(
    new_key: Callable[[], KeyPair],
) -> None:
    device = authenticator(key=new_key(), transports=("usb", "nfc", "telepathy"))
    passkey = registered(device)

    assertion = Assertion(device.get(REQUEST))
    assertion.verify(RP, passkey, USER, needs_user=True)

    assert assertion.challenge == "BBBB"
    assert passkey.transports == "nfc usb"
    assert assertion.counter > passkey.counter


def test_the_options_require_a_verified_user_and_hide_the_email_from_the_handle() -> None:
    known = Passkey(b"\1\2", b"", 0, can_be_backed_up=False, transports="nfc usb")
    options = registration_options(
        RP, challenge="AAAA", organization="Example", user_id=USER, email="a@b.io", known=[known]
    )

    assert options["rp"] == {"id": "accounts.example.com", "name": "Example"}
    assert options["user"]["id"] == base64url(USER.encode())
    assert options["attestation"] == "none"
    assert [one["alg"] for one in options["pubKeyCredParams"]] == [-7, -8, -257]
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    described = {"type": "public-key", "id": "AQI", "transports": ["nfc", "usb"]}
    assert options["excludeCredentials"] == [described]
    assert request_options(RP, challenge="B", known=[known])["allowCredentials"] == [described]
    assert REQUEST["allowCredentials"] == []
    assert REQUEST["userVerification"] == "required"


#: what is said wrongly to add a passkey or to use it, and the reason of the refusal
WRONG = {
    "another site": ({"origin": "https://evil.example"}, "origin"),
    "a sub-domain": ({"origin": "https://evil.accounts.example.com"}, "origin"),
    "the parent domain": ({"origin": "https://example.com"}, "origin"),
    "a sibling": ({"origin": "https://mail.example.com"}, "origin"),
    "another port": ({"origin": "https://accounts.example.com:8443"}, "origin"),
    "the default port, written": ({"origin": "https://accounts.example.com:443"}, "origin"),
    "no TLS": ({"origin": "http://accounts.example.com"}, "origin"),
    "a slash": ({"origin": "https://accounts.example.com/"}, "origin"),
    "capitals": ({"origin": "https://Accounts.example.com"}, "origin"),
    "a name before": ({"origin": "https://accounts.example.com@evil.example"}, "origin"),
    "an app": ({"origin": "android:apk-key-hash:AAAA"}, "origin"),
    "no origin": ({"origin": "null"}, "origin"),
    "a frame of another site": ({"cross_origin": True}, "cross_origin"),
    "another RP ID": ({"rp_id": "evil.example"}, "rp_id"),
    "the RP ID of the parent": ({"rp_id": "example.com"}, "rp_id"),
    "the RP ID with a port": ({"rp_id": "accounts.example.com:443"}, "rp_id"),
    "nobody verified": ({"flags": PRESENT}, "unverified"),
    "nobody present": ({"flags": VERIFIED}, "presence"),
    "no flags": ({"flags": 0}, "presence"),
    "backed up, and cannot be": ({"flags": PRESENT | VERIFIED | BACKED_UP}, "backup"),
    "another type": ({"type": "payment.get"}, "type"),
    "another credential": ({"credential_id": b"another"}, "credential"),
    "no credential": ({"credential_id": b""}, None),
    "a type that is not a text": ({"type": 1}, "malformed"),
    "a long credential id": ({"credential_id": bytes(1024)}, "malformed"),
    "long client data": ({"origin": "https://" + "a" * 4096}, "malformed"),
    "octets after the data": ({"answer": {"id": "AAA="}}, "malformed"),
    "an id that is not base64url": ({"answer": {"id": "AA+/"}}, "malformed"),
    "an id of one character": ({"answer": {"id": "A"}}, "malformed"),
    "client data that is not JSON": ({"answer": {"client_data": "AAAA"}}, "malformed"),
    "no client data": ({"answer": {"client_data": ""}}, "malformed"),
    "a long answer": ({"answer": {"more": "a" * 16_384}}, "malformed"),
}

both_ceremonies = pytest.mark.parametrize(("changed", "reason"), WRONG.values(), ids=WRONG)


@both_ceremonies
def test_a_registration_is_refused(changed: dict[str, Any], reason: str | None) -> None:
    assert reason_of(lambda: registered(authenticator(), **changed)) in (reason or "malformed")


@both_ceremonies
def test_an_assertion_is_refused(
    device: SoftAuthenticator, passkey: Passkey, changed: dict[str, Any], reason: str | None
) -> None:
    def verify() -> None:
        Assertion(device.get(REQUEST, **changed)).verify(RP, passkey, USER, needs_user=True)

    assert reason_of(verify) == (reason or "credential")


FORGED = {
    "an answer to a registration": ({"type": "webauthn.create"}, "type"),
    "the handle of another account": ({"user_handle": b"usr_02"}, "account"),
    "no handle": ({"user_handle": b""}, "account"),
    "a handle of 65 octets": ({"user_handle": bytes(65)}, "malformed"),
    "the signature of another key": ({"signature": es256().sign(b"")}, "signature"),
    "no signature": ({"signature": b""}, "signature"),
    "a signature of zeros": ({"signature": bytes(72)}, "signature"),
    "a long signature": ({"signature": bytes(1025)}, "malformed"),
    "a counter that stays": ({"counter": 2}, "copied"),
    "a counter that falls": ({"counter": 1}, "copied"),
    "a counter that was there and is 0": ({"counter": 0}, "copied"),
    "a passkey that can be backed up now": ({"flags": PRESENT | VERIFIED | ELIGIBLE}, "backup"),
    "authenticator data that ends early": ({"answer": {"authenticator_data": "AAAA"}}, "malformed"),
    "extensions that are not there": ({"flags": PRESENT | VERIFIED | 0x80}, "malformed"),
    "a credential that is not there": ({"flags": PRESENT | VERIFIED | 0x40}, "malformed"),
}


@pytest.mark.parametrize(("changed", "reason"), FORGED.values(), ids=FORGED)
def test_a_forged_assertion_is_refused(
    device: SoftAuthenticator, passkey: Passkey, changed: dict[str, Any], reason: str
) -> None:
    def verify() -> None:
        Assertion(device.get(REQUEST, **changed)).verify(RP, passkey, USER, needs_user=True)

    assert passkey.counter == 2
    assert reason_of(verify) == reason


def test_the_signature_covers_the_client_data_and_the_authenticator_data(
    device: SoftAuthenticator, passkey: Passkey
) -> None:
    first = json.loads(device.get(REQUEST))
    second = json.loads(device.get(REQUEST | {"challenge": "CCCC"}, counter=99))
    for part in ("client_data", "authenticator_data", "signature"):
        mixed = Assertion(json.dumps(first | {part: second[part]}))
        with pytest.raises(PasskeyRefused) as refused:
            mixed.verify(RP, passkey, USER, needs_user=True)
        assert refused.value.reason == "signature"


def test_a_passkey_without_a_counter_is_accepted_each_time() -> None:
    flags = PRESENT | VERIFIED | ELIGIBLE | BACKED_UP
    device = authenticator(has_counter=False, flags=flags)
    passkey = registered(device)

    assert passkey.can_be_backed_up
    assert passkey.counter == 0
    for _ in range(2):
        Assertion(device.get(REQUEST)).verify(RP, passkey, USER, needs_user=True)


def test_a_passkey_of_which_the_account_is_known_may_leave_out_the_handle(
    device: SoftAuthenticator, passkey: Passkey
) -> None:
    Assertion(device.get(REQUEST, user_handle=b"")).verify(RP, passkey, USER, needs_user=False)
    other = Assertion(device.get(REQUEST, user_handle=b"usr_02"))
    assert reason_of(lambda: other.verify(RP, passkey, USER, needs_user=False)) == "account"


ES256_KEY, EDDSA_KEY, RSA_KEY = (dict(new().public) for new in (es256, eddsa, rs256))

WEAK_KEYS: dict[str, dict[Any, Any]] = {
    "another algorithm": ES256_KEY | {3: -35},
    "an unknown algorithm": ES256_KEY | {3: -1},
    "RSA with SHA-1": RSA_KEY | {3: -65535},
    "an algorithm that is a list": ES256_KEY | {3: [1]},
    "an algorithm that is a text": ES256_KEY | {3: "ES256"},
    "another curve": ES256_KEY | {-1: 2},
    "another type of key": ES256_KEY | {1: 1},
    "a point that is not on the curve": ES256_KEY | {-2: bytes(32)},
    "a short coordinate": ES256_KEY | {-2: bytes(31)},
    "a coordinate that is a number": ES256_KEY | {-3: 1},
    "only one coordinate": {name: ES256_KEY[name] for name in (1, 3, -1, -2)},
    "Ed448": EDDSA_KEY | {-1: 7},
    "a short point": EDDSA_KEY | {-2: bytes(31)},
    "RSA of 1,024 bits": dict(rs256(1024).public),
    "RSA of 8,192 bits": RSA_KEY | {-1: b"\xff" * 1024},
    "RSA with a long exponent": RSA_KEY | {-2: b"\xff" * 256},
    "RSA with the exponent 1": RSA_KEY | {-2: b"\1"},
    "RSA with an even modulus": RSA_KEY | {-1: RSA_KEY[-1][:-1] + b"\0"},
    "RSA with a small factor": RSA_KEY | {-1: (47 << 2000 | 47).to_bytes(256)},
    "Ed25519 with the identity": EDDSA_KEY | {-2: bytes([1, *bytes(31)])},
    "Ed25519 with a point of order 2": EDDSA_KEY | {-2: bytes.fromhex("ec" + "ff" * 30 + "7f")},
    "Ed25519 with a point of order 4": EDDSA_KEY | {-2: bytes(32)},
    "Ed25519 with a point of order 8": EDDSA_KEY
    | {
        -2: bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
    },
    "no parameters": {3: -7},
    "no algorithm": {1: 2},
}


@pytest.mark.parametrize("public", WEAK_KEYS.values(), ids=WEAK_KEYS)
def test_a_weak_or_broken_key_is_not_added(public: dict[Any, Any]) -> None:
    reason = reason_of(lambda: registered(authenticator(), public=public))
    assert reason in ("key", "malformed")


def test_only_the_parameters_of_a_key_are_stored() -> None:
    device = authenticator(key=KeyPair(lambda _: b"", ES256_KEY | {99: bytes(1000)}))
    assert cbor.decode(registered(device).public_key) == ES256_KEY


def test_an_attestation_that_a_browser_does_not_strip_is_ignored(
    device: SoftAuthenticator,
) -> None:
    answer = json.loads(device.create(CREATION))
    read: Any = cbor.decode(octets_of(answer["attestation"]))
    packed = {"fmt": "packed", "attStmt": {"alg": -7, "sig": b"wrong", "x5c": [bytes(3000)]}}
    answer["attestation"] = base64url(cbor.encode(read | packed))
    assert Registration(json.dumps(answer)).verify(RP).credential_id == device.credential_id


NUMBERS = st.integers(-(2**63), 2**63)
SCALARS = st.one_of(NUMBERS, st.booleans(), st.text(max_size=9), st.binary(max_size=40))
CBOR = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SCALARS, inner, max_size=4),
    max_leaves=12,
).map(cbor.encode)
HEAD = st.tuples(st.binary(min_size=32, max_size=32), st.integers(0, 255), st.binary(max_size=60))
OCTETS = st.one_of(
    st.binary(max_size=300),
    CBOR,
    HEAD.map(lambda parts: parts[0] + bytes([parts[1]]) + parts[2]),
)
CLIENT_DATA = base64url(b'{"type": "webauthn.create", "challenge": "", "origin": ""}')
TEXTS = OCTETS.map(base64url) | st.text(max_size=30)


def only_refuses(read: Callable[[], object]) -> None:
    with suppress(PasskeyRefused):
        read()


@given(TEXTS, TEXTS)
def test_no_attestation_raises_another_error(credential_id: str, attestation: str) -> None:
    answer = {"id": credential_id, "client_data": CLIENT_DATA, "attestation": attestation}
    only_refuses(lambda: Registration(json.dumps(answer)).verify(RP))


@given(CBOR)
def test_no_key_raises_another_error(public: bytes) -> None:
    device = SoftAuthenticator(RP.origin, key=KeyPair(lambda _: b"", {}))
    answer = json.loads(device.create(CREATION))
    attestation: Any = cbor.decode(octets_of(answer["attestation"]))
    # The empty map of the key is the last octet of the authenticator data.
    attestation["authData"] = attestation["authData"][:-1] + public
    answer["attestation"] = base64url(cbor.encode(attestation))
    only_refuses(lambda: Registration(json.dumps(answer)).verify(RP))


@given(TEXTS, TEXTS)
def test_no_authenticator_data_raises_another_error(data: str, handle: str) -> None:
    answer = {"id": "", "client_data": CLIENT_DATA, "signature": "", "user_handle": handle}
    only_refuses(lambda: Assertion(json.dumps(answer | {"authenticator_data": data})))


@given(st.binary(max_size=100))
def test_no_signature_raises_another_error(signature: bytes) -> None:
    for new in (es256, eddsa):
        device = authenticator(key=new(), user_handle=USER.encode())
        public = cbor.encode(device.key.public)
        passkey = Passkey(device.credential_id, public, 0, can_be_backed_up=False, transports="")
        assertion = Assertion(device.get(REQUEST, signature=signature))
        with pytest.raises(PasskeyRefused) as refused:
            assertion.verify(RP, passkey, USER, needs_user=True)
        assert refused.value.reason == "signature"


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda octets: octets.decode("latin-1")))
def test_no_text_raises_another_error(text: str) -> None:
    only_refuses(lambda: Registration(text))
    only_refuses(lambda: Assertion(text))


@pytest.mark.parametrize(
    "octets",
    [
        b"\x81" * 8_190,  # lists in lists
        b"\x9b" + b"\xff" * 8,  # a list of 2^64 items
        b"\xbb" + b"\xff" * 8 + bytes(8_000),
        b"\xa1" * 8_191,
        b"\x98\xff" + bytes(8_000),
        b"\x99\x1f\x00" + bytes(8_000),
    ],
    ids=["deep", "endless", "endless map", "deep maps", "many", "thousands"],
)
def test_an_attestation_costs_little_whatever_it_says(octets: bytes) -> None:
    answer = {"id": "AAAA", "client_data": CLIENT_DATA, "attestation": base64url(octets)}
    text, begin = json.dumps(answer), time.process_time()

    assert reason_of(lambda: Registration(text)) == "malformed"
    assert time.process_time() - begin < 0.5
