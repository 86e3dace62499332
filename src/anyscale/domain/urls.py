"""Checks of URLs that a user, an operator or an identity provider names.

The one place that knows what a loopback address is and over which URLs secrets may travel.
"""

import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:  # commands that check no host do not import it: that takes a millisecond
    from ipaddress import IPv4Address, IPv6Address

#: RFC 3986 allows none of these in a URL, and programs disagree on what they mean in one.
_FORBIDDEN = frozenset(' "<>\\^`{|}')

_LAST_PORT = 65535

#: IPv4-compatible and IPv4-mapped addresses (RFC 4291, 2.5.5), and NAT64 (RFC 6052, 2.1; RFC 8215)
_ENDS_WITH_IPV4 = ("::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")

_ends_with_port = re.compile(r"[^:]*://[^/]*:(\d{5,9})/?").fullmatch

_is_file_path = re.compile(r"[\w/.-]*[/.][\w/.-]*").fullmatch

_NOT_SECURE = "https://..., or http:// of loopback, without user, query and fragment"
_EXAMPLE = "like https://accounts.example.com"


def checked_origin(text: str) -> str:
    """Check a URL that consists only of scheme, host and port; return it in lower case.

    Raises:
        ValueError: it is not one. The message completes "... must be", and never quotes the URL,
            which may hold a password.
    """
    if not text.lower().startswith(("https://", "http://")):
        raise ValueError(f"{_EXAMPLE}: https:// or http:// is missing")
    parts = _split(text)
    if parts is None:
        port = _ends_with_port(text)
        is_too_large = port and int(port[1]) > _LAST_PORT
        limit = f", whose port is at most {_LAST_PORT}" if is_too_large else ""
        raise ValueError(_EXAMPLE + limit)
    if "@" in parts.netloc:
        raise ValueError(f"{_EXAMPLE}, with no name and no password")
    origin = f"{parts.scheme}://{parts.netloc}"
    if text.lower().removesuffix("/") != origin.lower():
        raise ValueError(f"{_EXAMPLE}, without path, query and fragment")
    return origin.lower()


def checked_url(text: str) -> str:
    """Check a URL to which secrets may be sent: https, or http on this machine; return it.

    Raises:
        ValueError: it is not one. The message completes "... must be".
    """
    parts = _split(text) if text.isascii() else None
    if parts is None or "@" in parts.netloc or "?" in text or "#" in text:
        raise ValueError(_NOT_SECURE)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_on_loopback(text)):
        raise ValueError(_NOT_SECURE)
    return text


def is_on_loopback(url: str) -> bool:
    """Return whether what is sent to a URL stays on this machine."""
    return is_loopback_host(urlsplit(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Return whether a host is a loopback address, or `localhost`."""
    from ipaddress import ip_address

    return ip_address(host).is_loopback if is_address(host) else host == "localhost"


def may_be_on_this_machine(url: str) -> bool:
    """Return whether a host may be this machine or its link, in any spelling that resolvers take.

    It makes no DNS query: a name that resolves to this machine is not found. Without TLS a name is
    refused, and with TLS a service of this machine has no certificate for it.
    """
    from ipaddress import IPv4Address, IPv6Address, ip_address
    from socket import inet_aton  # commands that check no such URL need no sockets

    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        try:
            address = IPv4Address(inet_aton(host))  # such as 127.1 and 0x7f.1
        except OSError:
            return False
    if isinstance(address, IPv6Address):
        address = _ipv4_of(address) or address
    return address.is_loopback or address.is_unspecified or address.is_link_local


def _ipv4_of(address: "IPv6Address") -> "IPv4Address | None":
    """Return the IPv4 address that an IPv6 address leads to, of the forms that contain one."""
    from ipaddress import IPv4Address, IPv6Network

    if any(address in IPv6Network(one) for one in _ENDS_WITH_IPV4) and int(address) > 1:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour


def is_address(host: str) -> bool:
    """Return whether a host is an IP address, without a zone (RFC 4007), which may be any text."""
    from ipaddress import ip_address

    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


def _split(text: str) -> SplitResult | None:
    """Split a URL that has a host, or return None where there is none."""
    if not text.isprintable() or _FORBIDDEN & set(text):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for a port that is not a number
    except ValueError:
        return None
    return parts if parts.hostname else None


def wrong_database_url(text: str, *, served: bool) -> str:
    """Return the message for a text that names no database; a server has the option as well."""
    names = "ANYSCALE_DATABASE_URL, or --database," if served else "ANYSCALE_DATABASE_URL"
    kinds = "sqlite:///path or postgresql://..." if served else "sqlite:///path"
    # Only the path of a file is shown: another text may contain a password.
    mend = f": write sqlite:///{text}" if _is_file_path(text) else ""
    return f"{names} must be {kinds}{mend}"
