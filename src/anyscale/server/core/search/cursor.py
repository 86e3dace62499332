"""Cursors: the end of a page of accounts, as a text that the next call sends back.

A cursor has no secret and no signature: a caller who changes one gets other pages of a list that
the caller may read anyway.
"""

import base64
import hashlib
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from anyscale.domain.user_query import UserQuery
from anyscale.errors import RequestInvalid

#: Characters of a cursor, at most. The key of a step may be a word of 256 characters.
MAX_CURSOR = 4_096

#: what both databases can store
_Text = Annotated[str, Meta(pattern=r"\A[^\0]*\Z")]
_Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]

#: The key after which a step continues; empty at its beginning.
Key = tuple[_Text | _Number, ...]

Checked = TypeVar("Checked")


class PagePosition(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The end of a page."""

    #: the index of the current step; the steps of a query find its accounts one after the other
    step: _Number = 0
    #: of the last account that this step has returned, or of the end of a block
    key: Key = ()
    #: The last account whose words were indexed at the first page: its publication, and its
    #: position in the batch.
    watermark: tuple[_Number, _Number] = (0, 0)
    #: How many accounts were beyond it. Stored, since to count 100,000 small batches takes 50 ms.
    unindexed: _Number = 0


class _Version(Struct, frozen=True, array_like=True):
    """The first field of the cursors of all versions."""

    version: int


class _Cursor(Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    digest: bytes
    position: PagePosition


#: Raise it with each change of what a cursor contains or stands for: `PagePosition`, the steps of a
#: query, their order or their keys. Servers of two versions can serve the pages of one list.
_VERSION = 4
_UNKNOWN = "is not one that a control plane has returned"


def encode_cursor(position: PagePosition, query: UserQuery) -> str:
    """Return the cursor of a position."""
    content = msgspec.msgpack.encode(_Cursor(_VERSION, _digest(query), position))
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def decode_cursor(cursor: str, query: UserQuery) -> PagePosition:
    """Return the position of a cursor.

    Raises:
        RequestInvalid: it is not a cursor of this version, or one of another query.
    """
    if len(cursor) > MAX_CURSOR:
        raise _wrong(_UNKNOWN)
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        if msgspec.msgpack.decode(content, type=_Version).version != _VERSION:
            raise _wrong("is one of another version")
        decoded = msgspec.msgpack.decode(content, type=_Cursor)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        raise _wrong(_UNKNOWN) from None
    if decoded.digest != _digest(query):
        raise _wrong("belongs to other filters or another search")
    return decoded.position


def key_of(kind: type[Checked], key: Key) -> Checked:
    """Return a key as the tuple that a step has, or raise `RequestInvalid`."""
    try:
        return msgspec.convert(key, kind)
    except msgspec.ValidationError:
        raise _wrong(_UNKNOWN) from None


def _digest(query: UserQuery) -> bytes:
    return hashlib.sha256(msgspec.msgpack.encode(query)).digest()[:8]


def _wrong(reason: str) -> RequestInvalid:
    return RequestInvalid(f"cursor {reason}: start again with an empty cursor")
