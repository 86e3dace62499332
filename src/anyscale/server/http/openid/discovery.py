"""The metadata and the public keys of the provider (OpenID Connect Discovery 1.0, 3; RFC 8414)."""

from typing import Any

from litestar import Response
from litestar.di import NamedDependency

from anyscale.errors import NotFound
from anyscale.server.core.openid.protocol import SCOPES
from anyscale.server.core.openid.provider import OpenIdProvider
from anyscale.server.http.route_handlers import get

__all__ = ["HANDLERS", "METADATA_PATHS", "require_provider"]

#: (RFC 8414, 3; Discovery, 4)
METADATA_PATHS = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]

_METHODS = ["client_secret_basic", "client_secret_post", "none"]


def require_provider(provider: OpenIdProvider | None) -> OpenIdProvider:
    """Return the provider, or raise `NotFound` where there is none, or no key that signs."""
    if provider is None:
        raise NotFound("this server is not an OpenID provider: ANYSCALE_PUBLIC_URL is not set")
    provider.keys.current()
    return provider


def metadata(issuer: str) -> dict[str, Any]:
    """Return the metadata of the provider."""
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth2/authorize",
        "token_endpoint": f"{issuer}/oauth2/token",
        "userinfo_endpoint": f"{issuer}/oauth2/userinfo",
        "jwks_uri": f"{issuer}/oauth2/jwks",
        "end_session_endpoint": f"{issuer}/oauth2/logout",
        "revocation_endpoint": f"{issuer}/oauth2/revoke",
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": _METHODS,
        "revocation_endpoint_auth_methods_supported": _METHODS,
        "code_challenge_methods_supported": ["S256"],
        "prompt_values_supported": ["none", "login", "select_account", "consent"],
        "claims_supported": [
            *("iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid"),
            *(claim for claims in SCOPES.values() for claim in claims),
        ],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
    }


@get(METADATA_PATHS, pool="login.applications", include_in_schema=False)
def get_metadata(openid: NamedDependency[OpenIdProvider | None]) -> Response[dict[str, Any]]:
    return _public(metadata(require_provider(openid).issuer))


@get("/oauth2/jwks", pool="login.applications", include_in_schema=False)
def get_keys(openid: NamedDependency[OpenIdProvider | None]) -> Response[dict[str, Any]]:
    return _public({"keys": require_provider(openid).keys.published()})


def _public(body: dict[str, Any]) -> Response[dict[str, Any]]:
    return Response(body, headers={"Cache-Control": "public, max-age=300"})


HANDLERS = [get_metadata, get_keys]
