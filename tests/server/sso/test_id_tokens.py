"""ID tokens that are tampered with: each is refused, with its reason, and leaves nothing behind."""

import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256, sha512
from typing import Any

import pytest
from joserfc.jwk import Key, OctKey, RSAKey
from tests.support.hostile_oidc_provider import Hostile, encoded, key, signed
from tests.support.tampering import SECRET, Attempt, Tamper, both, claims, header, keys, sent

AWAY = 3600


def relative(**changes: float) -> Tamper:
    """Let the token say times, in seconds from now."""

    def tamper(attempt: Attempt) -> None:
        now = int(time.time())
        claims(**{name: now + by for name, by in changes.items()})(attempt)

    return tamper


def issuer(change: Callable[[str], Any]) -> Tamper:
    return lambda attempt: claims(iss=change(attempt.idp.issuer))(attempt)


def forged(by: Key, **changes: Any) -> Tamper:
    """Let somebody else sign, under a header of theirs."""

    def tamper(attempt: Attempt) -> None:
        attempt.idp.signer = by
        header(**changes)(attempt)

    return tamper


def unsigned(alg: str) -> Tamper:
    return sent(lambda idp, _: f"{encoded({'alg': alg, 'typ': 'JWT'})}.{encoded(idp.claims)}.")


def of_public_pem(idp: Hostile, _: str) -> str:
    private = key("RS256")
    assert isinstance(private, RSAKey)
    signing_input = f"{encoded({**idp.header, 'alg': 'HS256'})}.{encoded(idp.claims)}"
    signature = hmac.digest(private.as_pem(private=False), signing_input.encode(), "sha256")
    return f"{signing_input}.{encoded(signature)}"


def altered(part: int) -> Tamper:
    """Change one character in the middle of a part."""

    def change(_: Hostile, token: str) -> str:
        parts = token.split(".")
        at = len(parts[part]) // 2
        other = "A" if parts[part][at] != "A" else "B"
        parts[part] = parts[part][:at] + other + parts[part][at + 1 :]
        return ".".join(parts)

    return sent(change)


def with_payload(payload: bytes) -> Tamper:
    return sent(lambda idp, _: signed(idp.header, payload, key("RS256")))


def half(digest: bytes) -> str:
    return urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")


def nested(idp: Hostile, token: str) -> str:
    return signed({**idp.header, "cty": "JWT"}, token.encode(), key("RS256"))


def as_json(_: Hostile, token: str) -> str:
    head, payload, signature = token.split(".")
    return f'{{"protected":"{head}","payload":"{payload}","signature":"{signature}"}}'


FOREIGN = key("RS256", "foreign")
PUBLIC_FOREIGN = Hostile.public(FOREIGN)
ACCESS = b"an access token"
RIGHT_KID = "RS256 first"


def without_name(attempt: Attempt) -> None:
    header(kid=None)(attempt)
    attempt.idp.keys = [*attempt.idp.keys, Hostile.public(key("RS256", "second"))]


def with_text(idp: Hostile, text: str) -> str:
    said = ", ".join(f'"{name}": "{idp.claims[name]}"' for name in ("iss", "aud", "sub", "nonce"))
    return signed(idp.header, f'{{{said}, "iat": 1, {text}}}'.encode(), key("RS256"))


