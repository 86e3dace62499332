"""Parameters of requests in a query or a form (RFC 6749, appendix B)."""

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from anyscale.errors import RequestInvalid
from anyscale.server.http.dependencies import AnyRequest

__all__ = ["form_pairs", "query_pairs", "with_parameters"]

_FORM = "application/x-www-form-urlencoded"
_MOST = 50


def query_pairs(request: AnyRequest) -> list[tuple[str, str]]:
    """Return the parameters of a query in their order, or raise `RequestInvalid`."""
    return _parse(request.scope["query_string"])


def form_pairs(request: AnyRequest, body: bytes) -> list[tuple[str, str]]:
    """Return the fields of a form in their order, or raise `RequestInvalid`."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise RequestInvalid(f"the body must be {_FORM}")
    return _parse(body)


def with_parameters(uri: str, parameters: Mapping[str, str]) -> str:
    """Return the redirect URI of an application with more parameters, if there are any."""
    if not parameters:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(parameters)}"


def _parse(encoded: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            encoded.decode("ascii"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=_MOST,
        )
    except ValueError:
        raise RequestInvalid("the parameters are not a form in UTF-8") from None
