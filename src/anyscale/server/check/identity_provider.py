"""The identity provider: its metadata, its keys, its clock, and whether it knows the client."""

import shlex
from typing import Any
from urllib.parse import parse_qs, urlsplit

from httpx import codes
from msgspec import Struct

from anyscale.domain.urls import checked_url
from anyscale.errors import ProviderUnavailable, SsoRefused, StoreUnavailable
from anyscale.server.check.findings import Finding, NotTried, fail, judge_clock, ok, warn
from anyscale.server.check.identity_provider_metadata import (
    ProviderMetadata,
    decode,
    fetch_metadata,
)
from anyscale.server.check.installation import Installation
from anyscale.server.check.network import get as get_response
from anyscale.server.check.network import skew_of, within_time
from anyscale.server.core.secrets import new_secret
from anyscale.server.core.sso.error_codes import TEMPORARY
from anyscale.server.core.sso.http_client import get
from anyscale.server.core.sso.id_token import ALGORITHMS, LEEWAY, import_keys, loggable
from anyscale.server.core.sso.identity_provider import SCOPES, IdentityProvider
from anyscale.server.core.sso.login_records import SsoAttempt
from anyscale.server.core.sso.settings import ProviderSettings
from anyscale.server.paths import SSO_CALLBACK

_ISSUER = "ANYSCALE_SSO_ISSUER"

_ALLOW_SCOPES = "allow the scopes openid, email and profile to this client at the provider"

_SIGN_IN_ONCE = "sign in once, and read the server's log"

#: Errors of a provider that knows the client and accepts its request, and misses only the user
#: (OpenID Connect Core 1.0, 3.1.2.6).
_USER_IS_MISSING = frozenset(
    {
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "login_required",
    }
)


class _KeySet(Struct, frozen=True):
    """(RFC 7517, 5)."""

    keys: list[dict[str, Any]]


def check_metadata(installation: Installation) -> Finding:
    """Check that the provider's metadata can be read."""
    settings = _settings(installation)
    try:
        fetch_metadata(settings)
    except (ProviderUnavailable, TimeoutError) as error:
        return fail(settings.issuer, str(error), f"correct {_ISSUER}, or start the provider")
    return ok(settings.issuer, "its metadata can be read")


def check_issuer(installation: Installation) -> Finding:
    """Check that the issuer of the metadata is the one of the settings, octet by octet."""
    expected, found = _settings(installation).issuer, _metadata(installation).issuer
    if found == expected:
        return ok(_ISSUER, f"the metadata name {found}")
    try:
        fix = f"set {_ISSUER}={shlex.quote(checked_url(found))}"
    except ValueError:  # it may be any text, and nobody should paste it into a shell
        found, fix = "an issuer that is not an https:// URL", "correct the issuer at the provider"
    hint = ""
    if found.rstrip("/") == expected.rstrip("/"):
        hint = ", which differs by the slash at the end"
    return fail(_ISSUER, f"the metadata name {found}{hint}", fix)


def check_endpoints(installation: Installation) -> Finding:
    """Check that the endpoints of the metadata are ones that a sign-in uses."""
    _metadata(installation)
    try:
        within_time(lambda: _provider(installation).begin())
    except SsoRefused as error:
        if error.reason == "metadata_issuer":
            raise NotTried("the issuer is another one: see provider.issuer") from None
        found = f"the metadata name an endpoint that is not https: {error.detail}"
        return fail("the endpoints", found, "correct the address of the provider at the provider")
    return ok("the endpoints", "the metadata name https, or loopback")


def check_keys(installation: Installation) -> Finding:
    """Check that the provider publishes a key that may sign ID tokens."""
    url = _metadata(installation).jwks_uri
    fix = "publish an RSA key of 2,048 bits, or one for P-256 or Ed25519, at the provider"
    try:
        keys = decode(within_time(lambda: get(url)), _KeySet).keys
    except (ProviderUnavailable, TimeoutError) as error:
        return fail(url, str(error), fix)
    usable = len(import_keys(keys))
    found = f"{usable} of {len(keys)} keys can sign ID tokens"
    return ok(url, found) if usable else fail(url, found, fix)


def check_algorithms(installation: Installation) -> Finding:
    """Check that the provider signs ID tokens by an algorithm that is accepted here."""
    theirs = _metadata(installation).id_token_signing_alg_values_supported
    if theirs is None:
        raise NotTried("the metadata do not list the algorithms")
    common = sorted(ALGORITHMS & set(theirs))
    if not common:
        found = f"it signs by {', '.join(theirs)} only"
        fix = "sign ID tokens by RS256, PS256, ES256 or EdDSA at the provider"
        return fail("the algorithms", found, fix)
    found = f"{', '.join(common)} are accepted; let the client at the provider use one of them"
    return ok("the algorithms", found)


def check_scopes(installation: Installation) -> Finding:
    """Check that the provider knows the scopes that the server asks for."""
    scopes = _metadata(installation).scopes_supported
    if scopes is None:
        raise NotTried("the metadata do not list the scopes")
    if missing := [name for name in SCOPES if name not in scopes]:
        found = f"the metadata do not list {', '.join(missing)}: sign-ins may be refused"
        return warn("the scopes", found, _ALLOW_SCOPES)
    return ok("the scopes", f"the metadata list {', '.join(SCOPES)}")


def check_claims(installation: Installation) -> Finding:
    """Check that the provider has the claims that find an account at first."""
    claims = _metadata(installation).claims_supported
    missing = [name for name in ("email", "email_verified") if name not in (claims or ())]
    if not missing:
        return ok("the claims", "the metadata list email and email_verified")
    if _has_linked_account(installation):
        return ok("the claims", "the server has found an account by them")
    if claims is None:
        raise NotTried("the metadata do not list the claims")
    found = f"the metadata do not list {', '.join(missing)}: no account may be found"
    return warn("the claims", found, "let the provider add them to the ID token")


