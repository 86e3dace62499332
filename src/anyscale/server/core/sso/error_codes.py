"""The error codes of a provider: in its redirect, and in a response of its token endpoint."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct

from anyscale.errors import ProviderUnavailable, SsoRefused
from anyscale.server.core.sso.http_client import HttpResponse

#: Errors that the user caused, and not the configuration (RFC 6749, 4.1.2.1 and OpenID Connect Core
#: 1.0, 3.1.2.6).
_CANCELLED = frozenset({"access_denied", "login_required", "interaction_required"})

#: errors of a provider that may sign users in later (RFC 6749, 4.1.2.1)
TEMPORARY: Final = frozenset({"server_error", "temporarily_unavailable"})

#: The other errors of the authorization and the token endpoint (also RFC 6749, 5.2).
_OTHER_ERRORS = frozenset(
    {
        "account_selection_required",
        "consent_required",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_request_object",
        "invalid_request_uri",
        "invalid_scope",
        "registration_not_supported",
        "request_not_supported",
        "request_uri_not_supported",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_response_type",
    }
)
_KNOWN_ERRORS = _CANCELLED | TEMPORARY | _OTHER_ERRORS


class _TokenError(Struct, frozen=True):
    """An error response of the token endpoint (RFC 6749, 5.2)."""

    error: str


def code_of(parameters: Mapping[str, str]) -> str:
    """Return the code of the provider's redirect, or raise the error that it has in its place."""
    error = parameters.get("error")
    if error in TEMPORARY:
        raise ProviderUnavailable(f"it redirects browsers with the error {error}")
    if error is not None:
        known = error if error in _KNOWN_ERRORS else "other"
        raise SsoRefused("cancelled" if error in _CANCELLED else "provider_error", detail=known)
    if not parameters.get("code"):
        raise SsoRefused("response_malformed")
    return parameters["code"]


def error_of(response: HttpResponse) -> str:
    """Name the error of a response of the token endpoint, by its code and status."""
    try:
        error = msgspec.json.decode(response.body, type=_TokenError).error
    except (msgspec.MsgspecError, ValueError, RecursionError):
        error = ""
    # Other texts are left out: they may contain anything.
    return f"{error if error in _KNOWN_ERRORS else 'other'} (HTTP {response.status})"
