"""An identity provider: its metadata and keys, where it signs people in, and who came back."""

import threading
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from typing import Any, Generic, TypeVar
from urllib.parse import quote_plus, urlencode

import msgspec
from joserfc.jwk import Key
from msgspec import Struct

from anyscale.errors import ProviderUnavailable, SsoRefused
from anyscale.server.core.oidc.http_client import Answer, get, post
from anyscale.server.core.oidc.id_token import (
    Expected,
    claims_of,
    header_of,
    key_for,
    keys_of,
    same,
)
from anyscale.server.core.secrets import new_secret
from anyscale.server.settings import IdentityProvider
from anyscale.urls import checked_url, is_on_loopback

__all__ = ["AuthorizationRequest", "ExternalIdentity", "Provider"]

Kept = TypeVar("Kept")

#: seconds after which metadata and keys are asked for again
_FRESH = 3600.0
#: Seconds between two times that keys are asked for since a token names one that nobody knows.
_SOON = 10.0
#: Seconds for which a provider that could not be asked is left alone.
_AWAY = 5.0

#: What a provider says when the person, and not the configuration, is the reason (RFC 6749, 4.1.2.1
#: and OpenID Connect Core 1.0, 3.1.2.6).
_CANCELLED = frozenset({"access_denied", "login_required", "interaction_required"})
_LATER = frozenset({"server_error", "temporarily_unavailable"})

_OK = 200
_ASK_LATER = 429
_REFUSED = range(400, 500)


class Metadata(Struct, frozen=True):
    """What a provider says of itself (OpenID Connect Discovery 1.0, 3)."""

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


class _Tokens(Struct, frozen=True):
    """What a code is exchanged for (OpenID Connect Core 1.0, 3.1.3.3)."""

    id_token: str
    token_type: str
    access_token: str = ""

    def __repr__(self) -> str:
        return "_Tokens(...)"


class AuthorizationRequest(Struct, frozen=True):
    """What a browser keeps of a sign-in that it began."""

    issuer: str
    state: str
    nonce: str
    #: (RFC 7636, 4.1)
    verifier: str

    def __repr__(self) -> str:
        return "Begun(...)"


class ExternalIdentity(Struct, frozen=True):
    """Whom the provider knows, as its signed token says it."""

    issuer: str
    subject: str
    email: object
    email_verified: object

    def __repr__(self) -> str:
        return "Person(...)"


