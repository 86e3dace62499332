"""Addresses that an operator, or an identity provider, names."""

from ipaddress import ip_address
from urllib.parse import urlsplit

__all__ = ["checked_url", "is_on_loopback"]


def checked_url(text: str) -> str:
    """Give a URL over which a secret may travel: https, or http that does not leave this machine.

    Raises:
        ValueError: it is none; the text says what it has to be.
    """
    wrong = ValueError("https://..., or http:// of loopback, without user, query and fragment")
    if not text.isascii() or not text.isprintable() or set(' "<>\\^`{|}') & set(text):
        raise wrong
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # a port that is no number shows when it is asked for
    except ValueError:
        raise wrong from None
    if not host or "@" in parts.netloc or "?" in text or "#" in text:
        raise wrong
    if parts.scheme != "https" and not (parts.scheme == "http" and is_on_loopback(text)):
        raise wrong
    return text


def is_on_loopback(url: str) -> bool:
    """Say whether what is sent to a URL stays on this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
