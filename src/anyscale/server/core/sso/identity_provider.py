"""The protocol with an identity provider: the authorization code flow of OpenID Connect."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Collection, Mapping
from hashlib import sha256
from http import HTTPStatus
from time import monotonic
from typing import Any, Final, TypeVar
from urllib.parse import quote_plus, urlencode

import msgspec
from joserfc.jwk import Key
from msgspec import Struct

from anyscale.domain.urls import checked_url, is_on_loopback, may_be_on_this_machine
from anyscale.errors import ProviderUnavailable, SsoRefused
from anyscale.server.core.secrets import SensitiveStruct, new_secret
from anyscale.server.core.sso.error_codes import code_of, error_of
from anyscale.server.core.sso.http_client import HttpResponse, get, post
from anyscale.server.core.sso.id_token import (
    ExpectedToken,
    TokenHeader,
    authentication_time,
    find_key,
    import_keys,
    is_same,
    loggable,
    parse_header,
    verify_token,
)
from anyscale.server.core.sso.login_records import ExternalIdentity, SsoAttempt
from anyscale.server.core.sso.settings import ProviderSettings
from anyscale.server.core.sso.timed_cache import TimedCache

Body = TypeVar("Body")

#: that a sign-in asks for (OpenID Connect Core 1.0, 5.4)
SCOPES: Final = ("openid", "email", "profile")

#: seconds that metadata and keys are cached
_LIFETIME = 3600.0
#: Seconds between two fetches of the keys because of a token with an unknown key.
_KEYS_LIFETIME = 10.0

#: Seconds without a request to the token endpoint after its response 429: others of ours would
#: prolong its limit.
_PAUSE = 5.0

#: such as django-oauth-toolkit, when it has verified the code
_FAILS = (
    "the token endpoint: HTTP 500 (often: no signing algorithm was chosen for this client at the"
    " provider)"
)


class Metadata(Struct, frozen=True):
    """The provider's metadata (OpenID Connect Discovery 1.0, 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    #: (RFC 9207, 3)
    authorization_response_iss_parameter_supported: bool = False


class _KeySet(Struct, frozen=True):
    """(RFC 7517, 5)."""

    keys: list[dict[str, Any]]


class _Tokens(SensitiveStruct, frozen=True):
    """The response of the token endpoint (OpenID Connect Core 1.0, 3.1.3.3)."""

    id_token: str
    token_type: str
    access_token: str = ""


