"""Receive the users files that browsers send."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from anyscale.errors import RequestInvalid, TooLarge
from anyscale.server.background.memory_budget import MIB, MemoryBudget
from anyscale.server.background.upload import Upload
from anyscale.server.http.authentication import require_permission_still
from anyscale.server.http.dependencies import AnyRequest, UserRequest

#: octets of a file
MAX_FILE = 64 * MIB

#: octets of a body: a form has some fields besides the file
MAX_UPLOAD = MAX_FILE + 64 * 1024

#: Seconds without an octet, and seconds of a whole body, after which an upload ends: the browser of
#: a laptop that sleeps would hold its memory for hours.
_PART_SECONDS = 30.0
_BODY_SECONDS = 600.0

#: Octets a second that a body brings at least, after its first `_PART_SECONDS`: those of a slow
#: telephone. Some octets now and then would hold memory for the whole of `_BODY_SECONDS`.
_LEAST_RATE = 16 * 1024

#: seconds after which the session of an upload is looked at again
_SESSION_SECONDS = 10.0

#: octets of a field besides the file, and of the choices for all columns of a table
_FIELD, _COLUMNS = 2_000, 32_000

#: parts of a form: it has one for each column of a table
_PARTS = 256

_TOO_LARGE = "the file has more than 64 MB"
_TOO_SLOW = "The file did not arrive in time, and nothing was done with it. Send it again"


@asynccontextmanager
async def receive_upload(
    request: UserRequest, budget: MemoryBudget, fields: dict[str, str]
) -> AsyncIterator[Upload]:
    """Receive the file of a request; an error lets it go, and so does the end of the block.

    A run that continues with the file after the response has set `is_kept`, and closes it.

    Args:
        request: a form.
        budget: of the process.
        fields: receives the other fields, as far as they have arrived.

    Raises:
        TooLarge: it has more than `MAX_FILE` octets; no more than the headers was read.
        Overloaded: there is no memory for it.
        RequestInvalid: it has no file, or it did not arrive in time.
        NotAuthenticated, NotPermitted: the permission has ended before the file arrived.
    """
    size = _announced_size(request)
    user_id = request.user.account.user_id
    await budget.take(size, user_id)
    upload = Upload(budget, size, fields, user_id)
    try:
        await _read(request, upload)
        if upload.content.tell() > MAX_FILE:
            raise TooLarge(_TOO_LARGE)
        if not upload.has_file:
            raise RequestInvalid("choose a users file")
        upload.content.seek(0)
        yield upload
    finally:
        if not upload.is_kept:
            upload.close()


def _announced_size(request: AnyRequest) -> int:
    size = request.content_length
    if size is None:
        raise RequestInvalid("the request does not say how large the file is")
    if size > MAX_UPLOAD:
        raise TooLarge(_TOO_LARGE)
    return size


async def _read(request: AnyRequest, upload: Upload) -> None:
    kind, parameters = request.content_type
    if kind != "multipart/form-data" or not parameters.get("boundary"):
        raise RequestInvalid("this requires a users file")
    form = _Form(upload)
    try:
        with PushMultipartParser(parameters["boundary"], max_segment_count=_PARTS) as parser:
            async for part in _parts(request):
                for event in parser.parse(part):
                    form.take(event)
    except MultipartError:
        raise RequestInvalid("the form cannot be read") from None


async def _parts(request: AnyRequest) -> AsyncIterator[bytes]:
    """Yield the parts of a body; raise as `receive_upload` does."""
    parts = aiter(request.stream())
    now = asyncio.get_running_loop().time
    start = looked_at = now()
    octets = 0
    while True:
        try:
            async with asyncio.timeout_at(min(now() + _PART_SECONDS, start + _BODY_SECONDS)):
                part = await anext(parts, None)
        except TimeoutError:
            raise RequestInvalid(_TOO_SLOW) from None
        if part is None:
            return
        octets += len(part)
        if octets < (now() - start - _PART_SECONDS) * _LEAST_RATE:
            raise RequestInvalid(_TOO_SLOW)
        if now() - looked_at > _SESSION_SECONDS:
            looked_at = now()
            await require_permission_still(request)
        yield part


@asynccontextmanager
async def abandoned_with(request: AnyRequest, upload: Upload) -> AsyncIterator[None]:
    """Let the reading of a file stop in the block if the client closes its request."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        upload.content.is_abandoned = True

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


class _Form(Struct):
    """Sorts the events of the parser into the file and the fields."""

    upload: Upload
    segment: MultipartSegment | None = None
    text: bytearray = bytearray()
    #: those of the parts before
    columns: str = ""

    def take(self, event: Any) -> None:
        """Take an event: the start of a segment, a part of it, or None at its end."""
        if isinstance(event, MultipartSegment):
            self.segment, self.text = event, bytearray()
            self.columns = self.upload.fields.get("columns", "")
            if event.name == "file":
                self.upload.fields["name"] = event.filename or ""
        elif event is not None and self.segment and self.segment.name == "file":
            self.upload.content.write(event)
        elif event is not None and self.segment and self.segment.name != "name":
            self.text += event
            self._store(self.segment.name, self.text.decode("utf-8", "replace"))

    def _store(self, name: str, text: str) -> None:
        fields, most = self.upload.fields, _FIELD
        if name == "columns":
            text, most = f"{self.columns}{text}\n", _COLUMNS
        fields[name] = text
        # A list of columns that is cut would say something else.
        if len(text) > most:
            raise RequestInvalid(f"a field of the form has more than {most:,} characters")
