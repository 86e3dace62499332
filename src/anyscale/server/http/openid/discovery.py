"""The metadata and the public keys of the provider (OpenID Connect Discovery 1.0, 3; RFC 8414)."""

from typing import Any

from litestar import Response
from litestar.di import NamedDependency

from anyscale.errors import NotFound
from anyscale.server.core.openid.protocol import ACR_ONE_FACTOR, ACR_TWO_FACTORS, SCOPES
from anyscale.server.core.openid.provider import OpenIdProvider
from anyscale.server.http.openid.cors import CORS
from anyscale.server.http.route_handlers import get
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.paths import AUTHORIZE, EXCHANGE, LOGOUT, REVOKE, SIGNING_KEYS, USERINFO

#: (RFC 8414, 3; Discovery, 4)
_METADATA = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]

_METHODS = ["client_secret_basic", "client_secret_post", "none"]

_OPTIONS: Any = {"pool": "login.applications", "include_in_schema": False, "opt": {CORS: True}}


async def require_provider(
    openid: NamedDependency[OpenIdProvider | None], pools: NamedDependency[ThreadPools]
) -> OpenIdProvider:
    """Return the provider, for its routes.

    Raises:
        NotFound: there is none, or no key that signs.
    """
    if openid is None:
        raise NotFound("this server is not an OpenID provider: ANYSCALE_PUBLIC_URL is not set")
    await pools.login.applications.run(openid.keys.current)
    return openid


def metadata(issuer: str) -> dict[str, Any]:
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}{AUTHORIZE}",
        "token_endpoint": f"{issuer}{EXCHANGE}",
        "userinfo_endpoint": f"{issuer}{USERINFO}",
        "jwks_uri": f"{issuer}{SIGNING_KEYS}",
        "end_session_endpoint": f"{issuer}{LOGOUT}",
        "revocation_endpoint": f"{issuer}{REVOKE}",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "acr_values_supported": [ACR_ONE_FACTOR, ACR_TWO_FACTORS],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": _METHODS,
        "revocation_endpoint_auth_methods_supported": _METHODS,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "select_account", "consent"],
        "claims_supported": [
            *("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid"),
            *("acr", "amr"),
            *(claim for claims in SCOPES.values() for claim in claims),
        ],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
    }


@get(_METADATA, **_OPTIONS)
def get_metadata(provider: NamedDependency[OpenIdProvider]) -> Response[dict[str, Any]]:
    return _public(metadata(provider.issuer))


@get(SIGNING_KEYS, **_OPTIONS)
def get_keys(provider: NamedDependency[OpenIdProvider]) -> Response[dict[str, Any]]:
    return _public({"keys": provider.keys.published()})


def _public(body: dict[str, Any]) -> Response[dict[str, Any]]:
    return Response(body, headers={"Cache-Control": "public, max-age=300"})


HANDLERS = [get_metadata, get_keys]
