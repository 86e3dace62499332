"""Each manipulated ID token is refused with its reason, and creates nothing."""

import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256, sha512
from typing import Any

import pytest
from joserfc.jwk import Key, OctKey, RSAKey
from tests.support.sign_in.hostile_oidc_provider import (
    HostileProvider,
    encode_part,
    sign_token,
    signing_key,
)
from tests.support.sign_in.tampered_login import (
    CLIENT_SECRET,
    Tamper,
    TamperedLogin,
    apply_both,
    change_claims,
    change_header,
    publish_keys,
    replace_token,
)

AWAY = 3600


def relative(**changes: float) -> Tamper:
    """Set times of the token, in seconds from now."""

    def tamper(login: TamperedLogin) -> None:
        now = int(time.time())
        change_claims(**{name: now + by for name, by in changes.items()})(login)

    return tamper


def issuer(change: Callable[[str], Any]) -> Tamper:
    return lambda login: change_claims(iss=change(login.provider.issuer))(login)


def forged(by: Key, **changes: Any) -> Tamper:
    """Sign with another key, under another header."""

    def tamper(login: TamperedLogin) -> None:
        login.provider.signer = by
        change_header(**changes)(login)

    return tamper


def unsigned(alg: str) -> Tamper:
    return replace_token(
        lambda idp, _: f"{encode_part({'alg': alg, 'typ': 'JWT'})}.{encode_part(idp.claims)}."
    )


def of_public_pem(idp: HostileProvider, _: str) -> str:
    private = signing_key("RS256")
    assert isinstance(private, RSAKey)
    signing_input = f"{encode_part({**idp.header, 'alg': 'HS256'})}.{encode_part(idp.claims)}"
    signature = hmac.digest(private.as_pem(private=False), signing_input.encode(), "sha256")
    return f"{signing_input}.{encode_part(signature)}"


def altered(part: int) -> Tamper:
    """Change one character in the middle of a part."""

    def change(_: HostileProvider, token: str) -> str:
        parts = token.split(".")
        at = len(parts[part]) // 2
        other = "A" if parts[part][at] != "A" else "B"
        parts[part] = parts[part][:at] + other + parts[part][at + 1 :]
        return ".".join(parts)

    return replace_token(change)


def with_payload(payload: bytes) -> Tamper:
    return replace_token(lambda idp, _: sign_token(idp.header, payload, signing_key("RS256")))


def half(digest: bytes) -> str:
    return urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def nested(idp: HostileProvider, token: str) -> str:
    return sign_token({**idp.header, "cty": "JWT"}, token.encode(), signing_key("RS256"))


def as_json(_: HostileProvider, token: str) -> str:
    head, payload, signature = token.split(".")
    return f'{{"protected":"{head}","payload":"{payload}","signature":"{signature}"}}'


FOREIGN = signing_key("RS256", "foreign")
PUBLIC_FOREIGN = HostileProvider.public(FOREIGN)
ACCESS = b"an access token"
RIGHT_KID = "RS256 first"


def without_name(login: TamperedLogin) -> None:
    change_header(kid=None)(login)
    login.provider.keys = [
        *login.provider.keys,
        HostileProvider.public(signing_key("RS256", "second")),
    ]


def with_text(idp: HostileProvider, text: str) -> str:
    claims = ", ".join(f'"{name}": "{idp.claims[name]}"' for name in ("iss", "aud", "sub", "nonce"))
    return sign_token(idp.header, f'{{{claims}, "iat": 1, {text}}}'.encode(), signing_key("RS256"))


