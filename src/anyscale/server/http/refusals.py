"""Refused requests: they are counted, and say when to repeat them."""

import math

from anyscale.errors import AnyscaleError, Overloaded
from anyscale.server.http.metrics import REFUSALS


def count_refusal(error: AnyscaleError) -> None:
    """Count a request that is refused with an error of ours, by its code."""
    REFUSALS.labels(error.code).inc()


def retry_after(error: AnyscaleError) -> dict[str, str]:
    """Return the header that says when to repeat a request, if the error knows."""
    if isinstance(error, Overloaded):
        return {"Retry-After": str(math.ceil(error.retry_after_seconds))}
    return {}