class Provider:
    """An identity provider, asked by the authorization code flow (OpenID Connect Core 1.0, 3.1).

    Args:
        settings: which one, and what we are to it.
        redirect_uri: to which it sends browsers back.
    """

    def __init__(self, settings: IdentityProvider, redirect_uri: str) -> None:
        self._settings = settings
        self._redirect_uri = redirect_uri
        self._metadata = _Kept(self._asked_metadata)
        self._keys = _Kept(self._asked_keys)

    def begin(self) -> tuple[str, AuthorizationRequest]:
        """Give the URL at which somebody signs in, and what the browser keeps meanwhile.

        Raises:
            ProviderUnavailable: its metadata cannot be had, or are wrong.
        """
        begun = AuthorizationRequest(
            self._settings.issuer, new_secret(), new_secret(), new_secret()
        )
        challenge = urlsafe_b64encode(sha256(begun.verifier.encode()).digest()).decode()
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": "openid email profile",
            "state": begun.state,
            "nonce": begun.nonce,
            "code_challenge": challenge.rstrip("="),
            "code_challenge_method": "S256",
        }
        endpoint = self._metadata.get(_FRESH).authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", begun

    def finish(self, given: Mapping[str, str], begun: AuthorizationRequest) -> ExternalIdentity:
        """Say who has signed in.

        Args:
            given: what the provider sent the browser back with.
            begun: what the browser kept.

        Raises:
            SsoRefused: one of both is not of this sign-in, the provider says so, or its token is
                none for us.
            ProviderUnavailable: it does not answer, or makes no sense.
        """
        if not same(begun.state, given.get("state")):
            raise SsoRefused("state")
        if begun.issuer != self._settings.issuer:
            raise SsoRefused("other_provider")
        self._check_issuer(given.get("iss"))
        return self._identified(_code(given), begun)

    def _check_issuer(self, given: str | None) -> None:
        """Check who says to have sent the browser back (RFC 9207, 2.4)."""
        metadata = self._metadata.get(_FRESH)
        if given is None and not metadata.authorization_response_iss_parameter_supported:
            return
        if given != metadata.issuer:
            raise SsoRefused("response_issuer")

    def _identified(self, code: str, begun: AuthorizationRequest) -> ExternalIdentity:
        tokens = self._exchanged(code, begun.verifier)
        header = header_of(tokens.id_token)
        # A key that is new is not known yet; one that was withdrawn is no longer.
        key = key_for(header, self._keys.get(_FRESH)) or key_for(header, self._keys.get(_SOON))
        if key is None:
            raise SsoRefused("key_unknown")
        settings = self._settings
        expected = Expected(settings.issuer, settings.client_id, begun.nonce, tokens.access_token)
        claims = claims_of(tokens.id_token, header, key, expected)
        return ExternalIdentity(
            settings.issuer, claims["sub"], claims.get("email"), claims.get("email_verified")
        )

    def _exchanged(self, code: str, verifier: str) -> _Tokens:
        metadata = self._metadata.get(_FRESH)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": verifier,
        }
        headers = self._authenticate(form, metadata.token_endpoint_auth_methods_supported)
        answer = post(metadata.token_endpoint, form, headers)
        if answer.status in _REFUSED and answer.status != _ASK_LATER:
            raise SsoRefused("code_refused")
        tokens = _read(answer, "the token endpoint", _Tokens)
        if tokens.token_type.lower() != "bearer":
            raise SsoRefused("token_type")
        return tokens

    def _authenticate(self, form: dict[str, str], methods: Collection[str]) -> dict[str, str]:
        """Put in who asks: into the form, or into the headers that are given."""
        client_id, secret = self._settings.client_id, self._settings.client_secret
        if secret is not None and "client_secret_basic" in methods:
            # Each half encoded by itself (RFC 6749, 2.3.1).
            pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
            return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
        form["client_id"] = client_id
        if secret is not None:
            form["client_secret"] = secret
        return {}

    def _asked_metadata(self) -> Metadata:
        """Ask for them (OpenID Connect Discovery 1.0, 4)."""
        issuer = self._settings.issuer
        answer = get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        found = _read(answer, "its metadata", Metadata)
        if found.issuer != issuer:
            raise ProviderUnavailable("its metadata name another issuer than ANYSCALE_OIDC_ISSUER")
        endpoints = (found.authorization_endpoint, found.token_endpoint, found.jwks_uri)
        if not all(map(self._is_safe, endpoints)):
            raise ProviderUnavailable("its metadata name an endpoint that is not https")
        return found

    def _is_safe(self, endpoint: str) -> bool:
        try:
            checked_url(endpoint.partition("?")[0])
        except ValueError:
            return False
        # A provider elsewhere has no business with what listens on this machine.
        elsewhere = not is_on_loopback(self._settings.issuer)
        return "#" not in endpoint and not (elsewhere and is_on_loopback(endpoint))

    def _asked_keys(self) -> list[Key]:
        answer = get(self._metadata.get(_FRESH).jwks_uri)
        return keys_of(_read(answer, "its keys", _KeySet).keys)


def _code(given: Mapping[str, str]) -> str:
    error = given.get("error")
    if error in _LATER:
        raise ProviderUnavailable(f"it sends browsers back with {error}")
    if error is not None:
        raise SsoRefused("cancelled" if error in _CANCELLED else "provider_error")
    if not given.get("code"):
        raise SsoRefused("response_malformed")
    return given["code"]


class _Kept(Generic[Kept]):
    """What was asked for, and how long ago. Those who need it at once wait for one answer.

    Args:
        ask: gives it.
    """

    def __init__(self, ask: Callable[[], Kept]) -> None:
        self._ask = ask
        self._lock = threading.Lock()
        self._kept: tuple[float, Kept] | None = None
        self._failed: tuple[float, str] | None = None

    def get(self, seconds: float) -> Kept:
        """Give it as it was at most so many seconds ago.

        Raises:
            ProviderUnavailable: it cannot be had, or could not a moment ago.
        """
        with self._lock:
            now = time.monotonic()
            if self._kept and now - self._kept[0] < seconds:
                return self._kept[1]
            if self._failed and now - self._failed[0] < _AWAY:
                raise ProviderUnavailable(self._failed[1])
            try:
                self._kept = (now, self._ask())
            except ProviderUnavailable as error:
                self._failed = (time.monotonic(), str(error))
                raise
            return self._kept[1]


def _read(answer: Answer, what: str, kind: type[Kept]) -> Kept:
    if answer.status != _OK:
        raise ProviderUnavailable(f"{what}: HTTP {answer.status}")
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise ProviderUnavailable(f"{what}: not the JSON that it has to be") from None
