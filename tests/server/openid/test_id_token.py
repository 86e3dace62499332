"""What an ID token has (OpenID Connect Core, 2)."""

import base64
import hashlib
import json

from tests.support.sign_in.openid_provider import ISSUER, Site


def test_an_id_token_has_the_required_claims(site: Site) -> None:
    claims = site.claims(site.exchange(site.code(site.sign_in(ago=60), scope="openid")))

    names = {"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid", "acr"}
    assert set(claims) == names
    assert (claims["iss"], claims["aud"]) == (ISSUER, site.client_id)
    assert claims["sub"] == site.ids["jane"]
    assert claims["nonce"] == "the nonce"
    assert 60 <= claims["iat"] - claims["auth_time"] < 120
    assert claims["exp"] - claims["iat"] == 600


def test_an_id_token_names_its_key_and_algorithm(site: Site) -> None:
    encoded = site.exchange(site.code(site.sign_in())).id_token.split(".")[0]
    header = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))

    kid = site.provider.keys.current().kid
    assert header == {"alg": "RS256", "kid": kid, "typ": "JWT"}
    assert [key["kid"] for key in site.provider.keys.published()] == [kid]


def test_at_hash_is_the_left_half_of_the_hash_of_the_access_token(site: Site) -> None:
    tokens = site.exchange(site.code(site.sign_in()))

    left = hashlib.sha256(tokens.access_token.encode()).digest()[:16]
    at_hash = site.claims(tokens)["at_hash"]
    assert base64.urlsafe_b64decode(f"{at_hash}==") == left
    assert "=" not in at_hash


def test_sub_is_the_id_of_the_account(site: Site) -> None:
    tokens = site.exchange(site.code(site.sign_in()))

    found = site.provider.tokens.user_claims(tokens.access_token)
    assert found
    assert found["sub"] == site.claims(tokens)["sub"] == site.ids["jane"]
