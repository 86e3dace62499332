"""What people fill in, and what they are told about it."""

import math
from typing import Any
from urllib.parse import parse_qsl

from litestar import Request

from anyscale.errors import AnyscaleError, Overloaded, RequestInvalid, TooManyFailedLogins
from anyscale.server.http.metrics import REFUSALS

__all__ = ["form_of", "sentence"]

_KIND = "application/x-www-form-urlencoded"

#: fields of a form; ours have four at most
_MOST = 16

_MINUTE = 60


async def form_of(request: Request[Any, Any, Any], *fields: str) -> list[str]:
    """Read the fields of a form; one that is missing is empty.

    Raises:
        RequestInvalid: it is no form.
    """
    if request.content_type[0] != _KIND:
        raise RequestInvalid(f"this takes a form ({_KIND})")
    try:
        text = (await request.body()).decode("ascii")
        filled = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST)
    except ValueError:  # also what is no text
        raise RequestInvalid("the form cannot be read") from None
    return [dict(filled).get(field, "") for field in fields]


def sentence(error: AnyscaleError) -> str:
    """Say to a person why something was refused, and count it as the calls do."""
    REFUSALS.labels(error.code).inc()
    if isinstance(error, TooManyFailedLogins):
        return f"Too many wrong passwords. {_again(error.retry_after_seconds)}"
    if isinstance(error, Overloaded):
        return "Many people are signing in right now. Please try again in a moment."
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _again(seconds: float) -> str:
    minutes = math.ceil(seconds / _MINUTE)
    when = "in a minute" if minutes == 1 else f"in {minutes} minutes"
    return f"Please try again {when}, or ask your administrator for a link to set a new password."
