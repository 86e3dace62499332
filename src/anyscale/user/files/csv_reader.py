"""Read users from CSV: with `,`, `;` or tabs, and cells of several lines, as spreadsheets write."""

import csv
import re
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from anyscale.user.files.entry_collector import REQUIRED, EntryCollector, Place, PlacedFault, Value
from anyscale.user.files.input_stream import InputStream
from anyscale.user.validation import FIELDS, CheckedUser, shown

__all__ = ["looks_like_csv", "read_csv"]

_FLAGS = {
    "true": True,
    "yes": True,
    "on": True,
    "false": False,
    "no": False,
    "off": False,
    "": False,
}

_HEADER = (
    "the first line must name the columns, name and email among them, separated by commas, "
    f"semicolons or tabs, like {','.join(FIELDS)}"
)

# The line that tells Excel the separator. `_delimiter` finds it in the next line too.
_FOR_EXCEL = re.compile(r'"?sep=."?\s*', re.IGNORECASE).fullmatch

#: the characters of a row of empty cells
_OF_EMPTY_CELLS = ',;\t" \r\n'

# A cell begins and ends with a quote, or it contains no delimiter. The reader of the standard
# library gives no positions, so this pattern finds the same cells again.
_CELLS = {
    delimiter: re.compile(rf'"[^"]*(?:""[^"]*)*"|(?!")[^{delimiter}\r\n]*|').match
    for delimiter in ",;\t"
}


class _Header(NamedTuple):
    """The line that names the columns."""

    columns: list[str]
    #: indexes of columns without a name in which all cells so far are empty
    nameless: set[int]
    delimiter: str


class _Lines:
    """The lines of a file. It keeps those of the current record, to find positions in them."""

    def __init__(self, source: InputStream) -> None:
        self._source = source
        self._record: list[str] = []
        self._next = 1

    def __iter__(self) -> Iterator[str]:
        rest = ""
        for chunk in self._source.pieces():
            *lines, rest = (rest + chunk).split("\n")
            for line in lines:
                self._record.append(line + "\n")
                yield line + "\n"
        if rest:
            self._record.append(rest)
            yield rest

    def take(self) -> tuple[int, str]:
        """Return the line number and the text of the current record; start the next one."""
        first, text = self._next, "".join(self._record)
        self._next += len(self._record)
        self._record = []
        return first, text


def looks_like_csv(line: str) -> bool:
    """Return whether a first line looks like CSV."""
    cells = {_column(cell.strip().strip('"')) for cell in re.split("[,;\t]", line)}
    return cells.issuperset(REQUIRED) or bool(_FOR_EXCEL(line))


