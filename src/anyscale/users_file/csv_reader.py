"""Read users from CSV: with `,`, `;` or tabs, and cells of several lines, as spreadsheets write."""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any

from anyscale.domain.spreadsheets import unescaped_cell
from anyscale.domain.validation import (
    FIELDS,
    FLAGS,
    NAMED_FIELDS,
    SERVER_FIELDS,
    CheckedUser,
    shown,
)
from anyscale.users_file.csv_header import column_name, columns_of, named_column
from anyscale.users_file.entry_collector import EntryCollector, Place, PlacedFault
from anyscale.users_file.field_words import (
    CSV_BOOLEANS,
    boolean_fault,
    damaged_cell,
    field_of,
    meant_field,
)
from anyscale.users_file.input_stream import InputStream

__all__ = ["looks_like_csv", "read_csv"]

_BOOLEANS = "write true, yes, on or 1, or else false, no, off, 0 or nothing"

_HEADER = (
    "the first line must name the columns, {} among them, separated by commas, "
    f"semicolons or tabs, like {','.join(NAMED_FIELDS)}"
)

_IN_QUOTES = "the quotes around the whole {} make it one cell: remove them"

_SECRETS = ("password", "password_hash")

#: lines below the first one that may be the header, if a title is above it
_BELOW = 10

# The line that tells Excel the separator, which is found in the next line too.
_FOR_EXCEL = re.compile(r'"?sep=."?\s*', re.IGNORECASE).fullmatch

# A cell begins and ends with a quote, or it contains no delimiter. The reader of the standard
# library gives no positions, so this pattern finds the same cells again.
_CELLS = {
    delimiter: re.compile(rf'"[^"]*(?:""[^"]*)*"|(?!")[^{delimiter}\r\n]*|').match
    for delimiter in ",;\t"
}

# part of the standard library's message -> ours
_SYNTAX = {
    "expected after": "the quotes of this cell do not match: "
    'double a quote inside a quoted text ("")',
    "unexpected end": "the quote that opens this cell is never closed",
    "field larger": "this cell is too long, or the quote that opens it is never closed",
    "new-line": "the file has line ends of old Macs (CR): save it with LF or CRLF",
}


def looks_like_csv(line: str, required: Iterable[str]) -> bool:
    """Return whether a first line looks like CSV: it names the required fields, in any language."""
    return _names_all(line, required) or bool(_FOR_EXCEL(line))


def _names_all(line: str, fields: Iterable[str]) -> bool:
    return {field_of(cell) for cell in re.split("[,;\t]", line)}.issuperset(fields)


