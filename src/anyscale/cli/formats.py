"""Standard output: data, as text, JSON, JSON Lines, YAML or CSV."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from anyscale.cli.console import null_stream

__all__ = [
    "FORMATS",
    "OutputLost",
    "ReaderLeft",
    "write_json",
    "write_records",
    "write_text",
    "write_yaml",
]

FORMATS = ("text", "json", "jsonl", "yaml", "csv")


class OutputLost(Exception):
    """Standard output could not be written."""


class ReaderLeft(OutputLost):
    """The reader of standard output has closed it early: `... | head`."""


def write_json(value: Any) -> None:
    """Write one JSON document."""
    from msgspec import json

    _write([json.format(json.encode(value), indent=2).decode() + "\n"])


def write_yaml(record: dict[str, Any]) -> None:
    """Write one YAML document of one record."""
    _write([_pairs(record.items(), "\n") + "\n"])


def write_text(lines: Iterable[str]) -> None:
    """Write lines."""
    _write(f"{line}\n" for line in lines)


def write_records(records: Iterable[Any], fields: Sequence[str], output: str) -> None:
    """Write records in a format, one at a time, so that a million of them take no memory.

    Args:
        records: objects that have these fields as attributes.
        fields: names, in the order in which they are written.
        output: one of `FORMATS`; text is a table.

    Raises:
        OutputLost: standard output could not be written.
    """
    rows = (tuple(getattr(record, field) for field in fields) for record in records)
    _write(_WRITERS[output](rows, fields))


Rows = Iterable[tuple[Any, ...]]


def _json(rows: Rows, fields: Sequence[str]) -> Iterable[str]:
    from msgspec import json

    separator = "[\n  "
    for row in rows:
        yield separator + json.encode(dict(zip(fields, row, strict=True))).decode()
        separator = ",\n  "
    yield "[]\n" if separator.startswith("[") else "\n]\n"


def _jsonl(rows: Rows, fields: Sequence[str]) -> Iterable[str]:
    from msgspec import json

    for row in rows:
        yield json.encode(dict(zip(fields, row, strict=True))).decode() + "\n"


def _pairs(record: Iterable[tuple[str, Any]], separator: str) -> str:
    from msgspec import json

    # A JSON string is a YAML string in double quotes, so no value can be misread.
    return separator.join(f"{field}: {json.encode(value).decode()}" for field, value in record)


def _yaml(rows: Rows, fields: Sequence[str]) -> Iterable[str]:
    empty = True
    for row in rows:
        empty = False
        yield "- " + _pairs(zip(fields, row, strict=True), "\n  ") + "\n"
    if empty:
        yield "[]\n"


def _csv(rows: Rows, fields: Sequence[str]) -> Iterable[str]:
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(fields)
    for row in rows:
        writer.writerow(_cell(value) for value in row)
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else value


def _table(rows: Rows, fields: Sequence[str]) -> Iterable[str]:
    from itertools import islice

    rows = iter(rows)
    # As wide as the first rows need, so that a long list begins at once; later rows may be wider.
    head = [tuple(map(_shown, row)) for row in islice(rows, 200)]
    titles = tuple(field.upper().replace("_", " ") for field in fields)
    widths = [max(map(_columns, column)) for column in zip(titles, *head, strict=True)]
    for row in (titles, *head):
        yield _line(row, widths)
    for row in rows:
        yield _line(tuple(map(_shown, row)), widths)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (c + " " * (width - _columns(c)) for c, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip() + "\n"


def _columns(text: str) -> int:
    """Count the columns of a text on a terminal: East Asian wide characters take two."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in text)


def _shown(value: Any) -> str:
    if hasattr(value, "strftime"):
        return str(value.strftime("%Y-%m-%d %H:%M:%S"))
    return "-" if value is None else str(_cell(value))


_WRITERS = {"json": _json, "jsonl": _jsonl, "yaml": _yaml, "csv": _csv, "text": _table}


def _write(pieces: Iterable[str]) -> None:
    try:
        for piece in pieces:
            sys.stdout.write(piece)
        sys.stdout.flush()
    except BrokenPipeError as error:
        sys.stdout = null_stream()
        raise ReaderLeft(error.strerror) from error
    except OSError as error:
        # Python would flush standard output once more at exit, and print an error.
        sys.stdout = null_stream()
        raise OutputLost(error.strerror or str(error)) from error
