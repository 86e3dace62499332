"""The values of the protocol: scopes, claims, lifetimes and errors."""

from anyscale.server.core.time_units import DAY_MS, MINUTE_MS

#: scope -> its claims (Core, 5.4; `groups` is not a standard, and common)
SCOPES = {
    "openid": (),
    "profile": ("name", "given_name", "family_name", "preferred_username"),
    "email": ("email", "email_verified"),
    "groups": ("groups",),
    "offline_access": (),
}

#: the levels of a sign-in: values of `acr` and `acr_values`
ACR_ONE_FACTOR = "1"
ACR_TWO_FACTORS = "2"

#: how long a stored authorization request waits for a sign-in
REQUEST_MS = 10 * MINUTE_MS
#: how long a code may be exchanged (RFC 6749, 4.1.2: at most ten minutes)
CODE_MS = MINUTE_MS
ACCESS_SECONDS = 600
ID_TOKEN_SECONDS = 600
#: how long a refresh token may stay unused, and how long it may be renewed in all
REFRESH_UNUSED_MS = 30 * DAY_MS
REFRESH_MS = 90 * DAY_MS

#: what the authorization and the token endpoint answer to an application
AUTHORIZATION_ERRORS = (
    *("access_denied", "invalid_request", "invalid_scope", "unsupported_response_type"),
    *("login_required", "interaction_required", "registration_not_supported"),
    *("request_not_supported", "request_uri_not_supported"),
)
TOKEN_ERRORS = (
    *("invalid_client", "invalid_grant", "invalid_request", "invalid_scope"),
    "unsupported_grant_type",
)


class OAuthError(Exception):
    """An error for an application (RFC 6749, 4.1.2.1 and 5.2; Core, 3.1.2.6).

    Args:
        code: of the specification, such as `invalid_grant`.
        detail: a sentence for the developer of the application. It repeats no value of the request.
    """

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
