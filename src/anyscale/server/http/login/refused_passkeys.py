"""Refused passkeys: each is logged, and written to the audit log."""

import logging
from contextlib import suppress
from typing import Any

from anyscale.errors import AnyscaleError, Overloaded, PasskeyRefused, StoreUnavailable
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.web.forms import refusal

__all__ = ["passkey_refusal", "record_refused_passkey"]

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
