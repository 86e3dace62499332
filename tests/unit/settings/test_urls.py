"""The checks of URLs: the same for a host, a public URL and an identity provider."""

import pytest

from anyscale.config import resolve
from anyscale.domain.urls import (
    checked_origin,
    checked_url,
    is_on_loopback,
    may_be_on_this_machine,
)
from anyscale.errors import ConfigError

LOOPBACK = ["localhost", "LOCALHOST", "127.0.0.1", "127.255.0.9", "[::1]"]
ELSEWHERE = ["localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "[::2]", "128.0.0.1"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_plain_http_to_loopback_is_accepted_everywhere(host: str) -> None:
    url = f"http://{host}:8000"

    assert is_on_loopback(url)
    assert checked_url(url) == url
    assert resolve(url, "token", {}).host == url.lower()


@pytest.mark.parametrize("host", ELSEWHERE)
def test_plain_http_to_another_machine_is_refused_everywhere(host: str) -> None:
    url = f"http://{host}:8000"

    assert not is_on_loopback(url)
    with pytest.raises(ValueError, match="http:// of loopback"):
        checked_url(url)
    with pytest.raises(ConfigError, match="unencrypted"):
        resolve(url, "token", {})


@pytest.mark.parametrize(
    "host",
    [
        *LOOPBACK,
        "localhost.",
        "x.localhost",
        "127.1",
        "0x7f.1",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
        "169.254.169.254",
        "[fe80::1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[64:ff9b::169.254.169.254]",
        "[2002:7f00:1::]",
        "[2002:7f00:1::1]",
    ],
)
def test_this_machine_is_found_in_any_spelling(host: str) -> None:
    assert may_be_on_this_machine(f"https://{host}:8000/token")


@pytest.mark.parametrize(
    "host",
    [*ELSEWHERE, "example.com", "mylocalhost", "", "[64:ff9b::8.8.8.8]", "[2002:808:808::1]"],
)
def test_another_machine_is_not_this_one(host: str) -> None:
    assert not may_be_on_this_machine(f"https://{host}/token")


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://Accounts.example.com", "https://accounts.example.com"),
        ("HTTPS://accounts.example.com:8443/", "https://accounts.example.com:8443"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_origin_is_returned_in_lower_case_without_a_slash(text: str, origin: str) -> None:
    assert checked_origin(text) == origin


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quoted.example.com", "is missing"),
        ("https://quoted.example.com/people", "without path"),
        ("https://quoted.example.com//", "without path"),
        ("https://quoted.example.com?", "without path"),
        ("https://quoted.example.com#", "without path"),
        ("https://jane:hunter2@quoted.example.com", "no name and no password"),
        ("https://quoted.example.com:port", "like https"),
        ("https://quoted example.com", "like https"),
        ("https://quoted.example.com\\@evil.example", "like https"),
    ],
)
def test_a_url_that_is_no_origin_is_refused_without_being_quoted(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        checked_origin(text)
    assert "quoted" not in str(caught.value)
