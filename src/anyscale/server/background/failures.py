"""The log lines of work without a request that has failed and is repeated."""

import logging

from anyscale.errors import AnyscaleError
from anyscale.server.fault_place import place_of

_log = logging.getLogger("anyscale.server")


def log_failure(name: str, error: Exception) -> None:
    """Log that work has failed. Of a fault of ours the text is left out: it may be personal."""
    if isinstance(error, AnyscaleError):
        _log.error(f"{name} failed", extra={"code": error.code, "detail": str(error)})
    else:
        extra = {"code": type(error).__name__, "place": place_of(error)}
        _log.error(f"{name} failed", extra=extra)
