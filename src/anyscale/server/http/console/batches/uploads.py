"""Users files that browsers send. They are kept in memory alone: they may contain passwords."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from msgspec import Struct
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from anyscale.domain.validation import FIELDS
from anyscale.errors import Overloaded, RequestInvalid, TooLarge
from anyscale.server.http.dependencies import AnyRequest
from anyscale.users_file import FORMATS, format_of
from anyscale.users_file.csv_header import chosen_columns, require_csv

__all__ = [
    "CHOICES",
    "MAX_UPLOAD",
    "FilePlaces",
    "Upload",
    "receive_upload",
    "too_large",
]

MIB = 1024 * 1024

#: octets of a file
MAX_FILE = 64 * MIB

#: what the fields of a form choose from: the formats with their names, and the fields of columns
CHOICES: dict[str, Any] = {
    "formats": [
        ("", "By the name of the file"),
        *((name, one.label) for name, one in FORMATS.items()),
    ],
    "fields": FIELDS,
}

#: octets of a body: a form has some fields besides the file
MAX_UPLOAD = MAX_FILE + 64 * 1024

#: Octets of files that a process holds: large ones, and those up to a MiB, which have places of
#: their own, so that long runs of large files lock nobody out.
_LARGE, _SMALL = 120 * MIB, 8 * MIB
_SMALL_FILE = MIB + 64 * 1024

#: seconds that a request waits for a place
_WAIT_SECONDS = 30.0
_RETRY_SECONDS = 30.0

#: Seconds without an octet, and seconds of a whole body, after which an upload ends: the browser of
#: a laptop that sleeps would hold its place for hours.
_PART_SECONDS = 30.0
_BODY_SECONDS = 600.0

#: Octets of a field besides the file. Percent-encoded they are up to three times as many, and
#: proxies allow about 8 KiB for the address that has the fields.
_FIELD = 2_000

_OCTETS = "application/octet-stream"

#: fields that a script sends in the address
_FIELDS = ("name", "format", "columns", "if_exists", "key", "as")

_TOO_SLOW = "The file did not arrive in time, and nothing was done with it. Send it again"
_FULL = "The server works on other large files. Your file was not read: try again in a moment."


class FilePlaces:
    """The memory for files of a process. It belongs to the event loop."""

    def __init__(self, small: int = _SMALL) -> None:
        self._free = {False: _LARGE, True: small}
        self._changed = asyncio.Condition()
        #: two checks at a time, so that they leave threads to other requests that read
        self.reading: Final = asyncio.Semaphore(2)

    async def take(self, size: int) -> None:
        """Take a place for so many octets, as soon as there is one.

        Raises:
            Overloaded: there was none for 30 seconds.
        """
        is_small = size <= _SMALL_FILE
        try:
            async with asyncio.timeout(_WAIT_SECONDS), self._changed:
                await self._changed.wait_for(lambda: self._is_free(size))
                self._free[is_small] -= size
        except TimeoutError:
            raise Overloaded(_FULL, _RETRY_SECONDS) from None

    def _is_free(self, size: int) -> bool:
        return self._free[size <= _SMALL_FILE] >= size

    async def give_back(self, size: int) -> None:
        """Give a place back."""
        async with self._changed:
            self._free[size <= _SMALL_FILE] += size
            self._changed.notify_all()


class Upload:
    """A file in memory, and the fields of its form. Its `repr` shows neither."""

    def __init__(self, places: FilePlaces, size: int, fields: dict[str, str]) -> None:
        self.content: Final = io.BytesIO()
        self.fields = fields
        #: whether a run closes it
        self.is_kept = False
        self._places = places
        self._size = size
        self._loop = asyncio.get_running_loop()
        self._is_closed = False

    @property
    def has_file(self) -> bool:
        """Whether a file was chosen."""
        return bool(self.fields.get("name")) or bool(self.content.getbuffer().nbytes)

    @property
    def name(self) -> str:
        """The name of the file as the browser sent it."""
        return self.fields.get("name") or "users"

    @property
    def format(self) -> str:
        """The format that the user chose, else the one of the name."""
        chosen = self.fields.get("format", "")
        return chosen if chosen in FORMATS else format_of(self.name)

    @property
    def columns(self) -> dict[str, str]:
        """The fields that the user chose for columns, as `UsersFile` takes them.

        Raises:
            ConfigError: a line is wrong, or the file is no CSV.
        """
        lines = map(str.strip, self.fields.get("columns", "").splitlines())
        columns = chosen_columns(filter(None, lines))
        if columns:
            require_csv(self.name, self.format, "choose the format CSV")
        return columns

    @property
    def left_out(self) -> list[str]:
        """The columns that the user leaves out, as the form names them."""
        lines = map(str.strip, self.fields.get("columns", "").splitlines())
        return [line[:-1].rstrip() for line in lines if line.endswith("=")]

    @property
    def if_exists(self) -> str:
        """`skip` or `fail`."""
        return "skip" if self.fields.get("if_exists") == "skip" else "fail"

    def is_same_as(self, other: "Upload") -> bool:
        """Whether both have the same octets and are read in the same way; both must be open."""
        reading = (self.format, self.columns) == (other.format, other.columns)
        return reading and self.content.getvalue() == other.content.getvalue()

    def close(self) -> None:
        """Let the file go, and give its place back; from any thread."""
        if self._is_closed:
            return
        self._is_closed = True
        self.content.close()
        if not self._loop.is_closed():
            give_back = partial(self._places.give_back, self._size)
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(give_back()))


@asynccontextmanager
async def receive_upload(
    request: AnyRequest, places: FilePlaces, fields: dict[str, str]
) -> AsyncIterator[Upload]:
    """Receive the file of a request; an error lets it go, and so does the end of the block.

    A run that goes on with the file after the response has set `is_kept`, and closes it.

    Args:
        request: has the file as its body and the fields in its address, or is a form of both.
        places: of the process.
        fields: receives the other fields, as far as they have arrived.

    Raises:
        TooLarge: it has more than `MAX_FILE` octets; no more than the headers was read.
        Overloaded: there is no memory for it.
        RequestInvalid: it is no file, or it did not arrive in time.
    """
    if request.content_type[0] == _OCTETS:
        fields.update({name: request.query_params.get(name, "") for name in _FIELDS})
    size = _announced_size(request)
    await places.take(size)
    upload = Upload(places, size, fields)
    try:
        await _read(request, upload)
        if upload.content.tell() > MAX_FILE:
            raise TooLarge(too_large(request))
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
        raise TooLarge(too_large(request))
    return size


def too_large(request: AnyRequest) -> str:
    """Return the words about a file of more than `MAX_FILE` octets."""
    host = request.app.state.account_page.host(request)
    return (
        f"The file has more than 64 MiB. Use the command for it: anyscale user batch-create -f FILE"
        f" --host {host}. Its options --format, --column and --if-exists are the fields of this"
        " page"
    )


async def _read(request: AnyRequest, upload: Upload) -> None:
    kind, parameters = request.content_type
    if kind == _OCTETS:
        for field in upload.fields.values():
            _check_length(field.encode())
        async for part in _parts(request):
            upload.content.write(part)
    elif kind == "multipart/form-data" and parameters.get("boundary"):
        await _read_form(request, upload, parameters["boundary"])
    else:
        raise RequestInvalid("this takes a users file")


def _check_length(field: bytes | bytearray) -> None:
    # A list of columns that is cut would say something else.
    if len(field) > _FIELD:
        raise RequestInvalid(f"a field of the form has more than {_FIELD:,} octets")


async def _parts(request: AnyRequest) -> AsyncIterator[bytes]:
    """Yield the parts of a body; raise `RequestInvalid` if it takes too long."""
    parts = aiter(request.stream())
    now = asyncio.get_running_loop().time
    end = now() + _BODY_SECONDS
    while True:
        try:
            async with asyncio.timeout_at(min(now() + _PART_SECONDS, end)):
                part = await anext(parts, None)
        except TimeoutError:
            raise RequestInvalid(_TOO_SLOW) from None
        if part is None:
            return
        yield part


async def _read_form(request: AnyRequest, upload: Upload, boundary: str) -> None:
    form = _Form(upload)
    try:
        with PushMultipartParser(boundary, max_segment_count=16) as parser:
            async for part in _parts(request):
                for event in parser.parse(part):
                    form.take(event)
    except MultipartError:
        raise RequestInvalid("the form cannot be read") from None


class _Form(Struct):
    """Sorts the events of the parser into the file and the fields."""

    upload: Upload
    segment: MultipartSegment | None = None
    text: bytearray = bytearray()

    def take(self, event: Any) -> None:
        """Take an event: the start of a segment, a part of it, or None at its end."""
        if isinstance(event, MultipartSegment):
            self.segment, self.text = event, bytearray()
            if event.name == "file":
                self.upload.fields["name"] = event.filename or ""
        elif event is not None and self.segment and self.segment.name == "file":
            self.upload.content.write(event)
        elif event is not None:
            self.text += event
            _check_length(self.text)
        elif self.segment and self.segment.name not in ("file", "name"):
            self.upload.fields[self.segment.name] = self.text.decode("utf-8", "replace")