TOKENS: Mapping[str, tuple[Tamper, str]] = {
    "the issuer is another one": (change_claims(iss="https://evil.example"), "issuer"),
    "the issuer has a slash more": (issuer(lambda text: text + "/"), "issuer"),
    "the issuer is in capitals": (issuer(str.upper), "issuer"),
    "the issuer is missing": (change_claims(iss=None), "issuer"),
    "the issuer is a list": (issuer(lambda text: [text]), "issuer"),
    "it is for another client": (change_claims(aud="another"), "audience"),
    "it is for nobody": (change_claims(aud=None), "audience"),
    "it is for an empty list": (change_claims(aud=[]), "audience"),
    "it is for others": (change_claims(aud=["a", "b"], azp="a"), "audience"),
    "it is for a client whose name begins like ours": (
        change_claims(aud="musterroll2"),
        "audience",
    ),
    "it was given to another of two": (
        change_claims(aud=["musterroll", "a"], azp="a"),
        "authorized_party",
    ),
    "it was given to who knows which of two": (
        change_claims(aud=["musterroll", "a"]),
        "authorized_party",
    ),
    "it was given to another, for us": (change_claims(azp="another"), "authorized_party"),
    "the nonce is missing": (change_claims(nonce=None), "nonce"),
    "the nonce is another one": (change_claims(nonce="x" * 43), "nonce"),
    "the nonce is empty": (change_claims(nonce=""), "nonce"),
    "the nonce is a number": (change_claims(nonce=1), "nonce"),
    "the nonce is not ASCII": (change_claims(nonce="é" * 43), "nonce"),
    "the algorithm is none": (unsigned("none"), "algorithm"),
    "the algorithm is None": (unsigned("None"), "algorithm"),
    "the algorithm is NONE": (unsigned("NONE"), "algorithm"),
    "the algorithm is nOnE": (unsigned("nOnE"), "algorithm"),
    "the algorithm is empty": (unsigned(""), "algorithm"),
    "the public key is taken for a secret": (replace_token(of_public_pem), "algorithm"),
    "the client's secret signs": (
        forged(OctKey.import_key(CLIENT_SECRET), alg="HS256"),
        "algorithm",
    ),
    "an algorithm that is on no list signs": (change_header(alg="RS512"), "algorithm"),
    "the algorithm is a list": (
        replace_token(
            lambda idp, _: f"{encode_part({'alg': ['RS256']})}.{encode_part(idp.claims)}.AA"
        ),
        "algorithm",
    ),
    "the algorithm is missing": (
        replace_token(
            lambda idp, _: f"{encode_part({'kid': RIGHT_KID})}.{encode_part(idp.claims)}.AA"
        ),
        "algorithm",
    ),
    "nobody knows the key": (forged(FOREIGN, kid="RS256 foreign"), "key_unknown"),
    "another's key has our key's name": (forged(FOREIGN, kid=RIGHT_KID), "signature"),
    "the key is not named, and there are several": (
        without_name,
        "key_unknown",
    ),
    "the key's name is a list": (change_header(kid=[RIGHT_KID]), "token_malformed"),
    "the key is for another algorithm": (change_header(alg="PS256"), "key_unknown"),
    "the key is of another kind": (
        forged(signing_key("ES256"), alg="ES256", kid=RIGHT_KID),
        "key_unknown",
    ),
    "the token brings its key along": (forged(FOREIGN, jwk=PUBLIC_FOREIGN), "header"),
    "the token brings its key along, without a name": (
        forged(FOREIGN, kid=None, jwk=PUBLIC_FOREIGN),
        "header",
    ),
    "the token says where its key is": (change_header(jku="https://evil.example/keys"), "header"),
    "the token says where its certificate is": (
        change_header(x5u="https://evil.example/x"),
        "header",
    ),
    "the token brings a certificate along": (change_header(x5c=["MIIB"]), "header"),
    "it has what we must understand": (change_header(crit=["exp"], exp=1), "header"),
    "its payload is not encoded": (change_header(crit=["b64"], b64=False), "header"),
    "the signature is stripped": (
        replace_token(lambda _, token: token.rpartition(".")[0] + "."),
        "signature",
    ),
    "the signature is another one": (altered(2), "signature"),
    "the signature is cut": (replace_token(lambda _, token: token[:-4]), "signature"),
    "the payload is another one": (altered(1), "signature"),
    "the header is another one": (
        replace_token(lambda idp, token: f"{encode_part(idp.header)}x.{token.partition('.')[2]}"),
        "token_malformed",
    ),
    "the signature is of another token": (
        replace_token(
            lambda idp, token: ".".join(
                [
                    *token.split(".")[:2],
                    sign_token(idp.header, {**idp.claims, "sub": "x"}, signing_key("RS256")).split(
                        "."
                    )[2],
                ]
            )
        ),
        "signature",
    ),
    "it has expired": (relative(iat=-AWAY, exp=-61), "expired"),
    "it is issued in the future": (relative(iat=120, exp=AWAY), "not_yet_valid"),
    "it is good from later on": (relative(nbf=120), "not_yet_valid"),
    "it never ends": (change_claims(exp=None), "times"),
    "it ends at infinity": (
        replace_token(lambda idp, _: with_text(idp, '"exp": 1e999')),
        "token_malformed",
    ),
    "it ends at a number that no float can have": (change_claims(exp=10**400), "times"),
    "it ends at a text": (change_claims(exp="9999999999"), "times"),
    "it ends at true": (change_claims(exp=True), "times"),
    "it was issued nobody knows when": (change_claims(iat=None), "times"),
    "its beginning is a text": (change_claims(nbf="0"), "times"),
    "it is of nobody": (change_claims(sub=None), "subject"),
    "its subject is empty": (change_claims(sub=""), "subject"),
    "its subject is too long": (change_claims(sub="x" * 256), "subject"),
    "its subject is a number": (change_claims(sub=1), "subject"),
    "its subject is not ASCII": (change_claims(sub="jané"), "subject"),
    "its subject holds a NUL": (change_claims(sub="jane\0"), "subject"),
    "it is an access token": (change_header(typ="at+jwt"), "token_type"),
    "it is a logout token": (change_header(typ="logout+jwt"), "token_type"),
    "its type is not a text": (change_header(typ=1), "token_type"),
    "it holds another token": (replace_token(nested), "token_type"),
    "it is encrypted": (
        replace_token(lambda *_: f"{encode_part({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.a.b.c.d"),
        "token_encrypted",
    ),
    "it is of another access token": (
        change_claims(at_hash=half(sha256(b"another").digest())),
        "access_token_hash",
    ),
    "its access token is hashed otherwise": (
        change_claims(at_hash=half(sha512(ACCESS).digest())),
        "access_token_hash",
    ),
    "the hash of its access token is whole": (
        change_claims(at_hash=urlsafe_b64encode(sha256(ACCESS).digest()).decode().rstrip("=")),
        "access_token_hash",
    ),
    "the hash of its access token is a number": (change_claims(at_hash=1), "access_token_hash"),
    "it is JSON": (replace_token(as_json), "token_malformed"),
    "it has two parts": (
        replace_token(lambda _, token: token.rpartition(".")[0]),
        "token_malformed",
    ),
    "it has four parts": (replace_token(lambda _, token: token + ".x"), "token_malformed"),
    "it is empty": (replace_token(lambda *_: ""), "token_malformed"),
    "it is not ASCII": (replace_token(lambda *_: "é.é.é"), "token_malformed"),
    "it is huge": (replace_token(lambda _, token: token + "A" * 70_000), "token_malformed"),
    "it says a list": (with_payload(b"[1]"), "token_malformed"),
    "it says no JSON": (with_payload(b"{"), "token_malformed"),
    "it says something deep": (with_payload(b'{"a":' * 9_000), "token_malformed"),
}


