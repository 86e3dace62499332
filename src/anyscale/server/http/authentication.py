"""Authentication: middleware sets `request.user` and `request.auth`; guards check them.

| middleware | credential | `request.user`: the caller | `request.auth` |
| --- | --- | --- | --- |
| `TokenAuthentication` | `Authorization: Bearer mrt_...` | `TokenCaller` | `TokenRecord` |
| `SessionAuthentication` | the cookie `__Host-session` | `SessionCaller` | `SessionRecord` |

A route accepts one kind of credential and ignores the other one. A session whose user has a step to
do first (`core.steps`) is refused, unless the route names the step: see `ALLOWED_STEPS`.

Denied requests are written to the audit log, except those of pages: a session that has expired is
not an incident there.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from litestar.handlers import BaseRouteHandler
from litestar.middleware import (
    AbstractAuthenticationMiddleware,
    AuthenticationResult,
    DefineMiddleware,
)
from msgspec import Struct

from anyscale.errors import (
    AnyscaleError,
    NotAuthenticated,
    NotPermitted,
    Overloaded,
    StoreUnavailable,
)
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.core.callers import refuse_without
from anyscale.server.core.login.sessions import SessionService
from anyscale.server.core.permissions import Permission
from anyscale.server.core.steps import Step
from anyscale.server.core.tokens.api_tokens import TokenService
from anyscale.server.http.cookies import SESSION, read_cookie
from anyscale.server.http.dependencies import Connection
from anyscale.server.http.request_context import actor
from anyscale.server.http.thread_pools import BoundedThreadPool

#: The option of a route (`opt`) with the steps that the user of its session need not have done:
#: `opt={ALLOWED_STEPS: {Step.PASSWORD}}`. By default there are none.
ALLOWED_STEPS = "allowed_steps"

#: The option of a route (`opt`) with the permission that `require_permission` requires. A route
#: without it is refused to all callers.
PERMISSION = "permission"

#: The option of a route (`opt`) that says whether its denied requests are written to the audit log.
#: By default they are; those of a user without permission are in any case.
RECORD_DENIALS = "record_denials"

#: The option of a route (`opt`) that says whether a request is a use of its session. By default it
#: is; a page that asks how far a batch is does so without its user, and must not keep them signed
#: in.
RENEWS_SESSION = "renews_session"

_DENIALS: tuple[type[AnyscaleError], ...] = (
    NotAuthenticated,
    NotPermitted,
    *(step.error for step in Step),
)


class Authenticator(Struct, frozen=True):
    """Authenticates requests by their token or session, and records denied ones."""

    tokens: TokenService
    sessions: SessionService
    audit_log: AuditLog
    pool: BoundedThreadPool

    async def by_token(self, connection: Connection) -> AuthenticationResult:
        """Authenticate a request by its token, or raise `NotAuthenticated`."""
        secret = _bearer_token(connection)
        caller = await self.pool.run(self.tokens.authenticate, secret)
        actor.set(caller.actor)
        return AuthenticationResult(caller, caller.token)

    async def by_session(self, connection: Connection) -> AuthenticationResult:
        """Authenticate a request by the cookie of its session.

        Raises:
            NotAuthenticated: it has no valid one.
            PasswordChangeNeeded, SecondFactorDue: the user has to do this step first; see
                `ALLOWED_STEPS`.
        """
        secret = read_cookie(connection, SESSION)
        if not secret:
            raise NotAuthenticated("you are not signed in")
        caller = await self.pool.run(self.sessions.authenticate, secret)
        if caller.is_touch_due and connection.route_handler.opt.get(RENEWS_SESSION, True):
            with suppress(Overloaded):  # a later request records the use
                await self.pool.run(self.sessions.touch, caller)
        actor.set(caller.actor)
        caller.refuse_pending(connection.route_handler.opt.get(ALLOWED_STEPS, ()))
        return AuthenticationResult(caller, caller.session)

    async def record_denial(self, connection: Connection, error: AnyscaleError) -> None:
        """Write a denied request to the audit log: its route, not its path, which has ids."""
        scope = connection.scope
        call = f"{scope['method']} {scope.get('path_template', '')}"  # type: ignore[typeddict-item]  # there are no WebSockets
        caller = actor.get() or getattr(error, "actor", None) or "anonymous"
        with suppress(Overloaded, StoreUnavailable):  # the response does not depend on it
            await self.pool.run(self.audit_log.record_denied, caller, error.code, call)


@asynccontextmanager
async def _denials_recorded(connection: Connection) -> AsyncIterator[None]:
    """Record a request that the block denies: see `RECORD_DENIALS`."""
    try:
        yield
    except _DENIALS as error:
        is_recorded = connection.route_handler.opt.get(RECORD_DENIALS, True)
        if is_recorded or isinstance(error, NotPermitted):
            await authenticator_of(connection).record_denial(connection, error)
        raise


class TokenAuthentication(AbstractAuthenticationMiddleware):
    """Authenticates the requests of administrators, by their tokens."""

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        async with _denials_recorded(connection):
            return await authenticator_of(connection).by_token(connection)


class SessionAuthentication(AbstractAuthenticationMiddleware):
    """Authenticates the requests of signed-in users, by their sessions."""

    async def authenticate_request(self, connection: Connection) -> AuthenticationResult:
        async with _denials_recorded(connection):
            return await authenticator_of(connection).by_session(connection)


#: For OPTIONS as well, which the middleware would let pass.
TOKEN_AUTHENTICATION = DefineMiddleware(TokenAuthentication, exclude_http_methods=())
SESSION_AUTHENTICATION = DefineMiddleware(SessionAuthentication, exclude_http_methods=())


async def require_permission(connection: Connection, handler: BaseRouteHandler) -> None:
    """Raise `NotPermitted` if the caller of a request may not use its route: see `PERMISSION`."""
    async with _denials_recorded(connection):
        refuse_without(_permission_of(handler), connection.user)


async def require_permission_still(connection: Connection) -> None:
    """Look at the session of a long request again. Raise as at its start if it has ended."""
    current = await authenticator_of(connection).by_session(connection)
    refuse_without(_permission_of(connection.route_handler), current.user)


def _permission_of(handler: BaseRouteHandler) -> Permission:
    permission: Permission = handler.opt.get(PERMISSION, Permission.OPERATE)
    return permission


def authenticator_of(connection: Connection) -> Authenticator:
    """Return the authenticator, for middleware and guards, which have no dependencies."""
    authenticator: Authenticator = connection.app.state.authenticator
    return authenticator


def _bearer_token(connection: Connection) -> str:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise NotAuthenticated("there is no token: send it as `Authorization: Bearer mrt_...`")
    return token.strip()
