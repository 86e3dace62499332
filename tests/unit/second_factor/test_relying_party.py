"""The relying party: what browsers make of the public address."""

import pytest

from anyscale.server.core.passkeys.relying_party import (
    RelyingParty,
    relying_party,
    why_no_passkeys,
)


@pytest.mark.parametrize(
    ("public_url", "rp_id", "origin"),
    [
        ("https://accounts.example.com", "accounts.example.com", "https://accounts.example.com"),
        (
            "https://accounts.example.com:443",
            "accounts.example.com",
            "https://accounts.example.com",
        ),
        ("https://accounts.example.com:8443", "accounts.example.com", None),
        ("http://localhost:8000", "localhost", None),
        ("http://localhost:80", "localhost", "http://localhost"),
    ],
)
def test_the_origin_is_what_browsers_write(public_url: str, rp_id: str, origin: str | None) -> None:
    assert why_no_passkeys(public_url) == ""
    assert relying_party(public_url) == RelyingParty(rp_id, origin or public_url)


@pytest.mark.parametrize(
    "url", ["https://192.0.2.7", "http://127.0.0.1:8000", "https://[2001:db8::1]"]
)
def test_an_ip_address_has_no_passkeys_and_the_reason_names_localhost(url: str) -> None:
    assert relying_party(url) is None
    assert "http://localhost" in why_no_passkeys(url)


def test_without_an_address_there_are_no_passkeys() -> None:
    assert relying_party(None) is None
    assert "ANYSCALE_PUBLIC_URL is not set" in why_no_passkeys(None)