def check_second_factor(installation: Installation) -> Finding:
    """Check that the provider may say what counts as a second factor."""
    name, factor = "ANYSCALE_SSO_SECOND_FACTOR", _settings(installation).factor
    metadata = _metadata(installation)
    if factor is None:
        return ok(name, "it is not set: a sign-in at the provider counts as one factor")
    expected = f"{factor.claim}:{','.join(sorted(factor.values))}"
    if metadata.claims_supported is None:
        raise NotTried("the metadata do not list the claims")
    if factor.claim not in metadata.claims_supported:
        found = f"the metadata do not list the claim {factor.claim}: no sign-in may have {expected}"
        return warn(name, found, "let the provider add the claim to the ID token")
    levels = metadata.acr_values_supported
    if factor.claim == "acr" and levels is not None and not factor.values & set(levels):
        found = f"the metadata list other levels than {expected}: {', '.join(levels) or 'none'}"
        return warn(name, found, f"correct {name}, or the levels at the provider")
    return ok(name, f"{expected} counts as a second factor")


def _has_linked_account(installation: Installation) -> bool:
    issuer = _settings(installation).issuer
    try:
        _, is_linked = installation.inspect(lambda tx: tx.identities.has_issuer(issuer))
    except (StoreUnavailable, TimeoutError):
        return False
    return bool(is_linked)


def check_client(installation: Installation) -> Finding:
    """Send a code that the provider has not issued: it authenticates the client before the code.

    The refused code changes nothing at the provider, which may write a line to its log.
    """
    name = "the client id and secret"
    _metadata(installation)
    secrets = SsoAttempt(_settings(installation).issuer, new_secret(), new_secret(), new_secret())
    try:
        within_time(lambda: _provider(installation).identify(new_secret(), secrets))
    except SsoRefused as error:
        if error.reason != "code_refused":
            raise NotTried("another check of the provider fails") from None
        return _client_finding(name, error.detail or "")
    except ProviderUnavailable as error:
        return warn(name, f"the provider does not say: {error}", _SIGN_IN_ONCE)
    return warn(name, "the provider accepts a code that it has not issued", "check the provider")


def check_redirect_uri(installation: Installation) -> Finding:
    """Start a sign-in that must not ask the user (`prompt=none`): it tells if the client is known.

    The provider redirects an unknown user back only to a redirect URI of the client (OpenID Connect
    Core 1.0, 3.1.2.6).
    """
    _metadata(installation)
    redirect_uri = installation.public_url + SSO_CALLBACK
    try:
        url, _ = within_time(lambda: _provider(installation).begin())
    except SsoRefused:
        raise NotTried("another check of the provider fails") from None
    response = get_response(f"{url}&prompt=none")
    location = response.headers.get("location", "")
    if location.partition("?")[0] == redirect_uri:
        errors = parse_qs(urlsplit(location).query).get("error", [""])
        return _redirect_finding(redirect_uri, errors[0])
    if codes.is_client_error(response.status):
        found = f"the provider refuses it, or the client id, with HTTP {response.status}"
        fix = "register it at the provider, as one of the redirect URIs of this client"
        return fail(redirect_uri, found, fix)
    found = f"the provider does not say: HTTP {response.status}"
    return warn(redirect_uri, found, _SIGN_IN_ONCE)


def _redirect_finding(redirect_uri: str, error: str) -> Finding:
    """Return what a redirect shows that has an error, or a code in its place."""
    if error in _USER_IS_MISSING:
        return ok(redirect_uri, f"the provider redirects to it, and asks for a sign-in ({error})")
    if not error or error in TEMPORARY:
        found = f"the provider does not say: {error or 'it sends a code, and no user signed in'}"
        return warn(redirect_uri, found, _SIGN_IN_ONCE)
    fix = _ALLOW_SCOPES if error == "invalid_scope" else "correct this client at the provider"
    return fail(redirect_uri, f"the provider refuses every sign-in: {loggable(error)}", fix)


def _client_finding(name: str, error: str) -> Finding:
    if error.startswith("invalid_grant"):
        return ok(name, f"the provider accepts them, and refuses an unknown code: {error}")
    if error.startswith(("invalid_client", "unauthorized_client")):
        fix = "correct ANYSCALE_SSO_CLIENT_ID, or the file ANYSCALE_SSO_CLIENT_SECRET_FILE"
        return fail(name, f"the provider refuses them: {error}", f"{fix}, and restart the server")
    return warn(name, f"the provider does not say: {error}", _SIGN_IN_ONCE)


def check_clock(installation: Installation) -> Finding:
    """Compare the clock of the provider, which ends ID tokens, with this machine's."""
    skew = skew_of(_metadata(installation).date)
    if skew is None:
        raise NotTried("the provider sends no valid header Date")
    finding = judge_clock("the clock of the provider", skew)
    if abs(skew) > LEEWAY:
        return fail(finding.looked_at, f"{finding.found}: ID tokens are refused", finding.fix)
    return finding


def _settings(installation: Installation) -> ProviderSettings:
    if installation.settings.provider is None:
        raise NotTried(f"{_ISSUER} is not set")
    return installation.settings.provider


def _provider(installation: Installation) -> IdentityProvider:
    return IdentityProvider(_settings(installation), installation.public_url + SSO_CALLBACK)


def _metadata(installation: Installation) -> ProviderMetadata:
    _settings(installation)
    if installation.provider_metadata is None:
        raise NotTried("the metadata cannot be read: see provider.metadata")
    return installation.provider_metadata
