"""Refuses query parameters that a call does not have.

A server that ignored them would answer `?serach=jane` with all users.
"""

from collections.abc import Iterator
from functools import lru_cache

from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter

from anyscale.errors import RequestInvalid
from anyscale.server.http.dependencies import Connection

__all__ = ["refuse_unknown_parameters"]


def refuse_unknown_parameters(connection: Connection, handler: BaseRouteHandler) -> None:
    """Raise `RequestInvalid` if a request has a query parameter that its call does not have."""
    if not connection.scope["query_string"]:
        return
    known = _parameters(handler)
    for name in connection.query_params:
        if name not in known:
            there_are = f"it has {', '.join(known)}" if known else "it has none"
            raise RequestInvalid(f"this call has no query parameter {name[:64]!r}: {there_are}")


@lru_cache(maxsize=128)
def _parameters(handler: BaseRouteHandler) -> list[str]:
    return sorted(set(_names(handler)))


def _names(handler: BaseRouteHandler) -> Iterator[str]:
    """Generate the names of the parameters of a call, and of what is injected into it."""
    injected = handler.resolve_dependencies().values()
    for signature in (handler.parsed_fn_signature, *(one.parsed_fn_signature for one in injected)):
        for name, field in signature.parameters.items():
            if isinstance(field.kwarg_definition, QueryParameter):
                yield field.kwarg_definition.name or name
