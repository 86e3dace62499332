"""Request bodies: their size, and decoding as JSON."""

import re
from itertools import islice
from typing import TypeVar

import msgspec

from anyscale.domain.schemas.protocol import DECODE_ERRORS
from anyscale.domain.validation import Policy
from anyscale.errors import RequestInvalid, TooLarge

Body = TypeVar("Body")

#: Octets of a body that any client may send: the longest password and email fit, escaped as JSON.
SMALL_BODY = 16 * 1024

_CHUNK_USERS = Policy().chunk_users

#: Tokens of a body, at most. Each value has one; a user with all fields has about 30.
_MAX_TOKENS = 40 * _CHUNK_USERS

# A text without an end is a token up to the end of the body: else each quote in it is another try.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{,]', re.DOTALL)


def decode(body: bytes, kind: type[Body]) -> Body:
    """Decode a body.

    Raises:
        RequestInvalid: it is not JSON of this type.
        TooLarge: it has more values than a chunk of users.
    """
    check_value_count(body)
    try:
        return msgspec.json.decode(body, type=kind)
    except DECODE_ERRORS as error:
        raise invalid_body(error) from None


def check_value_count(body: bytes) -> None:
    """Raise `TooLarge` if a body has more values than a chunk of users.

    Decoded values may take 30 times the memory of the body, so they are counted before.
    """
    # This counts the octets in texts as well, but takes a fiftieth of the time.
    if len(body) - len(body.translate(None, b"[{,")) <= _MAX_TOKENS:
        return
    if sum(1 for _ in islice(_TOKEN.finditer(body), _MAX_TOKENS + 1)) > _MAX_TOKENS:
        raise TooLarge(f"the body has more values than a chunk of {_CHUNK_USERS} users")


def invalid_body(error: Exception) -> RequestInvalid:
    """Create the error for a body that cannot be decoded."""
    return RequestInvalid(f"the body is not what this call accepts: {error}")
