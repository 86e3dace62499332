"""HTML forms: their fields, and the messages about them."""

import math
import os
import re
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qsl

from litestar.params import QueryParameter

from anyscale.errors import (
    AnyscaleError,
    Overloaded,
    RequestInvalid,
    SeedKeyMissing,
    TooManyFailedLogins,
    TooManyPasswordResets,
    TooManyWrongCodes,
)
from anyscale.server.http.dependencies import AnyRequest
from anyscale.server.http.refusals import count_refusal, retry_after

_MEDIA_TYPE = "application/x-www-form-urlencoded"

#: fields of a form; ours have the accounts of a page at most, which are 50
_FIELD_LIMIT = 64

_MINUTE = 60

_NUMBER = re.compile("[0-9]{1,15}")
_FORM_KEY = re.compile("[0-9a-f]{32}")

#: the key of a form in an address, or an empty text
OptionalFormKey = Annotated[str, QueryParameter(pattern=f"^({_FORM_KEY.pattern})?$")]


def read_form(request: AnyRequest, body: bytes, *fields: str) -> list[str]:
    """Read the fields of a form; a missing one is empty. Raise `RequestInvalid` without a form."""
    values = dict(read_pairs(request, body))
    return [values.get(field, "") for field in fields]


def read_number(request: AnyRequest, body: bytes, field: str) -> int:
    """Return a number of a form; 0 for another text."""
    (text,) = read_form(request, body, field)
    return int(text) if _NUMBER.fullmatch(text) else 0


def new_form_key() -> str:
    """Return the key of a form that is shown now: what it creates has this key."""
    return os.urandom(16).hex()


def read_form_key(request: AnyRequest, body: bytes) -> str:
    """Return the key of a form, which may arrive twice; a new one for a form without a key."""
    (key,) = read_form(request, body, "form_key")
    return form_key_or_new(key)


def form_key_or_new(key: str) -> str:
    """Return the key of a form, or a new one instead of another text."""
    return key if _FORM_KEY.fullmatch(key) else new_form_key()


def read_texts(request: AnyRequest, body: bytes, field: str) -> list[str]:
    """Read all texts of a field that a form may have often. Raise `RequestInvalid` as above."""
    return [text for name, text in read_pairs(request, body) if name == field]


def is_form(request: AnyRequest) -> bool:
    """Whether the body of a request is a form without files."""
    return request.content_type[0] == _MEDIA_TYPE


def read_pairs(request: AnyRequest, body: bytes) -> list[tuple[str, str]]:
    """Return the fields of a form in their order. Raise `RequestInvalid` as above."""
    if not is_form(request):
        raise RequestInvalid(f"this requires a form ({_MEDIA_TYPE})")
    return _pairs(body)


def query_pairs(request: AnyRequest) -> list[tuple[str, str]]:
    """Return the parameters of a query in their order. Raise `RequestInvalid` as above."""
    return _pairs(request.scope["query_string"])


def _pairs(encoded: bytes) -> list[tuple[str, str]]:
    try:
        text = encoded.decode("ascii")
        fields = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=_FIELD_LIMIT
        )
    except ValueError:  # also UnicodeDecodeError
        raise RequestInvalid("the fields cannot be read") from None
    if any("\0" in field for pair in fields for field in pair):  # PostgreSQL stores none
        raise RequestInvalid("a NUL character is part of no name, email or id")
    return fields


def refusal(error: AnyscaleError) -> dict[str, Any]:
    """Count a refused form, and return the arguments of a page that shows it.

    Raises:
        AnyscaleError: the error itself, if it is a fault of the server: it has a page of its own.
    """
    # Without a key, the user may show another factor on the same page.
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, SeedKeyMissing):
        raise error
    count_refusal(error)
    return {
        "problem": user_message(error),
        "status": error.status,
        "headers": retry_after(error),
    }


def user_message(error: AnyscaleError) -> str:
    """Return the message for a user whose form is refused."""
    if isinstance(error, TooManyPasswordResets | TooManyWrongCodes):
        return sentence(str(error))
    if isinstance(error, TooManyFailedLogins):
        return f"Too many attempts to sign in. {_try_again(error.retry_after_seconds)}"
    if isinstance(error, Overloaded):
        return "The server is busy. Please try again in a moment."
    return sentence(str(error))


def sentence(text: str) -> str:
    """Return a message with a capital at its start, and a full stop at its end if it has none."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?')) else '.'}"


def _try_again(seconds: float) -> str:
    minutes = math.ceil(seconds / _MINUTE)
    when = "in a minute" if minutes == 1 else f"in {minutes} minutes"
    return f"Please try again {when}, or ask your administrator for a link to set a new password."
