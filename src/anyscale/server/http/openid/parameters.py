"""Parameters in the address of an application (RFC 6749, appendix B)."""

from collections.abc import Mapping
from urllib.parse import urlencode


def with_parameters(uri: str, parameters: Mapping[str, str]) -> str:
    """Return the redirect URI of an application with more parameters, if there are any."""
    if not parameters:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(parameters)}"
