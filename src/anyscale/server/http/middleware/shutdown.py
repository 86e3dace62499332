"""A forced shutdown: after a second Ctrl-C, or a minute, asyncio cancels what still runs."""

import asyncio
from typing import Any

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from anyscale.errors import ServerUnreachable


class ShutdownMiddleware(ASGIMiddleware):
    """Answers a cancelled request with 503, which clients repeat, and without a traceback."""

    scopes: tuple[ScopeType, ...] = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        is_started = False

        async def send_and_note(message: Message) -> None:
            nonlocal is_started
            is_started = True
            await send(message)

        try:
            await next_app(scope, receive, send_and_note)
        except asyncio.CancelledError:
            if not is_started:
                detail = "the control plane stopped before this request ended: send it again"
                raise ServerUnreachable(detail) from None


def shut_down_when_cancelled(app: ASGIApp) -> ASGIApp:
    """Let an application shut down in order when its lifespan is cancelled."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_shutdown() -> Any:
            try:
                return await receive()
            except asyncio.CancelledError:
                return {"type": "lifespan.shutdown"}

        is_request = scope["type"] == ScopeType.HTTP
        await app(scope, receive if is_request else receive_shutdown, send)

    return wrapped
