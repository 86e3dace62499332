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
from anyscale.server.core.access import Caller
from anyscale.server.core.sessions import Member
from anyscale.server.http import (
    accounts,
    batches,
    document,
    operations,
    pages,
    rendering,
    sessions,
    sso,
    trail,
    users,
)
from anyscale.server.http.head import Headed
from anyscale.server.http.inflating import MAX_BODY, Inflating
from anyscale.server.http.lanes import Lanes
from anyscale.server.http.members import member_of
from anyscale.server.http.observing import Observed
from anyscale.server.http.others import Others
from anyscale.server.http.problems import HANDLERS
from anyscale.server.http.same_origin import same_origin_only
from anyscale.server.http.stopping import Stopping
from anyscale.server.plane import ControlPlane

__all__ = ["application"]

_log = logging.getLogger("anyscale.server")

_CLEAN_UP_SECONDS = 60


def application(plane: ControlPlane) -> ASGIApp:
    """Make the application that answers for a control plane, and closes it at the end."""
    others = Others()
    lanes = Lanes(others)

    def the_plane() -> ControlPlane:
        return plane

    def the_lanes() -> Lanes:
        return lanes

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
            "lanes": Provide(the_lanes, sync_to_thread=False),
            "caller": Provide(_caller, sync_to_thread=False),
            "member": Provide(_member, sync_to_thread=False),
        },
        guards=[same_origin_only],
        compression_config=CompressionConfig(backend="gzip", minimum_size=2048),
        exception_handlers=HANDLERS,
        lifespan=[partial(_running, plane=plane)],
        openapi_config=document.document_of(),
        request_max_body_size=MAX_BODY,
        state=State({"plane": plane, "lanes": lanes}),
        logging_config=None,
    )
    answering = Stopping(Headed(Inflating(app)))
    return Observed(answering, others, by_tls=plane.settings.is_reached_by_tls)


def _caller(request: Request[Any, Any, Any]) -> Caller:
    caller: Caller = request.scope["state"]["caller"]  # a guard has put it there
    return caller


def _member(request: Request[Any, Any, Any]) -> Member:
    return member_of(request)


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
