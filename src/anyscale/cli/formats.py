"""Standard output: data, as text, JSON, JSON Lines, YAML or CSV.

Each `write_...` returns whether all was written. It was not if the reader has closed the pipe, as
`... | head` does, or the shell has closed standard output (`>&-`): the command continues, since its
work and its exit status do not depend on a reader. Only a command whose output is lost then, such
as a secret, looks at it.
"""

import io
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final, TypeVar
from unicodedata import combining, east_asian_width

import click

from anyscale.cli.terminal import escaped, is_null_stream, null_stream, say
from anyscale.domain.spreadsheets import spreadsheet_cell

Record = TypeVar("Record")


class OutputLost(Exception):
    """Standard output could not be written."""


def write_json(value: Any) -> bool:
    """Write one JSON document."""
    from msgspec import json

    return write_pieces([json.format(json.encode(value), indent=2).decode() + "\n"])


def write_record(
    record: Any, fields: Iterable[str], output: str, labels: Mapping[str, str] | None = None
) -> bool:
    """Write fields of one record: one document in JSON and YAML, else as a list of one.

    As text, each field is a line; `labels` are for names that say too little.

    Raises:
        OutputLost: standard output could not be written.
    """
    values = {field: getattr(record, field) for field in fields}
    if output == "json":
        return write_json(values)
    if output == "yaml":
        return write_pieces([_pairs(values, "\n") + "\n"])
    if output != "text":
        return write_pieces(_WRITERS[output]([values], list(values)))
    names = labels or {}
    return write_text(
        f"{names.get(field, field.replace('_', ' '))}: {_line_value(value)}"
        for field, value in values.items()
    )


def _line_value(value: Any) -> str:
    return f"{_shown(value)} UTC" if hasattr(value, "hour") else _shown(value)


def write_text(lines: Iterable[str]) -> bool:
    """Write lines, which may have the text of a server or a database."""
    return write_pieces(f"{escaped(line)}\n" for line in lines)


def write_records(records: Iterable[Any], fields: Sequence[str], output: str) -> bool:
    """Write the fields of records, one record at a time: a million of them take no memory.

    Raises:
        OutputLost: standard output could not be written.
    """
    rows = ({field: getattr(record, field) for field in fields} for record in records)
    return write_pieces(_WRITERS[output](rows, fields))


def with_notice_if_empty(records: Iterator[Record], notice: str) -> Iterator[Record]:
    """Iterate over records; without any, say so, since a header by itself looks like a fault."""
    first = next(records, None)
    if first is None:
        say(notice)
    else:
        yield first
        yield from records


def require_written(is_written: bool) -> None:
    """Raise `OutputLost` if the result of a `write_...` says that nobody has read the output."""
    if not is_written:
        raise OutputLost("nothing reads it")


Rows = Iterable[dict[str, Any]]


def _json_text(value: Any) -> str:
    from msgspec import json  # the help of a command writes no data

    return json.encode(value).decode()


def _json(rows: Rows, _fields: Sequence[str]) -> Iterable[str]:
    separator = "[\n  "
    for row in rows:
        yield separator + _json_text(row)
        separator = ",\n  "
    yield "[]\n" if separator.startswith("[") else "\n]\n"


def _jsonl(rows: Rows, _fields: Sequence[str]) -> Iterable[str]:
    for row in rows:
        yield _json_text(row) + "\n"


def _yaml(rows: Rows, _fields: Sequence[str]) -> Iterable[str]:
    row = None
    for row in rows:
        yield "- " + _pairs(row, "\n  ") + "\n"
    if row is None:
        yield "[]\n"


def _pairs(row: dict[str, Any], separator: str) -> str:
    # A JSON string is a YAML string in double quotes, so no value can be misread.
    texts = ((field, _not_in_yaml.sub(_escape, _json_text(value))) for field, value in row.items())
    return separator.join(f"{field}: {text}" for field, text in texts)


#: characters that JSON has as they are, and YAML (1.2.2, 5.1) only escaped
_not_in_yaml = re.compile("[\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]|[\x85\u2028\u2029]")


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _csv(rows: Rows, fields: Sequence[str]) -> Iterable[str]:
    import csv

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(fields)
    for row in rows:
        writer.writerow(spreadsheet_cell(_cell(value)) for value in row.values())
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat().replace("+00:00", "Z") if hasattr(value, "isoformat") else value


def _table(rows: Rows, fields: Sequence[str]) -> Iterable[str]:
    lines = (tuple(map(_shown, row.values())) for row in rows)
    # As wide as the first rows need, so that a long list begins at once; later rows may be wider.
    head = [tuple(map(_title, fields)), *islice(lines, 200)]
    widths = [max(map(_columns, column)) for column in zip(*head, strict=True)]
    for cells in chain(head, lines):
        padded = (c + " " * (width - _columns(c)) for c, width in zip(cells, widths, strict=True))
        yield "  ".join(padded).rstrip() + "\n"


def _title(field: str) -> str:
    title = field.upper().replace("_", " ")
    return f"{title} (UTC)" if field == "time" or field.endswith(("_at", "_on")) else title


def _columns(text: str) -> int:
    """Count the columns of a text on a terminal: East Asian wide characters take two."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 1 + (east_asian_width(c) in "WF") for c in text)


def _shown(value: Any) -> str:
    if hasattr(value, "hour"):  # a time; a day is as in JSON
        return str(value.strftime("%Y-%m-%d %H:%M:%S"))
    if isinstance(value, list):
        return escaped(", ".join(value)) or "-"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "-" if value is None else escaped(str(_cell(value)))


_WRITERS = {"text": _table, "json": _json, "jsonl": _jsonl, "yaml": _yaml, "csv": _csv}

output_option: Final = click.option(
    "-o",
    "--output",
    type=click.Choice(list(_WRITERS)),
    default="text",
    show_default=True,
    help="The format of the data on standard output.",
)


#: characters that may control a terminal; an escape of JSON is the same text
_controls = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def write_pieces(pieces: Iterable[str]) -> bool:
    """Write texts one after the other, until the reader closes the pipe.

    They may have the text of a server or a database: what may control a terminal is escaped.

    Raises:
        OutputLost: standard output could not be written.
    """
    try:
        for piece in pieces:
            sys.stdout.write(_controls.sub(_escape, piece))
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = null_stream()
        return False
    except OSError as error:
        # Python would flush standard output once more at exit, and print an error.
        sys.stdout = null_stream()
        raise OutputLost(error.strerror or str(error)) from error
    return not is_null_stream(sys.stdout)
