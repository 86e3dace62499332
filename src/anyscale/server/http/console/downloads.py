"""Records as a file that the browser saves: CSV for spreadsheets, or JSON Lines."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from anyscale.domain.spreadsheets import spreadsheet_cell

__all__ = ["LINK_NOTES", "FileFormat", "csv_lines", "file_headers", "json_lines", "media_type"]

FileFormat = Literal["csv", "jsonl"]

#: of the pages that create links as a file
LINK_NOTES = {"repeated": "This form arrived twice: no link was created by the second one."}

_MEDIA_TYPES = {"csv": "text/csv", "jsonl": "application/jsonl; charset=utf-8"}


def media_type(file_format: FileFormat) -> str:
    """Return the media type of a format, in UTF-8; the framework adds that to a text."""
    return _MEDIA_TYPES[file_format]


def file_headers(name: str, file_format: FileFormat) -> dict[str, str]:
    """Return the headers of a file; `name` is a constant of this code."""
    return {"Content-Disposition": f'attachment; filename="{name}.{file_format}"'}


def csv_lines(fields: Sequence[str], rows: Iterable[Mapping[str, Any]], *, header: bool) -> str:
    """Write rows as CSV, with their names first or not; no cell starts a formula."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")  # RFC 4180, 2
    if header:
        writer.writerow(fields)
    writer.writerows([spreadsheet_cell(_text(row[field])) for field in fields] for row in rows)
    return buffer.getvalue()


def json_lines(fields: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows as JSON Lines, with all texts as they are."""
    lines = (msgspec.json.encode({field: row[field] for field in fields}) for row in rows)
    return "".join(f"{line.decode()}\n" for line in lines)


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:%Y-%m-%dT%H:%M:%SZ}" if isinstance(value, datetime) else value
