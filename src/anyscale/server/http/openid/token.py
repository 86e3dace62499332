"""The token and the revocation endpoint (Core, 3.1.3; RFC 6749, 3.2; RFC 7009)."""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_plus

from litestar import Response
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException
from litestar.params import RawBody

from anyscale.errors import AnyscaleError, NotFound, RequestInvalid
from anyscale.server.core.openid.authorization_parameters import once
from anyscale.server.core.openid.protocol import OAuthError
from anyscale.server.core.openid.provider import OpenIdProvider
from anyscale.server.core.openid.tokens import GrantTokens, IssuedTokens
from anyscale.server.http.bodies import SMALL_BODY
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.errors import EXCEPTION_HANDLERS, title_of
from anyscale.server.http.metrics import GRANT_TYPES, TOKEN_REQUESTS
from anyscale.server.http.middleware.csrf import CSRF_RULE, csrf_exempt
from anyscale.server.http.openid.cors import CORS
from anyscale.server.http.openid.refusal_log import log_refusal
from anyscale.server.http.route_handlers import post
from anyscale.server.http.web.forms import read_pairs
from anyscale.server.paths import EXCHANGE, REVOKE
from anyscale.server.store.records.openid import ApplicationRecord

Body = Response[dict[str, Any]]


def _refused_before(request: AnyRequest, error: AnyscaleError | HTTPException) -> Body:
    """Answer what goes wrong outside of an endpoint in its format, too (RFC 6749, 5.2)."""
    kind = AnyscaleError if isinstance(error, AnyscaleError) else HTTPException
    problem: Response[Any] = EXCEPTION_HANDLERS[kind](request, error)
    status = problem.status_code or HTTPStatus.INTERNAL_SERVER_ERROR
    is_temporary = status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
    body = {
        "error": "temporarily_unavailable" if is_temporary else "invalid_request",
        "error_description": str(error) if isinstance(error, NotFound) else title_of(status),
    }
    return Response(body, status_code=status, headers=problem.headers)


#: The credentials of an application are in the request itself, so no page of another site can send
#: them for it.
_OPTIONS: Any = {
    "pool": "login.applications",
    "include_in_schema": False,
    "opt": {CSRF_RULE: csrf_exempt, CORS: True},
    "status_code": 200,
    "request_max_body_size": SMALL_BODY,
    "exception_handlers": {AnyscaleError: _refused_before, HTTPException: _refused_before},
}


@post(EXCHANGE, **_OPTIONS)
def exchange(request: AnyRequest, body: RawBody, provider: NamedDependency[OpenIdProvider]) -> Body:
    values: Mapping[str, str] = {}
    try:
        values = once(read_pairs(request, body))
        application = provider.applications.authenticate(*_credentials(request, values))
        issued = _issue(provider.tokens, application, values)
    except (OAuthError, RequestInvalid) as error:
        _count(values, error.code if isinstance(error, OAuthError) else "invalid_request")
        return _refused(request, values, error)
    _count(values, "issued")
    return Response(_token_response(issued), headers={"Pragma": "no-cache"})


def _issue(
    tokens: GrantTokens, application: ApplicationRecord, values: Mapping[str, str]
) -> IssuedTokens:
    match values.get("grant_type"):
        case "authorization_code":
            return tokens.exchange(
                application,
                values.get("code", ""),
                values.get("redirect_uri", ""),
                values.get("code_verifier", ""),
            )
        case "refresh_token":
            token = values.get("refresh_token", "")
            return tokens.refresh(application, token, values.get("scope"))
        case None:
            raise OAuthError("invalid_request", "grant_type is missing")
        case _:
            raise OAuthError("unsupported_grant_type")


def _count(values: Mapping[str, str], result: str) -> None:
    sent = values.get("grant_type")
    grant_type = sent if sent in GRANT_TYPES else "other"
    TOKEN_REQUESTS.labels(grant_type, result).inc()


@post(REVOKE, **_OPTIONS)
def revoke(request: AnyRequest, body: RawBody, provider: NamedDependency[OpenIdProvider]) -> Body:
    values: Mapping[str, str] = {}
    try:
        values = once(read_pairs(request, body))
        application = provider.applications.authenticate(*_credentials(request, values))
        _revoke(provider.tokens, application, values)
    except (OAuthError, RequestInvalid) as error:
        return _refused(request, values, error)
    return Response({})


def _revoke(tokens: GrantTokens, application: ApplicationRecord, values: Mapping[str, str]) -> None:
    if "token" not in values:
        raise OAuthError("invalid_request", "token is missing")
    tokens.revoke(application, values["token"])


def _credentials(request: AnyRequest, values: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the id and the secret of an application, of `Basic` or of the form."""
    basic = _basic_credentials(request)
    if basic is None:
        return values.get("client_id", ""), values.get("client_secret")
    if "client_secret" in values or values.get("client_id", basic[0]) != basic[0]:
        raise OAuthError("invalid_request", "the application authenticates in two ways")
    return basic


def _basic_credentials(request: AnyRequest) -> tuple[str, str] | None:
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, encoded = header.partition(" ")
    try:
        encoded = encoded.strip() if scheme.lower() == "basic" else "no credentials of ours"
        client_id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        raise OAuthError("invalid_client", "the header Authorization is not a Basic one") from None
    # Each half is encoded by itself (RFC 6749, 2.3.1).
    return unquote_plus(client_id), unquote_plus(secret)


def _token_response(issued: IssuedTokens) -> dict[str, Any]:
    body = {
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
        "scope": issued.scope,
        "id_token": issued.id_token,
    }
    if issued.refresh_token:
        body["refresh_token"] = issued.refresh_token
    return body


def _refused(
    request: AnyRequest, values: Mapping[str, str], error: OAuthError | RequestInvalid
) -> Body:
    """Log an error, and return its JSON (RFC 6749, 5.2)."""
    if isinstance(error, RequestInvalid):
        error = OAuthError("invalid_request", str(error))
    with suppress(OAuthError):  # the header is not valid, as the error says
        if basic := _basic_credentials(request):
            values = {**values, "client_id": basic[0]}
    log_refusal(error.code, error.detail, values.items())
    body = {"error": error.code}
    if error.detail:
        body["error_description"] = error.detail
    is_unknown = error.code == "invalid_client"
    by_header = is_unknown and "authorization" in request.headers
    headers = {"WWW-Authenticate": 'Basic realm="applications"'} if by_header else {}
    return Response(body, status_code=401 if is_unknown else 400, headers=headers)


HANDLERS = [exchange, revoke]
