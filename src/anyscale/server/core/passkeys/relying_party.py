"""The relying party of passkeys: the public address, to which browsers bind each of them."""

from urllib.parse import urlsplit

from msgspec import Struct

from anyscale.domain.urls import is_address

_DEFAULT_PORTS = {"https": 443, "http": 80}

_NO_ADDRESS = "ANYSCALE_PUBLIC_URL is not set: a passkey belongs to the address of the server"
_IP_ADDRESS = (
    "browsers create passkeys for host names only, and ANYSCALE_PUBLIC_URL has an IP address. To "
    "try them on this machine, use http://localhost"
)


class RelyingParty(Struct, frozen=True):
    """The address of a server as browsers write it."""

    #: The host without port (WebAuthn Level 3, 4); with another one, all passkeys are lost.
    rp_id: str
    #: scheme, host and a port that is not the scheme's own (RFC 6454, 6.2)
    origin: str


def why_no_passkeys(public_url: str | None) -> str:
    """Return why browsers offer no passkeys at an address; empty if they do.

    `public_url` is a setting that was checked: over `http://` it is this machine's.
    """
    if public_url is None:
        return _NO_ADDRESS
    return _IP_ADDRESS if is_address(urlsplit(public_url).hostname or "") else ""


def relying_party(public_url: str | None) -> RelyingParty | None:
    """Return the relying party of an address; None if `why_no_passkeys` has a reason."""
    if public_url is None or why_no_passkeys(public_url):
        return None
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    is_default = parts.port in (None, _DEFAULT_PORTS[parts.scheme])
    port = "" if is_default else f":{parts.port}"
    return RelyingParty(rp_id=host, origin=f"{parts.scheme}://{host}{port}")
