"""The log of a server: one JSON object a line, on standard error."""

import logging
import math
import re
import sys
import time
from http import HTTPStatus
from typing import TextIO

from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from anyscale.errors import AnyscaleError
from anyscale.server.http.request_context import RequestContextFilter

#: seconds during which an error is written once
_REPETITION_SECONDS = 60

#: errors that are remembered: above it, all are forgotten
_MOST_ERRORS = 100

#: characters that JSON has as they are, and that control a terminal or the direction of a text
_odd = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


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
    handler.addFilter(_RepetitionFilter())
    handler.addFilter(_name_cause)
    handler.addFilter(_prepare)
    handler.addFilter(RequestContextFilter())
    return handler


class _RepetitionFilter(logging.Filter):
    """Passes an error with the same details once a minute, with the number of its repetitions.

    While the database is not available, each request and each task reports it.
    """

    def __init__(self) -> None:
        super().__init__()
        #: by event and details: when it was written, and the repetitions since
        self._errors: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        detail = vars(record).get("detail")
        if record.levelno < logging.ERROR or detail is None:
            return True
        if len(self._errors) > _MOST_ERRORS:
            self._errors.clear()
        error = record.getMessage(), str(detail)
        written, repetitions = self._errors.get(error, (-math.inf, 0))
        if record.created - written < _REPETITION_SECONDS:
            self._errors[error] = written, repetitions + 1
            return False
        self._errors[error] = record.created, 0
        if repetitions:
            record.repetitions = repetitions
        return True


def _name_cause(record: logging.LogRecord) -> bool:
    """Let uvicorn's line about a response that breaks off say why.

    It closes the connection, so that the client knows that the file is not whole. A permission that
    ends in the middle is a refusal, and no fault of the server.
    """
    error = _own_error(record.exc_info[1]) if record.exc_info else None
    if error:
        record.msg, record.args, record.code = "response broke off", (), error.code
        if error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def _own_error(error: BaseException | None) -> AnyscaleError | None:
    """Return the error of ours in an exception, its causes or its group."""
    if error is None or isinstance(error, AnyscaleError):
        return error
    inner = error.exceptions if isinstance(error, BaseExceptionGroup) else [error.__cause__]
    return next(filter(None, map(_own_error, inner)), None)


def _prepare(record: logging.LogRecord) -> bool:
    record.level = record.levelname.lower()
    # Tracebacks contain the texts of errors, which may be personal.
    record.exc_info = record.exc_text = record.stack_info = None
    return True


class _Formatter(JsonFormatter):
    """Writes JSON that a terminal can show: any visitor may send the address of an application."""

    def format(self, record: logging.LogRecord) -> str:
        return _odd.sub(lambda found: f"\\u{ord(found[0]):04x}", super().format(record))


def _formatter() -> logging.Formatter:
    formatter = _Formatter(
        ["asctime", "level", "message", "process"],
        rename_fields={"asctime": "time", "message": "event"},
        reserved_attrs=[*RESERVED_ATTRS, "color_message"],
        json_ensure_ascii=False,
    )
    formatter.converter = time.gmtime
    formatter.default_time_format = "%Y-%m-%dT%H:%M:%S"
    formatter.default_msec_format = "%s.%03dZ"
    return formatter
