"""The userinfo endpoint: the claims of a user, for an access token (Core, 5.3; RFC 6750)."""

from typing import Any

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import RawBody

from anyscale.errors import RequestInvalid
from anyscale.server.core.openid.provider import OpenIdProvider
from anyscale.server.http.bodies import SMALL_BODY
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.middleware.csrf import CSRF_RULE, csrf_exempt
from anyscale.server.http.openid.cors import CORS
from anyscale.server.http.openid.refusal_log import log_refusal
from anyscale.server.http.route_handlers import get, post
from anyscale.server.http.web.forms import read_pairs
from anyscale.server.paths import USERINFO

_INVALID = "the access token is unknown or expired, or its user may not use the application"


_OPTIONS: Any = {"pool": "login.applications", "include_in_schema": False, "status_code": 200}


@get(USERINFO, opt={CORS: True}, **_OPTIONS)
def get_claims(
    request: AnyRequest, provider: NamedDependency[OpenIdProvider]
) -> Response[dict[str, Any]]:
    return _claims(provider, _header_tokens(request))


@post(
    USERINFO,
    opt={CSRF_RULE: csrf_exempt, CORS: True},
    request_max_body_size=SMALL_BODY,
    **_OPTIONS,
)
def get_claims_by_form(
    request: AnyRequest, body: RawBody, provider: NamedDependency[OpenIdProvider]
) -> Response[dict[str, Any]]:
    return _claims(provider, [*_header_tokens(request), *_form_tokens(request, body)])


def _claims(provider: OpenIdProvider, sent: list[str]) -> Response[dict[str, Any]]:
    if not sent:
        return _refused(401, "", "there is no access token")
    if len(sent) > 1:  # (RFC 6750, 2)
        return _refused(400, "invalid_request", "there is more than one access token")
    claims = provider.tokens.user_claims(sent[0])
    return Response(claims) if claims else _refused(401, "invalid_token", _INVALID)


def _header_tokens(request: AnyRequest) -> list[str]:
    """Return the tokens of the header (RFC 6750, 2.1)."""
    sent = (text.partition(" ") for text in request.headers.getall("authorization", []))
    return [token.strip() for scheme, _, token in sent if scheme.lower() == "bearer"]


def _form_tokens(request: AnyRequest, body: bytes) -> list[str]:
    """Return the tokens of a form (RFC 6750, 2.2)."""
    try:
        return [text for name, text in read_pairs(request, body) if name == "access_token"]
    except RequestInvalid:
        return []


def _refused(status: int, code: str, detail: str) -> Response[dict[str, Any]]:
    """Log why there are no claims, and return the challenge (RFC 6750, 3)."""
    log_refusal(code or "invalid_request", detail)
    challenge = f'Bearer error="{code}"' if code else "Bearer"
    return Response({}, status_code=status, headers={"WWW-Authenticate": challenge})


HANDLERS = [get_claims, get_claims_by_form]
