"""The context of a request: its id and its actor, on every log line that the request writes.

Context variables: code that a request calls finds them without an argument, also in the worker
threads of `ThreadPools`.
"""

import logging
from contextvars import ContextVar

#: The id, which the response has in `X-Request-Id`; empty outside a request.
request_id: ContextVar[str] = ContextVar("request_id", default="")

#: The caller as the audit log names it; None before authentication.
actor: ContextVar[str | None] = ContextVar("actor", default=None)


class RequestContextFilter(logging.Filter):
    """Adds `request_id` and `actor` to the log records of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        if request_id.get():
            record.request_id, record.actor = request_id.get(), actor.get()
        return True