@pytest.mark.parametrize("name", TOKENS)
def test_an_id_token_is_refused_if(
    login: TamperedLogin, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    tamper, reason = TOKENS[name]
    login.start()
    tamper(login)
    login.assert_refused("refused", reason, caplog.records)


RIGHT: Mapping[str, Tamper] = {
    "nothing is tampered with": change_claims(),
    "PS256 signs": forged(signing_key("PS256"), alg="PS256", kid="PS256 first"),
    "ES256 signs": forged(signing_key("ES256"), alg="ES256", kid="ES256 first"),
    "EdDSA signs": forged(signing_key("EdDSA"), alg="EdDSA", kid="EdDSA first"),
    "EdDSA signs by its newer name": forged(
        signing_key("Ed25519"), alg="Ed25519", kid="Ed25519 first"
    ),
    "it has no type": change_header(typ=None),
    "its type is in small letters": change_header(typ="jwt"),
    "it names no key, and one is possible": change_header(kid=None),
    "it names its certificate": change_header(x5t="abc"),
    "it expired less than a minute ago": relative(iat=-AWAY, exp=-30),
    "its clock goes before ours": relative(iat=30, nbf=30, exp=AWAY),
    "its times have fractions": relative(iat=-0.5, exp=AWAY + 0.5),
    "the user signed in at a time that no clock shows": change_claims(auth_time=10**400),
    "the user signed in before every time that we store": change_claims(auth_time=-1e306),
    "it is for a list of us": change_claims(aud=["musterroll"]),
    "it is for two, and was given to us": change_claims(aud=["musterroll", "a"], azp="musterroll"),
    "it is bound to its access token": change_claims(at_hash=half(sha256(ACCESS).digest())),
    "it is bound by the hash of EdDSA": apply_both(
        forged(signing_key("EdDSA"), alg="EdDSA", kid="EdDSA first"),
        change_claims(at_hash=half(sha512(ACCESS).digest())),
    ),
    "its subject is as long as it may be": change_claims(sub="x" * 255),
    "its address is in capitals": change_claims(email="JANE@EXAMPLE.COM"),
    "its key says nothing but itself": apply_both(
        change_header(kid=None),
        publish_keys(
            {name: HostileProvider.public(signing_key("RS256"))[name] for name in ("kty", "n", "e")}
        ),
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_an_id_token_is_accepted_if(login: TamperedLogin, name: str) -> None:
    login.start()
    RIGHT[name](login)
    login.assert_signed_in()