TOKENS: Mapping[str, tuple[Tamper, str]] = {
    "the issuer is another one": (claims(iss="https://evil.example"), "issuer"),
    "the issuer has a slash more": (issuer(lambda text: text + "/"), "issuer"),
    "the issuer is in capitals": (issuer(str.upper), "issuer"),
    "the issuer is missing": (claims(iss=None), "issuer"),
    "the issuer is a list": (issuer(lambda text: [text]), "issuer"),
    "it is for another client": (claims(aud="another"), "audience"),
    "it is for nobody": (claims(aud=None), "audience"),
    "it is for an empty list": (claims(aud=[]), "audience"),
    "it is for others": (claims(aud=["a", "b"], azp="a"), "audience"),
    "it is for a client whose name begins like ours": (claims(aud="musterroll2"), "audience"),
    "it was given to another of two": (
        claims(aud=["musterroll", "a"], azp="a"),
        "authorized_party",
    ),
    "it was given to who knows which of two": (claims(aud=["musterroll", "a"]), "authorized_party"),
    "it was given to another, for us": (claims(azp="another"), "authorized_party"),
    "the nonce is missing": (claims(nonce=None), "nonce"),
    "the nonce is another one": (claims(nonce="x" * 43), "nonce"),
    "the nonce is empty": (claims(nonce=""), "nonce"),
    "the nonce is a number": (claims(nonce=1), "nonce"),
    "the nonce is no ASCII": (claims(nonce="é" * 43), "nonce"),
    "the algorithm is none": (unsigned("none"), "algorithm"),
    "the algorithm is None": (unsigned("None"), "algorithm"),
    "the algorithm is NONE": (unsigned("NONE"), "algorithm"),
    "the algorithm is nOnE": (unsigned("nOnE"), "algorithm"),
    "the algorithm is empty": (unsigned(""), "algorithm"),
    "the public key is taken for a secret": (sent(of_public_pem), "algorithm"),
    "the client's secret signs": (forged(OctKey.import_key(SECRET), alg="HS256"), "algorithm"),
    "an algorithm that is on no list signs": (header(alg="RS512"), "algorithm"),
    "the algorithm is a list": (
        sent(lambda idp, _: f"{encoded({'alg': ['RS256']})}.{encoded(idp.claims)}.AA"),
        "algorithm",
    ),
    "the algorithm is missing": (
        sent(lambda idp, _: f"{encoded({'kid': RIGHT_KID})}.{encoded(idp.claims)}.AA"),
        "algorithm",
    ),
    "nobody knows the key": (forged(FOREIGN, kid="RS256 foreign"), "key_unknown"),
    "another's key has our key's name": (forged(FOREIGN, kid=RIGHT_KID), "signature"),
    "the key is not named, and there are several": (
        without_name,
        "key_unknown",
    ),
    "the key's name is a list": (header(kid=[RIGHT_KID]), "token_malformed"),
    "the key is for another algorithm": (header(alg="PS256"), "key_unknown"),
    "the key is of another kind": (
        forged(key("ES256"), alg="ES256", kid=RIGHT_KID),
        "key_unknown",
    ),
    "the token brings its key along": (forged(FOREIGN, jwk=PUBLIC_FOREIGN), "header"),
    "the token brings its key along, without a name": (
        forged(FOREIGN, kid=None, jwk=PUBLIC_FOREIGN),
        "header",
    ),
    "the token says where its key is": (header(jku="https://evil.example/keys"), "header"),
    "the token says where its certificate is": (header(x5u="https://evil.example/x"), "header"),
    "the token brings a certificate along": (header(x5c=["MIIB"]), "header"),
    "it has what we must understand": (header(crit=["exp"], exp=1), "header"),
    "its payload is not encoded": (header(crit=["b64"], b64=False), "header"),
    "the signature is stripped": (
        sent(lambda _, token: token.rpartition(".")[0] + "."),
        "signature",
    ),
    "the signature is another one": (altered(2), "signature"),
    "the signature is cut": (sent(lambda _, token: token[:-4]), "signature"),
    "the payload is another one": (altered(1), "signature"),
    "the header is another one": (
        sent(lambda idp, token: f"{encoded(idp.header)}x.{token.partition('.')[2]}"),
        "token_malformed",
    ),
    "the signature is of another token": (
        sent(
            lambda idp, token: ".".join(
                [
                    *token.split(".")[:2],
                    signed(idp.header, {**idp.claims, "sub": "x"}, key("RS256")).split(".")[2],
                ]
            )
        ),
        "signature",
    ),
    "it has expired": (relative(iat=-AWAY, exp=-61), "expired"),
    "it is issued in the future": (relative(iat=120, exp=AWAY), "not_yet_valid"),
    "it is good from later on": (relative(nbf=120), "not_yet_valid"),
    "it never ends": (claims(exp=None), "times"),
    "it ends at infinity": (
        sent(lambda idp, _: with_text(idp, '"exp": 1e999')),
        "token_malformed",
    ),
    "it ends at a text": (claims(exp="9999999999"), "times"),
    "it ends at true": (claims(exp=True), "times"),
    "it was issued nobody knows when": (claims(iat=None), "times"),
    "its beginning is a text": (claims(nbf="0"), "times"),
    "it is of nobody": (claims(sub=None), "subject"),
    "its subject is empty": (claims(sub=""), "subject"),
    "its subject is too long": (claims(sub="x" * 256), "subject"),
    "its subject is a number": (claims(sub=1), "subject"),
    "its subject is no ASCII": (claims(sub="jané"), "subject"),
    "its subject holds a NUL": (claims(sub="jane\0"), "subject"),
    "it is an access token": (header(typ="at+jwt"), "token_type"),
    "it is a logout token": (header(typ="logout+jwt"), "token_type"),
    "its type is no text": (header(typ=1), "token_type"),
    "it holds another token": (sent(nested), "token_type"),
    "it is encrypted": (
        sent(lambda *_: f"{encoded({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.a.b.c.d"),
        "token_encrypted",
    ),
    "it is of another access token": (
        claims(at_hash=half(sha256(b"another").digest())),
        "access_token_hash",
    ),
    "its access token is hashed otherwise": (
        claims(at_hash=half(sha512(ACCESS).digest())),
        "access_token_hash",
    ),
    "the hash of its access token is whole": (
        claims(at_hash=urlsafe_b64encode(sha256(ACCESS).digest()).decode().rstrip("=")),
        "access_token_hash",
    ),
    "the hash of its access token is a number": (claims(at_hash=1), "access_token_hash"),
    "it is JSON": (sent(as_json), "token_malformed"),
    "it has two parts": (sent(lambda _, token: token.rpartition(".")[0]), "token_malformed"),
    "it has four parts": (sent(lambda _, token: token + ".x"), "token_malformed"),
    "it is empty": (sent(lambda *_: ""), "token_malformed"),
    "it is no ASCII": (sent(lambda *_: "é.é.é"), "token_malformed"),
    "it is huge": (sent(lambda _, token: token + "A" * 70_000), "token_malformed"),
    "it says a list": (with_payload(b"[1]"), "token_malformed"),
    "it says no JSON": (with_payload(b"{"), "token_malformed"),
    "it says something deep": (with_payload(b'{"a":' * 9_000), "token_malformed"),
}


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_signs_nobody_in_when(
    attempt: Attempt, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    tamper, reason = TOKENS[name]
    attempt.start()
    tamper(attempt)
    attempt.is_refused("refused", reason, caplog.records)


RIGHT: Mapping[str, Tamper] = {
    "nothing is tampered with": claims(),
    "PS256 signs": forged(key("PS256"), alg="PS256", kid="PS256 first"),
    "ES256 signs": forged(key("ES256"), alg="ES256", kid="ES256 first"),
    "EdDSA signs": forged(key("EdDSA"), alg="EdDSA", kid="EdDSA first"),
    "EdDSA signs by its newer name": forged(key("Ed25519"), alg="Ed25519", kid="Ed25519 first"),
    "it has no type": header(typ=None),
    "its type is in small letters": header(typ="jwt"),
    "it names no key, and one is possible": header(kid=None),
    "it names its certificate": header(x5t="abc"),
    "it expired less than a minute ago": relative(iat=-AWAY, exp=-30),
    "its clock goes before ours": relative(iat=30, nbf=30, exp=AWAY),
    "its times have fractions": relative(iat=-0.5, exp=AWAY + 0.5),
    "it is for a list of us": claims(aud=["musterroll"]),
    "it is for two, and was given to us": claims(aud=["musterroll", "a"], azp="musterroll"),
    "it is bound to its access token": claims(at_hash=half(sha256(ACCESS).digest())),
    "it is bound by the hash of EdDSA": both(
        forged(key("EdDSA"), alg="EdDSA", kid="EdDSA first"),
        claims(at_hash=half(sha512(ACCESS).digest())),
    ),
    "its subject is as long as it may be": claims(sub="x" * 255),
    "its address is in capitals": claims(email="JANE@EXAMPLE.COM"),
    "its key says nothing but itself": both(
        header(kid=None),
        keys({name: Hostile.public(key("RS256"))[name] for name in ("kty", "n", "e")}),
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_token_signs_in_when(attempt: Attempt, name: str) -> None:
    attempt.start()
    RIGHT[name](attempt)
    attempt.signs_in()
