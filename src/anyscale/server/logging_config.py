"""The log of a server: one JSON object a line, on standard error."""

import logging
import sys
import time
from typing import TextIO

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from anyscale.server.http.request_context import RequestContextFilter

__all__ = ["configure_logging", "log_handler"]


def configure_logging() -> None:
    """Write the log lines of the server and of uvicorn to standard error."""
    # No line has these, and looking them up takes a tenth of the time of a line.
    logging.logThreads = logging.logMultiprocessing = False
    logging.basicConfig(handlers=[log_handler(sys.stderr)], level=logging.INFO, force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").disabled = True
    # It would write a line for each request to the identity provider.
    logging.getLogger("httpx").setLevel(logging.WARNING)


def log_handler(stream: TextIO) -> logging.Handler:
    """Create the handler that writes records as JSON lines, with the context of their request."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter())
    handler.addFilter(_prepare)
    handler.addFilter(RequestContextFilter())
    return handler


def _prepare(record: logging.LogRecord) -> bool:
    record.level = record.levelname.lower()
    # Tracebacks contain the texts of errors, which may be personal.
    record.exc_info = record.exc_text = record.stack_info = None
    return True


def _formatter() -> logging.Formatter:
    formatter = JsonFormatter(
        ["asctime", "level", "message", "process"],
        rename_fields={"asctime": "time", "message": "event"},
        reserved_attrs=[*RESERVED_ATTRS, "color_message"],
        json_ensure_ascii=False,
    )
    formatter.converter = time.gmtime
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    return formatter
