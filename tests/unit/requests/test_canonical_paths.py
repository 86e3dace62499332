"""Which paths of requests are canonical."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.utils.path import normalize_path

from anyscale.server.http.middleware.request_checks import is_canonical

#: RFC 3986, 2.3 and 3.3
UNRESERVED = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
RESERVED = "!$&'()*+,;=:@"

ROUTES = ("/metrics", "/v1/users", "/v1/users:batchCreate", "/sso/callback")

#: a character of a path, as it is and escaped in each way
PIECES = [
    *("/", "//", ".", "..", "%2F", "%2f", "%2e", "%2E", "%25", "%", "%6", "\\", "%5C", "#", '"'),
    *(UNRESERVED + RESERVED),
    *(f"%{ord(character):02X}" for character in UNRESERVED + RESERVED),
    *(f"%{ord(character):02x}" for character in UNRESERVED + RESERVED),
]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metrics",
        "/v1/users:batchCreate",
        "/v1/users%3AbatchCreate",
        "/v1/users%3abatchCreate",
        "/v1/batches/a%20b%40c",
        "/v1/batches/..a",
        "/v1/batches/%E4%25",
        "/.well-known/openid-configuration",
    ],
)
def test_a_path_is_canonical(path: str) -> None:
    assert is_canonical(path.encode())


@pytest.mark.parametrize(
    "path",
    [
        *("", "*", "metrics", "http://host/metrics", "//", "/metrics/", "//metrics", "/v1//users"),
        *("/./metrics", "/v1/../metrics", "/metrics/.", "/..", "/%2e%2e/metrics"),
        *("/metrics%2f", "/v1%2Fusers", "/%6detrics", "/%6Detrics", "/v1/%7ejane", "/v1/%30"),
        *("/a\\b", "/a#b", '/a"b', "/a%", "/a%6", "/a%zz", "/a[b]", "/a\n"),
    ],
)
def test_a_path_is_not_canonical(path: str) -> None:
    assert not is_canonical(path.encode())


def test_no_unreserved_character_and_no_slash_is_escaped() -> None:
    for octet in range(256):
        is_plain = chr(octet) in UNRESERVED + "/"
        for escaped in (f"%{octet:02X}", f"%{octet:02x}"):
            assert is_canonical(f"/v1/{escaped}".encode()) != is_plain, escaped


def test_no_other_character_than_those_of_a_segment_is_there_without_an_escape() -> None:
    for octet in range(256):
        allowed = chr(octet) in UNRESERVED + RESERVED
        assert is_canonical(b"/v1/a" + bytes([octet])) == allowed


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(lambda pieces: "/" + "".join(pieces)))
def test_the_framework_takes_a_canonical_path_as_it_is(path: str) -> None:
    if is_canonical(path.encode()):
        segments = path.split("/")
        assert normalize_path(unquote(path)) == unquote(path)
        assert [unquote(segment) for segment in segments] == unquote(path).split("/")
        assert not {".", ".."} & {unquote(segment) for segment in segments}


@given(st.sampled_from(ROUTES), st.sets(st.integers(1, 20), max_size=3), st.sampled_from("Xx"))
def test_a_route_with_an_escaped_character_is_canonical_if_this_is_a_colon(
    route: str, escaped: set[int], case: str
) -> None:
    path = "".join(
        f"%{ord(character):02{case}}" if place in escaped else character
        for place, character in enumerate(route)
    )

    assert unquote(path) == route
    assert is_canonical(path.encode()) == (path.upper().replace("%3A", ":") == route.upper())


@given(st.text(min_size=1))
def test_what_a_client_quotes_is_canonical_unless_it_has_a_slash_or_is_dots(text: str) -> None:
    quoted = quote(text, safe="", errors="surrogatepass")

    is_plain = "/" not in text and text not in {".", ".."}
    assert is_canonical(f"/v1/batches/{quoted}".encode()) == is_plain
