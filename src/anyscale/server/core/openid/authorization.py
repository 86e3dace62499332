"""The decision on a request of an application: sign in, or redirect with a code (Core, 3.1)."""

from msgspec import structs

from anyscale.errors import NotAuthenticated, NotFound, RequestInvalid
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import SessionCaller, live_session
from anyscale.server.core.ids import new_id
from anyscale.server.core.openid.audience import is_allowed
from anyscale.server.core.openid.authorization_parameters import (
    AuthorizationParameters,
    check_pkce,
    checked_parameters,
    once,
)
from anyscale.server.core.openid.confirmations import confirmation_of, is_confirmed
from anyscale.server.core.openid.id_token_hints import IdTokenHints
from anyscale.server.core.openid.protocol import CODE_MS, OAuthError
from anyscale.server.core.openid.redirect_uris import is_registered
from anyscale.server.core.openid.stored_requests import StoredRequests, WaitingRequest
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.core.secrets import SensitiveStruct, hash_of, new_secret
from anyscale.server.core.steps import Step
from anyscale.server.core.time_units import MINUTE_MS, SECOND_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.openid import ApplicationRecord, GrantRecord
from anyscale.server.store.transaction import Transaction

#: grants of one session at one application: an application that signs in again and again, without a
#: page, loses its oldest ones
_MOST_OPEN = 50

#: milliseconds that the clocks of an identity provider and of the database may differ
_LEEWAY = 60 * SECOND_MS


class RedirectUnknown(RequestInvalid):
    """An application sends an address to return to that is not one of its own."""

    def __init__(self, detail: str, application: str) -> None:
        super().__init__(detail)
        #: its name
        self.application = application


class Redirection(SensitiveStruct, frozen=True):
    """A response to an application, by a redirect of the browser to a registered address."""

    redirect_uri: str
    #: a code or an error, and the state of the request
    parameters: dict[str, str]
    #: The name of an application that refuses this user, who is shown a page first; else empty.
    denied: str = ""
    #: The cookie of the requests that still wait, if this one did; None leaves it as it is.
    browser: str | None = None
    #: what confirms the application for the rest of the session; empty if nothing has to
    confirmation: str = ""


class SignInNeeded(SensitiveStruct, frozen=True):
    """The user signs in, or does a step of the session; then the browser resumes the request."""

    request_id: str
    #: the cookie with the request
    browser: str
    #: what the user of the session has to do; None for a sign-in
    step: Step | None = None


class ConfirmationNeeded(SensitiveStruct, frozen=True):
    """The user confirms the application by a click; then the browser resumes the request."""

    request_id: str
    #: as that of `SignInNeeded`
    browser: str


class StoredRequest(SensitiveStruct, frozen=True):
    """A request that waits for a sign-in."""

    request_id: str
    application: ApplicationRecord
    parameters: AuthorizationParameters
    #: The sign-in is not older: milliseconds since 1970; 0 for any.
    newer_than: int
    created_at: int
    #: when it was read
    at: int

    def max_age(self) -> int | None:
        """Return how many seconds the sign-in may be old; 0 for a new one, None for any."""
        if self.parameters.needs_login:
            return 0
        return max(0, self.at - self.newer_than) // SECOND_MS if self.newer_than else None