def read_csv(source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    """Read the users of a CSV file, in order; problems go to `entries`.

    An empty cell is None, since CSV cannot tell it from an empty text.

    Raises:
        Fatal: the file cannot be read from some place on.
    """
    lines = _Lines(source)
    iterator = iter(lines)
    header, begin = _first_with_text(iterator, lines), 1
    if _FOR_EXCEL(header):
        begin = lines.take()[0] + 1
        header = _first_with_text(iterator, lines)
    if not header:
        raise source.fatal("empty", f"the file has no users: {_HEADER}", begin, 1)
    delimiter = _delimiter(header)
    rows = csv.reader(chain([header], iterator), delimiter=delimiter, strict=True)
    try:
        cells = next(rows)
        first, text = lines.take()
        columns = _columns(cells, first, _starts(first, text, delimiter), source, entries)
        nameless = {at for at, column in enumerate(columns) if not column}
        names = _Header(columns, nameless, delimiter)
        for row in rows:
            first, text = lines.take()
            # Spreadsheets leave rows of empty cells behind.
            if any(row) and (user := _user(row, first, text, names, entries)):
                yield user
    except csv.Error as error:
        first, text = lines.take()
        (broken,) = deque(_starts(first, text, delimiter), maxlen=1)
        raise source.fatal("syntax", _syntax(error), *broken) from None


def _first_with_text(iterator: Iterator[str], lines: _Lines) -> str:
    """Skip rows of empty cells, which spreadsheets may have above the header."""
    while (line := next(iterator, "")) and not line.strip(_OF_EMPTY_CELLS):
        lines.take()
    return line


def _delimiter(header: str) -> str:
    return max(",;\t", key=header.count)


def _column(cell: str) -> str:
    """Return the column name of a cell of the header: files have `Name` and ` EMAIL `."""
    return cell.strip().lower()


def _columns(
    cells: list[str],
    first: int,
    starts: Iterator[Place],
    source: InputStream,
    entries: EntryCollector,
) -> list[str]:
    """Check the header, and return the names of the columns."""
    known = set(FIELDS).intersection(map(_column, cells))
    if _are_names(cells, known):
        _check_names(cells, starts, entries)
    if missing := [field for field in REQUIRED if field not in known]:
        detail = f"there is no column {' and no column '.join(missing)}: {_HEADER}"
        raise source.fatal("columns", detail, first, 1)
    return [_column(cell) for cell in cells]


def _are_names(cells: list[str], known: set[str]) -> bool:
    """Return whether the cells are names. A user in their place may have a password in one."""
    return known.issuperset(REQUIRED) or (bool(known) and not any("@" in cell for cell in cells))


def _check_names(cells: list[str], starts: Iterator[Place], entries: EntryCollector) -> None:
    names = set()
    for cell, start in zip(cells, starts, strict=True):
        column = _column(cell)
        if not column:  # spreadsheets leave such columns behind: see `_check_nameless`
            continue
        if column not in FIELDS:
            mend = f"rename it to one of {', '.join(FIELDS)}, or remove it"
            entries.problem(start, "unknown_key", f"unknown column {shown(cell)}: {mend}")
        elif column in names:
            entries.problem(start, "duplicate_key", f"the column {column!r} is there twice")
        names.add(column)


def _user(
    row: list[str], first: int, text: str, header: _Header, entries: EntryCollector
) -> CheckedUser | None:
    start = Place(first, 1)
    if len(row) != len(header.columns):
        entries.refuse(start, "cells", _cell_count_fault(row, header))
        return None
    starts = list(_starts(first, text, header.delimiter))
    _check_nameless(row, starts, header.nameless, entries)
    places = dict(zip(header.columns, starts, strict=True))
    values: dict[str, Value] = {}
    faults = []
    for field, cell in zip(header.columns, row, strict=True):
        if field not in FIELDS:  # `_check_names` has reported it
            continue
        if field != "is_sso_user":
            values[field] = cell or None
        elif (flag := _FLAGS.get(cell.strip().lower())) is None:
            detail = "must be true or false"
            faults.append(PlacedFault(places[field], field, "type", detail))
        else:
            values[field] = flag
    return entries.finish(start, values, places, faults)


def _cell_count_fault(row: list[str], header: _Header) -> str:
    columns = len(header.columns)
    empty = header.columns.count("")
    header_text = (
        f"names {columns} columns" if not empty else f"has {columns}, {empty} of them empty"
    )
    cells = f"{len(row)} cell{'' if len(row) == 1 else 's'}"
    separator = "a tab" if header.delimiter == "\t" else repr(header.delimiter)
    if empty and len(row) < columns:
        mend = "remove what is empty in the first line"
    elif len(row) < columns:
        mend = f"separate its cells by {separator}, those that are empty too"
    elif any(row[columns:]):
        mend = f"quote a text that holds {separator}"
    else:
        mend = "remove what is empty at its end"
    return f"this row has {cells} and the first line {header_text}; {mend}"


def _check_nameless(
    row: list[str], starts: list[Place], nameless: set[int], entries: EntryCollector
) -> None:
    """Report a column without a name once, at its first cell that is not empty."""
    for at in sorted(at for at in nameless if row[at]):
        nameless.remove(at)
        mend = f"name it one of {', '.join(FIELDS)}, or remove it"
        entries.problem(starts[at], "unknown_key", f"this cell's column has no name: {mend}")


def _starts(first: int, text: str, delimiter: str) -> Iterator[Place]:
    """Iterate over the places of a record's cells, up to the first one that is not valid CSV."""
    line, begin, at = first, 0, 0
    cell = _CELLS[delimiter]
    while match := cell(text, at):
        yield Place(line, at - begin + 1)
        if ends := match[0].count("\n"):
            line, begin = line + ends, text.rfind("\n", 0, match.end()) + 1
        if not text.startswith(delimiter, match.end()):
            return
        at = match.end() + 1


def _syntax(error: csv.Error) -> str:
    reason = str(error)
    if "expected after" in reason:
        return (
            "not valid CSV: the quotes of this cell do not match: "
            'double a quote inside a quoted text ("")'
        )
    if "unexpected end" in reason:
        return "not valid CSV: the quote that opens this cell is never closed"
    if "field larger" in reason:
        return "not valid CSV: this cell is too long, or the quote that opens it is never closed"
    if "new-line" in reason:
        return "not valid CSV: the file has line ends of old Macs (CR): save it with LF or CRLF"
    return f"not valid CSV: {reason}"
