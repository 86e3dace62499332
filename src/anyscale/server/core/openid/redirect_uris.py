"""The addresses of applications to which browsers are redirected (RFC 9700, 4.1; RFC 8252, 7.3)."""

import re
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from anyscale.domain.urls import checked_url, is_address
from anyscale.domain.validation import shown
from anyscale.errors import ConfigError

_MAX_CHARACTERS = 2_000
_MOST = 50

#: Characters of a URI (RFC 3986, 2) but a quote, a wildcard and the start of a fragment.
_URI = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&()+,;=%-]+")

#: A name of a host (RFC 1123, 2.1), which does not end as an IPv4 address does.
_HOST_NAME = re.compile(
    r"(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)*(?!-|(?:[0-9]+|0x[0-9a-f]*)$)[a-z0-9-]{1,63}(?<!-)"
)

#: A loopback address, with the port that a public application on a desktop chooses at each start.
_LOOPBACK = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::([1-9][0-9]{0,4}))?(?=[/?]|$)")
_LAST_PORT = 65_535


def checked_redirect_uris(uris: Iterable[str]) -> list[str]:
    """Return URIs to register, each once: https, or http on a loopback address.

    Raises:
        ConfigError: with a message for each one that has another scheme, a fragment, a user, a
            wildcard or a quote, or a host that browsers write in another way.
    """
    checked = list(dict.fromkeys(uris))
    if len(checked) > _MOST:
        raise ConfigError(f"an application has at most {_MOST} URIs of a kind")
    problems = [f"the URI {shown(uri)} must {fault}" for uri in checked if (fault := _fault(uri))]
    if problems:
        raise ConfigError(*problems)
    return checked


def checked_address(address: str | None) -> str | None:
    """Return the address where users open an application: https, else as a redirect URI is.

    Raises:
        ConfigError: it is another one.
    """
    if not address:
        return None
    fault = _fault(address) if address.startswith("https://") else "begin with https://"
    if fault:
        raise ConfigError(f"the address {shown(address)} must {fault}")
    return address


def _fault(uri: str) -> str:
    """Return what is wrong with a URI, which completes "it must ..."; empty if nothing is."""
    try:
        checked_url(uri.partition("?")[0])
    except ValueError:
        return "be https://..., without a user and without #, or http:// of a loopback address"
    if len(uri) > _MAX_CHARACTERS or not _URI.fullmatch(uri):
        return f"have at most {_MAX_CHARACTERS} characters, no fragment and no wildcard"
    if not _has_plain_host(uri):
        return (
            "have a host of letters, digits, hyphens and dots, like app.example.com, or an IP "
            "address in its short form; and a port from 1 to 65535 or none"
        )
    return ""


def _has_plain_host(uri: str) -> bool:
    """Whether browsers write host and port as the URI does, so that both can be compared."""
    parts = urlsplit(uri)
    host, port = parts.hostname or "", parts.port
    if is_address(host):
        host = f"[{ip_address(host)}]" if ":" in host else str(ip_address(host))
    elif not _HOST_NAME.fullmatch(host):
        return False
    return parts.netloc.lower() == (host if port is None else f"{host}:{port}") and port != 0


def is_registered(uri: str, registered: Sequence[str], *, is_public: bool) -> bool:
    """Whether a URI is one of those registered, character for character.

    A public application may use any port on a loopback address (RFC 8252, 7.3).
    """
    if uri in registered:
        return True
    without_port = _without_port(uri)
    return bool(is_public and without_port) and without_port in map(_without_port, registered)


def _without_port(uri: str) -> str | None:
    """Return a URI of a loopback address without its port; None for any other."""
    found = _LOOPBACK.match(uri)
    if found is None or int(found[2] or 0) > _LAST_PORT:
        return None
    return found[1] + uri[found.end() :]


def is_registered_origin(origin: str, registered: Iterable[str]) -> bool:
    """Whether a public application has a URI of an origin; on loopback, with any port."""
    return is_registered(origin, [_origin_of(uri) for uri in registered], is_public=True)


def _origin_of(uri: str) -> str:
    """Return the origin of a registered URI, as browsers write it (RFC 6454, 6.2)."""
    parts = urlsplit(uri)
    default = {"https": ":443", "http": ":80"}[parts.scheme]
    return f"{parts.scheme}://{parts.netloc.lower().removesuffix(default)}"
