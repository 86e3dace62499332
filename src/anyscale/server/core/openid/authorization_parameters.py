"""The parameters of an authorization request (OpenID Connect Core, 3.1.2.1; RFC 7636, 4.3)."""

import re
from collections.abc import Mapping

from anyscale.server.core.openid.protocol import ACR_TWO_FACTORS, SCOPES, OAuthError
from anyscale.server.core.secrets import SensitiveStruct
from anyscale.server.store.records.openid import ApplicationRecord

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # SHA-256 in base64url
_SECONDS = re.compile(r"[0-9]{1,9}")
_MAX_TEXT = 2_000
_PKCE = "code_challenge with the method S256 is required"
_WITHOUT_PKCE = "; for a program that cannot do it, an owner registers it with --without-pkce"
_PROMPTS = frozenset({"none", "login", "consent", "select_account"})
#: parameters of features that this provider does not have (Core, 6 and 7)
_UNSUPPORTED = ("request", "request_uri", "registration")


class AuthorizationParameters(SensitiveStruct, frozen=True, kw_only=True, array_like=True):
    """A valid request of an application."""

    client_id: str
    redirect_uri: str
    #: scopes that exist, with blanks between
    scope: str
    state: str | None
    nonce: str | None
    code_challenge: str | None
    #: No page may be shown.
    is_silent: bool
    #: The user signs in again, even in a session.
    needs_login: bool
    #: seconds since the sign-in at most
    max_age: int | None
    login_hint: str
    #: the claim `sub` of the user that `id_token_hint` names; None without one
    subject: str | None
    #: The user shows a second factor, though the application may not require it.
    wants_second_factor: bool = False


def once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return parameters by name, without empty ones, or raise `OAuthError` for a repeated one.

    (RFC 6749, 3.1 and 3.2)
    """
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise OAuthError("invalid_request", "a parameter is there twice")
    return {name: text for name, text in pairs if text}


def checked_parameters(
    values: Mapping[str, str], application: ApplicationRecord, subject: str | None
) -> AuthorizationParameters:
    """Check a request whose application and redirect URI are known, or raise `OAuthError`.

    `subject` is the user that its `id_token_hint` names, which may be as long as our ID tokens are.
    """
    for name in _UNSUPPORTED:
        if name in values:
            raise OAuthError(f"{name}_not_supported")
    texts = [text for name, text in values.items() if name != "id_token_hint"]
    if any(len(text) > _MAX_TEXT or "\0" in text for text in texts):
        raise OAuthError("invalid_request", f"a parameter has over {_MAX_TEXT} characters")
    if "response_type" not in values:
        raise OAuthError("invalid_request", "response_type is missing")
    if values["response_type"] != "code":
        raise OAuthError("unsupported_response_type")
    if values.get("response_mode", "query") != "query":
        raise OAuthError("invalid_request", "response_mode must be query")
    prompts = _prompts(values)
    return AuthorizationParameters(
        client_id=application.client_id,
        redirect_uri=values["redirect_uri"],
        scope=_scope(values, application),
        state=values.get("state"),
        nonce=values.get("nonce"),
        code_challenge=_challenge(values, application),
        is_silent="none" in prompts,
        # Without accounts to choose from, to select one is to sign in.
        needs_login=bool(prompts & {"login", "select_account"}),
        max_age=_max_age(values),
        login_hint=values.get("login_hint", ""),
        subject=subject,
        wants_second_factor=ACR_TWO_FACTORS in values.get("acr_values", "").split(),
    )


def _scope(values: Mapping[str, str], application: ApplicationRecord) -> str:
    # Unknown scopes are ignored (Core, 3.1.2.1), and so is one that gives nothing (Core, 11).
    ignored = set() if application.refresh_tokens else {"offline_access"}
    sent = dict.fromkeys(values.get("scope", "").split())
    scopes = [scope for scope in sent if scope in SCOPES and scope not in ignored]
    if "openid" not in scopes:
        raise OAuthError("invalid_scope", "scope must contain openid")
    return " ".join(scopes)


def _challenge(values: Mapping[str, str], application: ApplicationRecord) -> str | None:
    challenge, method = values.get("code_challenge"), values.get("code_challenge_method")
    if challenge is None and method is None:
        check_pkce(application, None)
        return None
    if method != "S256" or not _CHALLENGE.fullmatch(challenge or ""):
        raise OAuthError("invalid_request", _PKCE)
    return challenge


def check_pkce(application: ApplicationRecord, challenge: str | None) -> None:
    """Raise `OAuthError` if an application requires PKCE, and a request has no challenge."""
    if application.requires_pkce and challenge is None:
        advice = "" if application.is_public else _WITHOUT_PKCE
        raise OAuthError("invalid_request", _PKCE + advice)


def _prompts(values: Mapping[str, str]) -> set[str]:
    prompts = set(values.get("prompt", "").split())
    if prompts - _PROMPTS or ("none" in prompts and len(prompts) > 1):
        raise OAuthError("invalid_request", "prompt must be none, or others than none")
    return prompts


def _max_age(values: Mapping[str, str]) -> int | None:
    text = values.get("max_age")
    if text is None:
        return None
    if not _SECONDS.fullmatch(text):
        raise OAuthError("invalid_request", "max_age must be a number of seconds")
    return int(text)
