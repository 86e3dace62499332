"""The application: its routes, what they share, and what goes on while it runs."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from litestar import Litestar, Request
from litestar.config.compression import CompressionConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp

from anyscale.errors import AnyscaleError
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.authorization import Principal
from anyscale.server.core.login.sessions import AuthenticatedUser
from anyscale.server.http import health as operations
from anyscale.server.http import openapi as document
from anyscale.server.http.api import audit_log as trail
from anyscale.server.http.api import batches, users
from anyscale.server.http.api import user_lifecycle as accounts
from anyscale.server.http.authentication import Authenticator
from anyscale.server.http.errors import HANDLERS
from anyscale.server.http.login import pages, sso
from anyscale.server.http.login import routes as sessions
from anyscale.server.http.middleware.csrf import CsrfMiddleware
from anyscale.server.http.middleware.gzip_requests import MAX_BODY, GzipRequestMiddleware
from anyscale.server.http.middleware.head_requests import HeadMiddleware
from anyscale.server.http.middleware.request_log import RequestLogMiddleware
from anyscale.server.http.middleware.security_headers import SecurityHeadersMiddleware
from anyscale.server.http.middleware.shutdown import ShutdownMiddleware
from anyscale.server.http.thread_pools import ThreadPools
from anyscale.server.http.web import templating as rendering

__all__ = ["application"]

_log = logging.getLogger("anyscale.server")

_CLEAN_UP_SECONDS = 60


def application(plane: ControlPlane) -> ASGIApp:
    """Make the application that answers for a control plane, and closes it at the end."""
    pools = ThreadPools()
    authenticator = Authenticator(plane.tokens, plane.sessions, plane.trail, pools.auth)

    def the_plane() -> ControlPlane:
        return plane

    def the_pools() -> ThreadPools:
        return pools

    app = Litestar(
        route_handlers=[
            users.router(),
            accounts.router(),
            batches.router(),
            trail.router(),
            *sessions.routers(),
            *pages.routers(),
            *rendering.HANDLERS,
            *sso.HANDLERS,
            *operations.HANDLERS,
            *document.HANDLERS,
        ],
        dependencies={
            "plane": Provide(the_plane, sync_to_thread=False),
            "pools": Provide(the_pools, sync_to_thread=False),
            "authenticator": Provide(lambda: authenticator, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
            "member": Provide(_member, sync_to_thread=False),
        },
        middleware=[CsrfMiddleware()],
        compression_config=CompressionConfig(backend="gzip", minimum_size=2048),
        exception_handlers=HANDLERS,
        lifespan=[partial(_running, plane=plane)],
        openapi_config=document.document_of(),
        request_max_body_size=MAX_BODY,
        state=State({"plane": plane, "pools": pools, "authenticator": authenticator}),
        logging_config=None,
    )
    inner = ShutdownMiddleware(HeadMiddleware(GzipRequestMiddleware(app)))
    tls_only = plane.settings.is_reached_by_tls
    return RequestLogMiddleware(SecurityHeadersMiddleware(inner, tls_only=tls_only))


def _caller(request: Request[Any, Any, Any]) -> Principal:
    principal: Principal = request.user
    return principal


def _member(request: Request[Any, Any, Any]) -> AuthenticatedUser:
    user: AuthenticatedUser = request.user
    return user


@asynccontextmanager
async def _running(_: Litestar, plane: ControlPlane) -> AsyncIterator[None]:
    await asyncio.to_thread(lambda: plane.sign_in)  # once, before two threads want it
    if plane.settings.sso:
        await asyncio.to_thread(lambda: plane.sso)  # likewise; its imports take 200 ms
    cleaning = asyncio.create_task(_clean_up(plane))
    try:
        yield
    finally:
        cleaning.cancel()
        with suppress(asyncio.CancelledError):
            await cleaning
        # Not in a thread: waiting for one is what a stop that is cut short would cancel.
        plane.close()


async def _clean_up(plane: ControlPlane) -> None:
    """Each minute, drop what was given up and forget what was kept long enough."""
    while True:
        try:
            await asyncio.to_thread(plane.clean_up)
            await asyncio.to_thread(plane.trail.log_head)
        except AnyscaleError as error:
            _log.error("clean-up failed", extra={"code": error.code, "detail": str(error)})
        except Exception as error:  # noqa: BLE001 - it is tried again in a minute
            # Its text may be a person's.
            _log.error("clean-up failed", extra={"code": type(error).__name__})
        await asyncio.sleep(_CLEAN_UP_SECONDS)