class AuthorizationService:
    """Decides on the requests of applications. Nothing else redirects browsers to them."""

    def __init__(
        self, transactions: Transactions, hints: IdTokenHints, policy: SecondFactorPolicy
    ) -> None:
        self._transactions = transactions
        self._hints = hints
        self._policy = policy
        self._requests = StoredRequests(transactions)

    def start(
        self, pairs: list[tuple[str, str]], session: str, browser: str, confirmations: str = ""
    ) -> Redirection | SignInNeeded | ConfirmationNeeded:
        """Validate the request of an application, and answer it or let it wait for the user.

        Args:
            pairs: the parameters, as they were sent.
            session: the secret of the session cookie; empty without one.
            browser: the cookie of earlier requests; empty without one.
            confirmations: those of earlier redirections, with dots between.

        Raises:
            RequestInvalid: the application or its redirect URI is not known, so that the browser
                may not be redirected.
            NotFound: one of them was removed in this moment.
        """
        application, uri = self._application(pairs)
        states = [text for name, text in pairs if name == "state"]
        state = states[0] if len(states) == 1 else None
        try:
            parameters = self._parameters(pairs, application)
            caller = self._caller(session)
            newer_than = self._newer_than(parameters, caller)
            signed_in = caller if newer_than == 0 else None
            signed_in = self._with_factor(signed_in, application, parameters)
            step = self._step(signed_in, application, parameters) if signed_in else None
            if signed_in and not step:
                if is_confirmed(application, uri, session, confirmations):
                    return self._grant(parameters, signed_in)
                _refuse_silent(parameters, "interaction_required")
                return ConfirmationNeeded(*self._store_request(parameters, newer_than, browser))
            _refuse_silent(parameters, "login_required")
            stored = self._store_request(parameters, newer_than, browser)
            return SignInNeeded(*stored, step=step)
        except OAuthError as error:
            return _error(uri, state, error)

    def resume(self, request_id: str, session: str, browser: str) -> Redirection | SignInNeeded:
        """Continue with a stored request after a sign-in. Raises `NotFound` as `stored` does."""
        stored = self.stored(request_id, browser)
        caller, parameters = self._caller(session), stored.parameters
        if caller is None or not _is_new(caller, stored):
            return SignInNeeded(request_id, browser)
        try:
            if not self._with_factor(caller, stored.application, parameters):
                return SignInNeeded(request_id, browser)
            if step := self._step(caller, stored.application, parameters):
                return SignInNeeded(request_id, browser, step)
            decision = self._grant(parameters, caller)
        except OAuthError as error:
            decision = _error(parameters.redirect_uri, parameters.state, error)
        remaining = self._requests.removed(browser, request_id, stored.at)
        confirmation = confirmation_of(stored.application, parameters.redirect_uri, session)
        return structs.replace(decision, browser=remaining, confirmation=confirmation)

    def stored(self, request_id: str | None, browser: str) -> StoredRequest:
        """Return a stored request of a browser; without an id the newest one.

        Raises:
            NotFound: it has expired, was answered, or is of another browser; or the application
                does not exist any more, or has another redirect URI.
        """
        with self._transactions.read() as tx:
            now = tx.now()
        found = self._requests.find(browser, request_id, now)
        if found is None:
            raise NotFound("the request of the application has expired: start there again")
        with self._transactions.read() as tx:
            application = tx.applications.get(found.parameters.client_id)
        application = _registered(application, found.parameters)
        return StoredRequest(
            request_id=found.request_id,
            application=application,
            parameters=found.parameters,
            newer_than=found.newer_than,
            created_at=found.created_at,
            at=now,
        )

    def _parameters(
        self, pairs: list[tuple[str, str]], application: ApplicationRecord
    ) -> AuthorizationParameters:
        values = once(pairs)
        claims = self._hints.claims(hint) if (hint := values.get("id_token_hint")) else None
        if claims is not None and claims.get("aud") != application.client_id:
            raise OAuthError(
                "invalid_request", "id_token_hint is not an ID token of this application"
            )
        return checked_parameters(values, application, claims["sub"] if claims else None)

    def _application(self, pairs: list[tuple[str, str]]) -> tuple[ApplicationRecord, str]:
        ids = [text for name, text in pairs if name == "client_id"]
        uris = [text for name, text in pairs if name == "redirect_uri"]
        if len(ids) != 1 or len(uris) != 1:
            raise RequestInvalid("client_id and redirect_uri must be there once each")
        with self._transactions.read() as tx:
            application = tx.applications.get(ids[0])
        if application is None:
            raise RequestInvalid("no application with this client_id is registered here")
        if not is_registered(uris[0], application.redirects, is_public=application.is_public):
            reason = "this redirect_uri is not registered for the application"
            raise RedirectUnknown(reason, application.name)
        return application, uris[0]

    def _caller(self, session: str) -> SessionCaller | None:
        if not session:
            return None
        try:
            with self._transactions.read() as tx:
                return live_session(tx, hash_of(session))
        except NotAuthenticated:
            return None

    def _newer_than(self, parameters: AuthorizationParameters, caller: SessionCaller | None) -> int:
        """Return the time before which a sign-in is too old; 0 if the session is good enough."""
        with self._transactions.read() as tx:
            now = tx.now()
        if parameters.needs_login or (caller and _is_another_user(parameters, caller)):
            return now + 1  # The session that is not enough may be of this millisecond.
        if parameters.max_age is None:
            return 0
        oldest = now - parameters.max_age * SECOND_MS
        is_fresh = caller and oldest <= (caller.session.authenticated_at or 0) <= now
        return 0 if is_fresh else oldest

    def _with_factor(
        self,
        caller: SessionCaller | None,
        application: ApplicationRecord,
        parameters: AuthorizationParameters,
    ) -> SessionCaller | None:
        """Return a caller, unless it has to sign in again with the second factor that it has.

        Raises:
            OAuthError: the application requires one, and this server asks nobody for it.
        """
        if caller is None or not _lacks_factor(caller, application, parameters):
            return caller
        if not self._policy.is_on:
            if application.requires_second_factor:
                raise OAuthError("access_denied", "ANYSCALE_SECOND_FACTOR is off at this server")
            return caller
        with self._transactions.read() as tx:
            has_one = bool(tx.factors.kinds(caller.account.user_id))
        return None if has_one else caller

    def _step(
        self,
        caller: SessionCaller,
        application: ApplicationRecord,
        parameters: AuthorizationParameters,
    ) -> Step | None:
        """Return what the caller of `_with_factor` has to do first, for us or the application."""
        is_lacking = self._policy.is_on and _lacks_factor(caller, application, parameters)
        return caller.pending or (Step.SECOND_FACTOR if is_lacking else None)

    def _store_request(
        self,
        parameters: AuthorizationParameters,
        newer_than: int,
        browser: str,
    ) -> tuple[str, str]:
        """Let a request wait; return its id, and the cookie with it."""
        with self._transactions.read() as tx:
            now = tx.now()
        request = WaitingRequest(new_id("req_", now), now, newer_than, parameters)
        return request.request_id, self._requests.added(browser, request)

    def _grant(self, parameters: AuthorizationParameters, caller: SessionCaller) -> Redirection:
        """Create a code for a signed-in user (RFC 6749, 4.1.2), or raise `OAuthError`.

        The application is locked and may have changed since the request was read. Raises `NotFound`
        if the browser may not be redirected there any more.
        """
        if _is_another_user(parameters, caller):
            raise OAuthError("login_required", "another user has signed in")
        try:
            return self._granted(parameters, caller)
        except NotAuthenticated:
            raise OAuthError("login_required") from None

    def _granted(self, parameters: AuthorizationParameters, caller: SessionCaller) -> Redirection:
        code = new_secret()
        with self._transactions.write_own(caller) as (tx, account):
            found = tx.applications.lock(parameters.client_id, exclusive=False)
            application = _registered(found, parameters)
            check_pkce(application, parameters.code_challenge)
            if application.requires_second_factor and not caller.has_second_factor:
                raise OAuthError("login_required", "the application requires a second factor now")
            if not is_allowed(tx, application, account):
                return _denied(parameters, application)
            grant = _new_grant(tx, parameters, caller, code)
            tx.grants.add(grant)
            tx.grants.delete_oldest(grant.session_id, grant.client_id, _MOST_OPEN)
            if grant.created_at - (application.used_at or 0) >= MINUTE_MS:
                tx.applications.touch(grant.client_id, grant.created_at)
            data = {"client_id": parameters.client_id}
            append_entry(tx, caller.actor, "authorization.created", grant.grant_id, data)
        return _redirection(parameters.redirect_uri, parameters.state, {"code": code})


