"""Request bodies: their size, and decoding as JSON."""

from typing import TypeVar

import msgspec

from anyscale.errors import RequestInvalid

__all__ = ["DECODE_ERRORS", "SMALL_BODY", "decode", "invalid_body"]

Body = TypeVar("Body")

#: Octets of a body that any client may send: the longest password and email fit, escaped as JSON.
SMALL_BODY = 16 * 1024

#: What msgspec raises for a body that it cannot decode.
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def decode(body: bytes, kind: type[Body]) -> Body:
    """Decode a body, or raise `RequestInvalid` if it is not JSON of this type."""
    try:
        return msgspec.json.decode(body, type=kind)
    except DECODE_ERRORS as error:
        raise invalid_body(error) from None


def invalid_body(error: Exception) -> RequestInvalid:
    """Create the error for a body that cannot be decoded."""
    return RequestInvalid(f"the body is not what this call takes: {error}")
