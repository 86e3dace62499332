"""The context of a request: its id and its actor, on every log line that the request writes.

The context is a context variable: code that a request calls finds it without an argument, also in
the worker threads of `ThreadPools`.
"""

import logging
from contextvars import ContextVar
from dataclasses import dataclass

__all__ = ["RequestContextFilter", "current_actor", "request_id", "set_actor", "start_request"]


@dataclass(slots=True)
class _RequestContext:
    request_id: str
    #: the caller as the audit log names it; None before authentication
    actor: str | None = None


_current: ContextVar[_RequestContext | None] = ContextVar("request", default=None)


def start_request(request_id: str) -> None:
    """Begin a context, which ends with the task that handles the request."""
    _current.set(_RequestContext(request_id))


def request_id() -> str:
    """Return the id of the request, which its response has in `X-Request-Id`; empty outside one."""
    context = _current.get()
    return context.request_id if context else ""


def current_actor() -> str | None:
    """Return the caller of the request as the audit log names it; None if it is not known."""
    context = _current.get()
    return context.actor if context else None


def set_actor(actor: str) -> None:
    """Record the caller of the request, once it is authenticated."""
    if context := _current.get():
        context.actor = actor


class RequestContextFilter(logging.Filter):
    """Adds `request_id` and `actor` to the log records of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        if context := _current.get():
            record.request_id = context.request_id
            record.actor = context.actor
        return True
