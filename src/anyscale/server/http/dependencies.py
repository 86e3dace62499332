"""Dependency injection: the services that a handler names, and the types of requests."""

from collections.abc import Iterable, Mapping
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.types import ASGIApp, Receive, Scope, Send

from anyscale.server.core.authorization import Principal
from anyscale.server.core.login.sessions import AuthenticatedUser
from anyscale.server.store.records import SessionRecord, TokenRecord

__all__ = [
    "AnyRequest",
    "Connection",
    "OwnerRequest",
    "UserRequest",
    "provide_each",
    "services_of",
    "with_services",
]

Connection = ASGIConnection[Any, Any, Any, Any]
AnyRequest = Request[Any, Any, Any]

#: A request with the token of an owner, and one with the session of a user: see `authentication`.
OwnerRequest = Request[Principal, TokenRecord, Any]
UserRequest = Request[AuthenticatedUser, SessionRecord, Any]


#: where the state of a request has them
_SERVICES = "services"


def with_services(app: ASGIApp, services: Mapping[str, object]) -> ASGIApp:
    """Give an application these services for each request that it gets from here."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})[_SERVICES] = services
        await app(scope, receive, send)

    return wrapped


def services_of(scope: Scope) -> Mapping[str, Any]:
    """Return the services of a request; none if it is refused before it is routed."""
    services: Mapping[str, Any] = scope.get("state", {}).get(_SERVICES, {})
    return services


def provide_each(names: Iterable[str]) -> dict[str, Provide]:
    """Let handlers receive each service as the argument of its name."""
    return {name: _provide(name) for name in names}


def _provide(name: str) -> Provide:
    def provide(scope: Scope) -> Any:
        return services_of(scope)[name]

    return Provide(provide, sync_to_thread=False)