def read_csv(source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    """Read the users of a CSV file, in order; problems go to `entries`.

    An empty cell is None, since CSV cannot tell it from an empty text.

    Raises:
        Fatal: the file cannot be read from some place on.
    """
    return _CsvReader(source, entries).users()


class _CsvReader:
    def __init__(self, source: InputStream, entries: EntryCollector) -> None:
        self._source = source
        self._entries = entries
        self._header_rule = _HEADER.format(" and ".join(entries.required))
        #: lines of the current record, to find positions in them
        self._record: list[str] = []
        self._next_line = 1
        self._delimiter = ""
        self._columns: list[str] = []
        #: indexes of columns without a name in which all cells so far are empty
        self._nameless: set[int] = set()

    def users(self) -> Iterator[CheckedUser]:
        lines = self._lines()
        header, begin = self._first_with_text(lines), 1
        if _FOR_EXCEL(header):
            self._take()
            begin = self._next_line
            header = self._first_with_text(lines)
        if not header:
            detail = f"the file has no users: {self._header_rule}"
            raise self._source.fatal("empty", detail, begin, 1)
        self._delimiter = max(",;\t", key=header.count)
        rows = csv.reader(chain([header], lines), delimiter=self._delimiter, strict=True)
        try:
            self._read_header(next(rows), lines)
            for row in rows:
                places = self._take()
                if not any(row):  # spreadsheets write rows of empty cells
                    self._entries.blank_rows += 1
                elif user := self._user(row, places):
                    yield user
        except csv.Error as error:
            reason = next((ours for part, ours in _SYNTAX.items() if part in str(error)), error)
            (broken,) = deque(self._take(), maxlen=1)
            raise self._source.fatal("syntax", f"not valid CSV: {reason}", *broken) from None

    def _lines(self) -> Iterator[str]:
        rest = ""
        for piece in iter(self._source.read_text, ""):
            *lines, rest = (rest + piece).split("\n")
            for line in lines:
                self._record.append(line + "\n")
                yield line + "\n"
        if rest:
            self._record.append(rest)
            yield rest

    def _first_with_text(self, lines: Iterator[str]) -> str:
        """Skip rows of empty cells, which spreadsheets may have above the header."""
        while (line := next(lines, "")) and not line.strip(',;\t" \r\n'):
            self._take()
            self._entries.blank_rows += 1
        return line

    def _take(self) -> Iterator[Place]:
        """Return the places of the current record's cells; start the next record."""
        first, text = self._next_line, "".join(self._record)
        self._next_line += len(self._record)
        self._record = []
        return self._places(first, text)

    def _places(self, line: int, text: str) -> Iterator[Place]:
        """Iterate over the places of a record's cells, up to the first one that is not valid."""
        begin = at = 0
        cell = _CELLS[self._delimiter]
        while match := cell(text, at):
            yield Place(line, at - begin + 1)
            if ends := match[0].count("\n"):
                line, begin = line + ends, text.rfind("\n", 0, match.end()) + 1
            if not text.startswith(self._delimiter, match.end()):
                return
            at = match.end() + 1

    def _read_header(self, cells: list[str], lines: Iterator[str]) -> None:
        line, places, required = self._next_line, self._take(), self._entries.required
        chosen = self._entries.chosen_columns
        self._require_chosen(cells, line)
        named = set(FIELDS).intersection(named_column(cell, chosen) for cell in cells)
        known = {field for cell in chain(cells, chosen.values()) if (field := field_of(cell))}
        # Else the cells may be a user's, with a password in one of them.
        names_all, has_email = known.issuperset(required), any("@" in cell for cell in cells)
        if names_all or (known and not has_email):
            is_header = len(known) > 1 or (names_all and not has_email)
            self._read_columns(cells, places, is_header=is_header)
        if missing := [field for field in required if field not in named.union(self._columns)]:
            detail = f"there is no column {' and no column '.join(missing)}: {self._header_rule}"
            detail += self._header_hint(cells, lines)
            raise self._source.fatal("columns", detail, line, 1)
        self._nameless = {at for at, column in enumerate(self._columns) if not column}

    def _require_chosen(self, cells: list[str], line: int) -> None:
        """Raise `Fatal` if the caller chose the field of a column that the file lacks."""
        chosen, names = self._entries.chosen_columns, set(map(column_name, cells))
        if (missing := next((name for name in chosen if name not in names), None)) is None:
            return
        columns = ", ".join(map(shown, filter(None, map(str.strip, cells))))
        # Else the cells may be a user's, with a password in one of them.
        is_header = not names.isdisjoint(chosen) or "email" in map(field_of, cells)
        detail = f"there is no column {shown(missing)}, whose field was chosen: "
        detail += f"the columns are {columns}" if is_header else self._header_rule
        raise self._source.fatal("columns", detail, line, 1)

    def _header_hint(self, cells: list[str], lines: Iterator[str]) -> str:
        """Return why the columns may be missing: a title, quotes, or another separator."""
        for at, line in enumerate(islice(lines, _BELOW), self._next_line):
            if _names_all(line, self._entries.required):
                return f"; line {at} names them: remove the lines above it"
        if len(cells) == 1 and self._delimiter in cells[0]:
            return f"; {_IN_QUOTES.format('line')}"
        others = {",", ";", "\t"}.intersection("".join(cells))
        return f"; read with {self._named_separator} as the separator" if others else ""

    @property
    def _named_separator(self) -> str:
        return "a tab" if self._delimiter == "\t" else repr(self._delimiter)

    def _read_columns(self, cells: list[str], places: Iterator[Place], *, is_header: bool) -> None:
        chosen = self._entries.chosen_columns
        columns = columns_of(cells, chosen, is_header=is_header)
        for cell, (column, fault), place in zip(cells, columns, places, strict=True):
            if fault:
                self._entries.problem(place, fault.code, fault.detail)
                self._entries.proposed_choice = self._entries.proposed_choice or fault.choice
                if fault.code == "unknown_key" and is_header and meant_field(cell) is None:
                    self._entries.unknown_columns[place] = cell.strip()
            elif column in FIELDS and column != named_column(cell, chosen):
                self._entries.recognized_columns[cell.strip()] = column
            self._columns.append(column)

    def _user(self, row: list[str], places: Iterator[Place]) -> CheckedUser | None:
        start = next(places)
        if len(row) != len(self._columns):
            self._entries.refuse(start, "cells", self._cell_count_fault(row))
            return None
        starts = [start, *places]
        self._check_nameless(row, starts)
        place_of = dict(zip(self._columns, starts, strict=True))
        values, faults = self._values(row, place_of)
        return self._entries.finish(start, values, place_of, faults)

    def _values(
        self, row: list[str], place_of: Mapping[str, Place]
    ) -> tuple[dict[str, Any], list[PlacedFault]]:
        """Return the values of a row, and what is wrong with its other cells."""
        values: dict[str, Any] = {}
        faults = []
        for field, cell in zip(self._columns, row, strict=True):
            if field in SERVER_FIELDS:
                faults += self._entries.pass_over(field, place_of[field], is_set=bool(cell))
            elif field not in FIELDS:  # `_read_columns` has reported it
                continue
            elif field not in FLAGS:
                if (damage := damaged_cell(cell)) and self._is_read(field):
                    faults.append(PlacedFault(place_of[field], field, "spreadsheet", damage))
                else:
                    # Only these are as they are written: no export for spreadsheets has them.
                    text = cell if field in _SECRETS else unescaped_cell(cell)
                    values[field] = text or None
            elif (flag := CSV_BOOLEANS.get(cell.strip().lower())) is None:
                password = dict(zip(self._columns, row, strict=True)).get("password")
                detail = boolean_fault(cell.strip(), _BOOLEANS, password)
                faults.append(PlacedFault(place_of[field], field, "type", detail))
            else:
                values[field] = flag
        return values, faults

    def _is_read(self, field: str) -> bool:
        return field not in _SECRETS or not self._entries.verify

    def _check_nameless(self, row: list[str], places: list[Place]) -> None:
        """Report a column without a name once, at its first cell that is not empty."""
        for at in sorted(at for at in self._nameless if row[at]):
            self._nameless.remove(at)
            mend = f"name it one of {', '.join(NAMED_FIELDS)}, or remove it"
            detail = f"this cell's column has no name: {mend}"
            self._entries.problem(places[at], "unknown_key", detail)

    def _cell_count_fault(self, row: list[str]) -> str:
        columns = len(self._columns)
        empty = self._columns.count("")
        header = f"has {columns}, {empty} of them empty" if empty else f"names {columns} columns"
        cells = f"{len(row)} cell{'' if len(row) == 1 else 's'}"
        separator = self._named_separator
        if empty and len(row) < columns:
            mend = "remove what is empty in the first line"
        elif self._is_row_in_quotes(row):
            mend = _IN_QUOTES.format("row")
        elif len(row) < columns:
            mend = f"separate its cells by {separator}, those that are empty too"
        elif any(row[columns:]):
            mend = f"quote a text that holds {separator}"
        else:
            mend = "remove what is empty at its end"
        return f"this row has {cells} and the first line {header}; {mend}"

    def _is_row_in_quotes(self, row: list[str]) -> bool:
        """Return whether the only cell is a whole row, and not a text like `Doe, Jane`."""
        if len(row) != 1:
            return False
        cells = next(csv.reader(row[0].splitlines(), delimiter=self._delimiter), [])
        return len(cells) == len(self._columns) and "@" in cells[self._columns.index("email")]
