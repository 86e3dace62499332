"""Refused passkeys and codes: they are written to the audit log, and passkeys are logged."""

import logging
from contextlib import suppress
from typing import Any

from anyscale.errors import (
    AnyscaleError,
    CodeRefused,
    Overloaded,
    PasskeyRefused,
    StoreUnavailable,
)
from anyscale.server.core.callers import user_actor
from anyscale.server.http.dependencies import AnyRequest, Connection
from anyscale.server.http.web.forms import refusal

_log = logging.getLogger("anyscale.server")


async def passkey_refusal(request: AnyRequest, error: AnyscaleError) -> dict[str, Any]:
    """Record a refused passkey; return the arguments of a page that shows it, as `refusal` does."""
    with suppress(Overloaded):  # the response does not depend on it
        await request.app.state.pools.auth.run(record_refused_passkey, request, error)
    return refusal(error)


def record_refused_passkey(request: AnyRequest, error: AnyscaleError) -> None:
    """Record why a passkey is refused; for any other error do nothing."""
    if not isinstance(error, PasskeyRefused):
        return
    _log.warning("passkey refused", extra={"code": error.code, "reason": error.reason})
    call = f"{request.scope['method']} {request.scope['path']}"
    with suppress(StoreUnavailable):
        request.app.state.audit_log.record_denied(error.actor, error.reason, call)


async def record_refused_code(connection: Connection, error: CodeRefused, user_id: str) -> None:
    """Record a code or a recovery code that is refused: somebody knows the password."""
    scope, state = connection.scope, connection.app.state
    call = f"{scope['method']} {scope['path']}"  # type: ignore[typeddict-item]  # there are no WebSockets
    with suppress(Overloaded, StoreUnavailable):  # the response does not depend on it
        record = state.audit_log.record_denied
        await state.pools.auth.run(record, user_actor(user_id), error.code, call)