def _registered(
    application: ApplicationRecord | None, parameters: AuthorizationParameters
) -> ApplicationRecord:
    """Return the application as it is now, if the browser may return to the address of a request.

    Raises:
        NotFound: it was deleted, or the address removed.
    """
    if application is None or not is_registered(
        parameters.redirect_uri, application.redirects, is_public=application.is_public
    ):
        raise NotFound("the application has changed, or does not exist any more: start there again")
    return application


def _is_another_user(parameters: AuthorizationParameters, caller: SessionCaller) -> bool:
    """Whether `id_token_hint` names another user (Core, 3.1.2.1)."""
    return parameters.subject not in (None, caller.account.sub)


def _lacks_factor(
    caller: SessionCaller, application: ApplicationRecord, parameters: AuthorizationParameters
) -> bool:
    """Whether a second factor is needed that the user of a session has not shown."""
    is_needed = application.requires_second_factor or parameters.wants_second_factor
    return is_needed and not caller.has_second_factor


def _refuse_silent(parameters: AuthorizationParameters, code: str) -> None:
    if parameters.is_silent:
        raise OAuthError(code)


def _is_new(caller: SessionCaller, stored: StoredRequest) -> bool:
    """Whether a sign-in is as new as the application wants it.

    The time of a sign-in at an identity provider is of another clock. Its session is of ours: one
    that is not newer than the request does not answer it.
    """
    session = caller.session
    by_other_clock = session.auth_method == "sso" and session.created_at > stored.created_at
    leeway = _LEEWAY if by_other_clock else 0
    return stored.newer_than - leeway <= (session.authenticated_at or 0) <= caller.at


def _new_grant(
    tx: Transaction, parameters: AuthorizationParameters, caller: SessionCaller, code: str
) -> GrantRecord:
    now = tx.now()
    return GrantRecord(
        grant_id=new_id("gra_", now),
        client_id=parameters.client_id,
        user_id=caller.account.user_id,
        session_id=caller.session.session_id,
        scope=parameters.scope,
        redirect_uri=parameters.redirect_uri,
        nonce=parameters.nonce,
        code_challenge=parameters.code_challenge,
        authenticated_at=caller.session.authenticated_at,
        methods=caller.session.methods,
        created_at=now,
        expires_at=now + CODE_MS,
        code_hash=hash_of(code),
        code_expires_at=now + CODE_MS,
    )


def _denied(parameters: AuthorizationParameters, application: ApplicationRecord) -> Redirection:
    error = OAuthError("access_denied", "this user may not use this application")
    response = _error(parameters.redirect_uri, parameters.state, error)
    return response if parameters.is_silent else structs.replace(response, denied=application.name)


def _error(uri: str, state: str | None, error: OAuthError) -> Redirection:
    detail = {"error_description": error.detail} if error.detail else {}
    return _redirection(uri, state, {"error": error.code, **detail})


def _redirection(uri: str, state: str | None, parameters: dict[str, str]) -> Redirection:
    return Redirection(uri, parameters | ({} if state is None else {"state": state}))
