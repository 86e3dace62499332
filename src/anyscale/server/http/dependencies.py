"""Dependency injection: the services that a handler names, and the types of requests."""

from collections.abc import Mapping
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import Provide

from anyscale.server.core.callers import SessionCaller, TokenCaller
from anyscale.server.store.records.login import SessionRecord
from anyscale.server.store.records.tokens import TokenRecord

Connection = ASGIConnection[Any, Any, Any, Any]
AnyRequest = Request[Any, Any, Any]

#: A request with a token, and one with the session of a user: see `authentication`.
TokenRequest = Request[TokenCaller, TokenRecord, Any]
UserRequest = Request[SessionCaller, SessionRecord, Any]


def provide_each(services: Mapping[str, object]) -> dict[str, Provide]:
    """Let handlers receive each service as the argument of this name."""
    return {name: _provide(services, name) for name in services}


def _provide(services: Mapping[str, object], name: str) -> Provide:
    return Provide(lambda: services[name], sync_to_thread=False)
