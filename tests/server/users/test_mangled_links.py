"""What mail gateways, mail programs and people make of a link still has its secret."""

import string
from base64 import urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyscale.server.core.link_secrets import secret_of

SECRET = "mrl_Xo2Dk1uPzQ0vYtq4mB7c9eRwLhS3fJgA6nE8iK5yTbM"
LINK = f"https://accounts.example.com/set-password#{SECRET}"

SECRETS = st.text(string.ascii_letters + string.digits, min_size=43, max_size=43)


def safe_links(link: str) -> str:
    """Wrap a link as Microsoft's Safe Links does."""
    wrapped = quote(link, safe="")
    return (
        f"https://eur01.safelinks.protection.outlook.com/?url={wrapped}&data=05%7C02%7Cj&reserved=0"
    )


def proofpoint_v2(link: str) -> str:
    """Wrap a link as version 2 of Proofpoint's URL Defense does."""
    escaped = quote(link, safe="").replace("_", "%5F").replace("-", "%2D").replace("%2F", "_")
    return f"https://urldefense.proofpoint.com/v2/url?u={escaped.replace('%', '-')}&d=DwMFaQ&c=x"


def proofpoint_v3(link: str) -> str:
    """Wrap a link as version 3 does, which moves some characters to the end, in Base64."""
    moved = urlsafe_b64encode(b"#").decode().rstrip("=")
    return f"https://urldefense.com/v3/__{link.replace('#', '*')}__;{moved}!!Kw0!abc_-$"


def encoded(link: str) -> str:
    """Encode each character, as some gateways do with all but letters and digits."""
    return "".join(f"%{ord(character):02X}" for character in link)


def unchanged(link: str) -> str:
    return link


GATEWAYS = [
    unchanged,
    safe_links,
    proofpoint_v2,
    proofpoint_v3,
    lambda link: link.replace("#", "%23"),
    lambda link: link.replace("#", "%2523"),
    lambda link: safe_links(link.replace("#", "%23")),
    encoded,
    lambda link: quote(encoded(link)),
    lambda link: f"<{link}>",
    lambda link: f'<a href="{link}">{link}</a>',
    lambda link: link.rpartition("#")[2].rpartition("%23")[2],
]


@given(
    secret=SECRETS,
    gateway=st.sampled_from(GATEWAYS),
    before=st.text(" \t<(\"'", max_size=2),
    after=st.text(" \t>.),;!?\"'*_-", max_size=3),
)
def test_the_secret_of_a_mangled_link_is_found(
    secret: str, gateway: Callable[[str], str], before: str, after: str
) -> None:
    link = f"https://accounts.example.com/set-password#mrl_{secret}"
    assert secret_of(f"{before}{gateway(link)}{after}") == f"mrl_{secret}"


@pytest.mark.parametrize(
    "text", ["", "#", "mrl_", LINK[:-1], "https://accounts.example.com/set-password", "mrl_%%%"]
)
def test_a_text_without_a_whole_secret_has_none(text: str) -> None:
    assert secret_of(text) == ""
