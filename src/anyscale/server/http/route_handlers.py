"""The decorators of handlers, by method: `@get("/users", pool="read")`.

A plain function runs in a thread of the pool that its route names; a coroutine function runs in the
event loop, and names no pool.
"""

from collections.abc import Callable
from functools import partial, wraps
from operator import attrgetter
from typing import Any, Final, Literal, Self

from litestar import Litestar
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.types import AnyCallable
from litestar.utils.predicates import is_async_callable

from anyscale.server.http.dependencies import Connection
from anyscale.server.http.thread_pools import BoundedThreadPool, ThreadPools

#: the pools of `ThreadPools` that need to know nothing of a request
PoolName = Literal[
    "auth",
    "read",
    "write",
    "hashing",
    "identity_provider.start",
    "monitoring",
    "login.applications",
]


class _RouteHandler(HTTPRouteHandler):
    """A handler that runs in the pool of its route, whose option (`opt`) is `pool`."""

    def __init__(
        self, path: str | list[str], *, pool: PoolName | None = None, **options: Any
    ) -> None:
        super().__init__(path, pool=pool, **options)

    def __call__(self, fn: AnyCallable) -> Self:
        # The framework warns of plain functions without a choice, and of coroutines with one.
        self.sync_to_thread = None if is_async_callable(fn) else False
        super().__call__(fn)
        return self

    def on_registration(self, app: Litestar) -> None:
        super().on_registration(app)
        if self.has_sync_callable:
            self._fn = _in_thread(app.state, attrgetter(self.opt["pool"]), self.fn)
            self.has_sync_callable: bool = False

    async def authorize_connection(self, connection: Connection) -> None:
        """Run the guards. The framework copies the handler for each of them."""
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]  # `resolve_guards` makes all async

    def create_kwargs_model(self, path_parameters: dict[str, Any]) -> Any:
        """Return the model of arguments, which provides one dependency after the other.

        The framework starts a task for each, which takes longer than ours do.
        """
        model = super().create_kwargs_model(path_parameters)
        model.dependency_batches = [{one} for batch in model.dependency_batches for one in batch]
        return model


def _in_thread(
    services: State,
    pool_in: Callable[[ThreadPools], BoundedThreadPool],
    function: Callable[..., Any],
) -> Callable[..., Any]:
    @wraps(function)
    async def run(**arguments: Any) -> Any:
        return await pool_in(services.pools).run(function, **arguments)

    return run


delete: Final = partial(_RouteHandler, http_method="DELETE")
get: Final = partial(_RouteHandler, http_method="GET")
patch: Final = partial(_RouteHandler, http_method="PATCH")
post: Final = partial(_RouteHandler, http_method="POST")
put: Final = partial(_RouteHandler, http_method="PUT")
