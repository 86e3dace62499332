"""Refuses query parameters that a call does not have, or that are there twice.

A server that ignored them would answer `?serach=jane` with all users, and `?email=a&email=b` with
those of the last one.
"""

from collections.abc import Iterator
from functools import lru_cache

from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter

from anyscale.errors import RequestInvalid
from anyscale.server.http.dependencies import Connection


def refuse_unknown_parameters(connection: Connection, handler: BaseRouteHandler) -> None:
    """Raise `RequestInvalid` for a query parameter that is unknown, or there twice."""
    if not connection.scope["query_string"]:
        return
    known = _parameters(handler)
    for name in connection.query_params:
        if name not in known:
            there_are = f"it has {', '.join(known)}" if known else "it has none"
            raise RequestInvalid(f"this call has no query parameter {name[:64]!r}: {there_are}")
        if len(connection.query_params.getall(name)) > 1:
            raise RequestInvalid(f"this call accepts the query parameter {name!r} only once")


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
