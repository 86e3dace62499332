"""The networks that addresses of clients belong to."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

#: An IPv6 subscriber has at least a network of this length, a site at most one of that (RFC 6177).
_IPV6_SUBSCRIBER = 64
_IPV6_SITE = 48

#: Each sign-in needs its networks several times: to compute one takes some 10 us.
_CACHED = 4096

#: The longest IPv4 network that is announced by itself in the routing of the internet.
_IPV4_SITE = 24


@lru_cache(_CACHED)
def subscriber_of(address: str) -> str:
    """Return the network that one subscriber has: an IPv4 address, or an IPv6 network of /64.

    A text that is not an address is returned as it is.
    """
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return _ipv6_network(parsed, _IPV6_SUBSCRIBER)
    return str(parsed)


@lru_cache(_CACHED)
def site_of(address: str) -> str:
    """Return the network that one site has at most: an IPv4 network of /24, or IPv6 of /48.

    A text that is not an address is returned as it is.
    """
    parsed = _parse(address)
    if isinstance(parsed, IPv6Address):
        return _ipv6_network(parsed, _IPV6_SITE)
    if isinstance(parsed, IPv4Address):
        return str(IPv4Network((parsed, _IPV4_SITE), strict=False))
    return parsed


def _parse(address: str) -> IPv4Address | IPv6Address | str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    # A socket for both versions shows an IPv4 client so (RFC 4291, 2.5.5.2).
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _ipv6_network(address: IPv6Address, prefix: int) -> str:
    # From the number, because an address may have a zone (RFC 4007) and a network has none.
    return str(IPv6Network((int(address), prefix), strict=False))
