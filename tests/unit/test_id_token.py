"""The bounds of ID tokens: times, lengths and keys, to the last value that is accepted."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from joserfc.jwk import Key, OctKey, OKPKey, RSAKey
from joserfc.util import int_to_base64

from anyscale.errors import SsoRefused
from anyscale.server.core.sso.id_token import _check_times, _is_strong, import_keys, parse_header

#: {"alg":"RS256"}
HEADER = "eyJhbGciOiJSUzI1NiJ9"


@contextmanager
def refused_for(reason: str) -> Iterator[None]:
    """Expect a refusal for a reason, which the message does not have."""
    with pytest.raises(SsoRefused) as refused:
        yield
    assert refused.value.reason == reason


def test_the_clocks_of_two_machines_may_differ_by_a_minute() -> None:
    _check_times({"iat": 0, "exp": 1_000}, 1_059.9)
    with refused_for("expired"):
        _check_times({"iat": 0, "exp": 1_000}, 1_060)
    for begins in ({"iat": 1_000}, {"iat": 0, "nbf": 1_000}):
        _check_times({"exp": 2_000, **begins}, 940)
        with refused_for("not_yet_valid"):
            _check_times({"exp": 2_000, **begins}, 939.9)


@pytest.mark.parametrize("times", [{"iat": 0}, {"exp": 9}, {"exp": 9, "iat": 0, "nbf": True}])
def test_a_token_has_the_times_of_its_begin_and_its_end(times: dict[str, float]) -> None:
    with refused_for("times"):
        _check_times(times, 1)


def test_a_token_has_up_to_65536_characters() -> None:
    token = f"{HEADER}..".ljust(65_536, "a")
    assert parse_header(token).alg == "RS256"
    with refused_for("token_malformed"):
        parse_header(f"{token}a")


@pytest.mark.parametrize(("bits", "is_strong"), [(2_047, False), (2_048, True)])
def test_an_rsa_key_has_at_least_2048_bits(bits: int, is_strong: bool) -> None:
    key = RSAKey(generate_private_key(65_537, bits), None)
    assert _is_strong(key) == is_strong


@pytest.mark.parametrize(
    "key",
    [OctKey.generate_key(256), OKPKey.generate_key("X25519"), OKPKey.generate_key("Ed448")],
    ids=["shared secret", "key agreement", "another curve"],
)
def test_a_provider_that_publishes_a_key_of_another_kind_has_no_key_for_tokens(key: Key) -> None:
    assert import_keys([key.as_dict()]) == []


def test_the_private_part_of_a_published_key_costs_no_time_and_is_not_kept() -> None:
    key = RSAKey.generate_key(2_048).as_dict(private=True)
    n, d = (int_to_base64(Random(seed).getrandbits(8_192) | 1) for seed in (1, 2))
    costly = {"kty": "RSA", "e": "AQAB", "n": n, "d": d}  # a second, to look for the factors

    begin = time.process_time()
    imported = import_keys([costly, key])
    assert time.process_time() - begin < 0.2
    assert [one.is_private for one in imported] == [False, False]
