"""A stop that does not wait: asyncio cancels what goes on, and no traceback tells of it."""

import asyncio
from typing import Any

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from msgspec import json

from anyscale.api_schemas import ProblemDocument
from anyscale.errors import ServerUnreachable
from anyscale.server.http.errors import PROBLEM
from anyscale.server.http.request_context import request_id

__all__ = ["ShutdownMiddleware"]


class ShutdownMiddleware:
    """An application that ends in order, also where it is cut short.

    That is after a second Ctrl-C, and when a stop has waited long enough.

    Args:
        application: the one that answers.
    """

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or run from the start to the end."""
        if scope["type"] == ScopeType.HTTP:
            await self._answer(scope, receive, send)
        else:
            await self._application(scope, _ending(receive), send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._application(scope, receive, sending)
        except asyncio.CancelledError:
            if not begun:
                await _cut_off(send)


def _ending(receive: Receive) -> Receive:
    """Let the application close what it has, as at any end."""

    async def received() -> Any:
        try:
            return await receive()
        except asyncio.CancelledError:
            return {"type": "lifespan.shutdown"}

    return received


async def _cut_off(send: Send) -> None:
    document = ProblemDocument(
        title="Service Unavailable",
        status=ServerUnreachable.status,
        detail="the control plane was stopped over this request: make it again",
        code=ServerUnreachable.code,
        request_id=request_id(),
    )
    headers = [(b"content-type", PROBLEM.encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": document.status, "headers": headers})
    body = json.encode(document)
    await send({"type": "http.response.body", "body": body, "more_body": False})