class IdentityProvider:
    """A client of an identity provider, by the authorization code flow (OpenID Connect Core, 3.1).

    The provider redirects browsers to `redirect_uri`.
    """

    def __init__(self, settings: ProviderSettings, redirect_uri: str) -> None:
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._metadata = TimedCache(self._fetch_metadata)
        self._keys = TimedCache(self._fetch_keys)
        self._paused_until = 0.0

    def begin(self, request_id: str = "", max_age: int | None = None) -> tuple[str, SsoAttempt]:
        """Return the URL where a user signs in, and the secrets of this sign-in.

        Args:
            request_id: the stored request of an application; empty without one.
            max_age: seconds since the user's sign-in at the provider at most; 0 for a new one.

        Raises:
            ProviderUnavailable: the metadata cannot be fetched, or are not metadata.
            SsoRefused: the metadata are of another issuer, or name an endpoint that is not https.
        """
        attempt = SsoAttempt(
            self._settings.issuer, new_secret(), new_secret(), new_secret(), request_id, max_age
        )
        challenge = urlsafe_b64encode(sha256(attempt.verifier.encode()).digest()).decode()
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": " ".join(SCOPES),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge.rstrip("="),
            "code_challenge_method": "S256",
        }
        if max_age is not None:
            query["max_age"] = str(max_age)
        if max_age == 0:
            query["prompt"] = "login"
        endpoint = self._metadata.get(_LIFETIME).authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", attempt

    def check_redirect(self, parameters: Mapping[str, str], attempt: SsoAttempt) -> str:
        """Check the provider's redirect, and return its code.

        Raises:
            SsoRefused: the redirect or the cookie belongs to another sign-in, or the provider
                reports an error.
            ProviderUnavailable: the metadata cannot be fetched, or the provider cannot sign users
                in now.
        """
        if not is_same(attempt.state, parameters.get("state")):
            raise SsoRefused("state")
        if attempt.issuer != self._settings.issuer:
            raise SsoRefused("other_provider")
        self._check_issuer(parameters.get("iss"))
        code = code_of(parameters)
        if monotonic() < self._paused_until:
            raise ProviderUnavailable("the token endpoint had too many requests a moment ago")
        return code

    def identify(self, code: str, attempt: SsoAttempt) -> ExternalIdentity:
        """Exchange a code for an ID token, and return its user.

        Raises:
            SsoRefused: the provider refuses the code, or the ID token is not valid.
            ProviderUnavailable: the provider does not respond, or its response is invalid.
        """
        tokens = self._exchange(code, attempt.verifier)
        return self._identify(tokens, attempt)

    def _check_issuer(self, issuer: str | None) -> None:
        """Check that this provider redirected the browser (RFC 9207, 2.4)."""
        metadata = self._metadata.get(_LIFETIME)
        if issuer is None and not metadata.authorization_response_iss_parameter_supported:
            return
        if issuer != metadata.issuer:
            raise SsoRefused("response_issuer", detail=loggable(issuer))

    def _exchange(self, code: str, verifier: str) -> _Tokens:
        metadata = self._metadata.get(_LIFETIME)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        headers = self._authenticate(form, metadata.token_endpoint_auth_methods_supported)
        response = post(metadata.token_endpoint, form, headers)
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._paused_until = monotonic() + _PAUSE
        elif HTTPStatus.BAD_REQUEST <= response.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            raise SsoRefused("code_refused", detail=error_of(response))
        elif response.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ProviderUnavailable(_FAILS)
        tokens = _decode(response, "the token endpoint", _Tokens)
        if tokens.token_type.lower() != "bearer":
            raise SsoRefused("token_type")
        return tokens

    def _authenticate(self, form: dict[str, str], methods: Collection[str]) -> dict[str, str]:
        """Return headers with the client's credentials, or add them to the form."""
        client_id, secret = self._settings.client_id, self._settings.client_secret
        if secret is not None and "client_secret_basic" in methods:
            # Each half is encoded by itself (RFC 6749, 2.3.1).
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
            return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        form["client_id"] = client_id
        if secret is not None:
            form["client_secret"] = secret
        return {}

    def _identify(self, tokens: _Tokens, attempt: SsoAttempt) -> ExternalIdentity:
        header = parse_header(tokens.id_token)
        settings = self._settings
        expected = ExpectedToken(
            issuer=settings.issuer,
            client_id=settings.client_id,
            nonce=attempt.nonce,
            access_token=tokens.access_token,
            max_age=attempt.max_age,
        )
        claims = verify_token(tokens.id_token, header, self._find_key(header), expected)
        return ExternalIdentity(
            issuer=settings.issuer,
            subject=claims["sub"],
            email=claims.get("email"),
            email_verified=claims.get("email_verified"),
            authenticated_at=authentication_time(claims),
            has_second_factor=settings.factor is not None and settings.factor.is_shown(claims),
            request_id=attempt.request_id,
        )

    def _find_key(self, header: TokenHeader) -> Key:
        # The provider may have added the key, or removed it, since the last fetch.
        key = find_key(header, self._keys.get(_LIFETIME)) or find_key(
            header, self._keys.get(_KEYS_LIFETIME)
        )
        if key is None:
            raise SsoRefused("key_unknown")
        return key

    def _fetch_metadata(self) -> Metadata:
        """Fetch the metadata (OpenID Connect Discovery 1.0, 4)."""
        issuer = self._settings.issuer
        response = get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        metadata = _decode(response, "its metadata", Metadata)
        if metadata.issuer != issuer:
            raise SsoRefused("metadata_issuer", detail=loggable(metadata.issuer))
        for endpoint in (
            metadata.authorization_endpoint,
            metadata.token_endpoint,
            metadata.jwks_uri,
        ):
            if not self._is_safe(endpoint):
                raise SsoRefused("metadata_endpoint", detail=loggable(endpoint.partition("?")[0]))
        return metadata

    def _is_safe(self, endpoint: str) -> bool:
        try:
            # A query may follow, of the same characters: browsers get it in a header.
            checked_url(endpoint.replace("?", "/"))
        except ValueError:
            return False
        # A provider on another machine must not make us call services of this one.
        is_remote = not is_on_loopback(self._settings.issuer)
        return not (is_remote and may_be_on_this_machine(endpoint))

    def _fetch_keys(self) -> list[Key]:
        response = get(self._metadata.get(_LIFETIME).jwks_uri)
        return import_keys(_decode(response, "its keys", _KeySet).keys)


def _decode(response: HttpResponse, source: str, kind: type[Body]) -> Body:
    if response.status != HTTPStatus.OK:
        raise ProviderUnavailable(f"{source}: HTTP {response.status}")
    try:
        return msgspec.json.decode(response.body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ProviderUnavailable(f"{source}: not the JSON of the specification") from None
