"""Records as a file that the browser saves: CSV or a workbook for spreadsheets, or JSON Lines."""

import csv
import io
from codecs import BOM_UTF8
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, Protocol, get_args

import msgspec
from litestar import Response
from litestar.response import Stream
from msgspec import Struct, structs

from anyscale.domain.models.users import PasswordLink
from anyscale.domain.spreadsheets import spreadsheet_cell
from anyscale.domain.times import day_in_words
from anyscale.server.http.authentication import require_permission_still
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.web import workbook

FileFormat = Literal["csv", "jsonl", "xlsx"]


class Named(Protocol):
    """An account with a name."""

    @property
    def user_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def lastname(self) -> str | None: ...


#: a part of the records, as fields and their values
Rows = Iterable[Mapping[str, Any]]

#: in place of a format: the links are not in a file
BY_MAIL = "mail"

#: of the pages that create links as a file
LINK_NOTES = {"repeated": "This form arrived twice: no link was created by the second one."}

#: a time in UTC, for programs (RFC 3339, 5.6)
_TIME = "%Y-%m-%dT%H:%M:%SZ"

#: in UTF-8; the framework adds that to a text
_MEDIA_TYPES = {
    "csv": "text/csv",
    "jsonl": "application/jsonl; charset=utf-8",
    "xlsx": workbook.MEDIA_TYPE,
}


class RecordsFile(Struct, frozen=True):
    """A file of records."""

    #: without its ending; a constant of this code
    name: str
    format: FileFormat
    fields: tuple[str, ...]
    #: Of the fields in a spreadsheet that people read, whose times are days, since the zone of the
    #: reader is not known. Without them it is for programs too: it has the names of the fields, and
    #: times of RFC 3339.
    headings: tuple[str, ...] = ()

    def response(self, rows: Rows) -> Response[str] | Response[bytes]:
        """Return a whole file."""
        if self.format == "xlsx":
            with workbook.Workbook(self._header) as book:
                whole = book.add(self._cells(rows)) + book.end()
            return Response(whole, status_code=200, **self._options())
        return Response(self._lines(rows), status_code=200, **self._options())

    def stream(self, pages: AsyncIterator[Rows]) -> Stream:
        """Return a file of any length, which is sent page by page."""
        return Stream(self._parts(pages), status_code=200, **self._options())

    async def _parts(self, pages: AsyncIterator[Rows]) -> AsyncIterator[str | bytes]:
        if self.format == "xlsx":
            with workbook.Workbook(self._header) as book:
                async for rows in pages:
                    yield book.add(self._cells(rows))
                yield book.end()
            return
        is_first = True
        async for rows in pages:
            yield self._lines(rows, is_first=is_first)
            is_first = False

    @property
    def _header(self) -> tuple[str, ...]:
        return self.headings or self.fields

    def _cells(self, rows: Rows) -> Iterator[list[str]]:
        """Iterate over the rows of a spreadsheet."""
        for row in rows:
            yield [_text(row[field], is_read=bool(self.headings)) for field in self.fields]

    def _lines(self, rows: Rows, *, is_first: bool = True) -> str:
        if self.format == "csv":
            return _csv_lines(self._header if is_first else (), self._cells(rows))
        # with all texts as they are
        lines = (msgspec.json.encode({name: row[name] for name in self.fields}) for row in rows)
        return "".join(f"{line.decode()}\n" for line in lines)

    def _options(self) -> dict[str, Any]:
        headers = {"Content-Disposition": f'attachment; filename="{self.name}.{self.format}"'}
        return {"media_type": _MEDIA_TYPES[self.format], "headers": headers}


def links_file(file_format: str) -> RecordsFile:
    """Return the file of created links; `file_format` is a field of a form."""
    fields = ("email", "name", "lastname", "url", "expires_at")
    chosen: FileFormat = next((one for one in get_args(FileFormat) if one == file_format), "csv")
    headings = ("Email", "First name", "Last name", "Link", "Works until")
    return RecordsFile("links", chosen, fields, headings)


def link_rows(created: Iterable[PasswordLink], users: Iterable[Named]) -> Rows:
    """Return the rows of links with the names of their users, for the letters that send them."""
    names = {user.user_id: user for user in users}
    for link in created:
        user = names[link.user_id]
        yield structs.asdict(link) | {"name": user.name, "lastname": user.lastname or ""}


async def while_permitted(request: UserRequest, pages: AsyncIterator[Rows]) -> AsyncIterator[Rows]:
    """Give pages until the permission of the caller ends: then the file breaks off."""
    async for rows in pages:
        yield rows
        await require_permission_still(request)


def _csv_lines(header: tuple[str, ...], rows: Iterable[list[str]]) -> str:
    """Write rows as CSV, after a header if there is one; no cell starts a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")  # RFC 4180, 2
    if header:
        buffer.write(BOM_UTF8.decode())  # else Excel reads the text as Windows-1252
        writer.writerow(header)
    writer.writerows(map(spreadsheet_cell, row) for row in rows)
    return buffer.getvalue()


def _text(value: Any, *, is_read: bool) -> str:
    """Return the text of a cell; `is_read` is whether people read it and not programs too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return day_in_words(value) if is_read else format(value, _TIME)
    return "" if value is None else str(value)
