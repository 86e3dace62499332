"""Read users from CSV: with `,`, `;` or tabs, and cells of several lines, as spreadsheets write."""

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from anyscale.domain.validation import NAMED_FIELDS, CheckedUser
from anyscale.users_file.entry_collector import EntryCollector, Place
from anyscale.users_file.input_stream import InputStream
from anyscale.users_file.tables.header import delimiter_of
from anyscale.users_file.tables.table_reader import TableReader, names_all

_HEADER = (
    "the first line must name the columns, {} among them, separated by commas, "
    f"semicolons or tabs, like {','.join(NAMED_FIELDS)}"
)

_IN_QUOTES = "the quotes around the whole {} make it one cell: remove them"

_BLANK_BEFORE = "the blank before the quotes of this cell makes them a part of its text: remove it"

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
    return names_all(re.split("[,;\t]", line), fields)


def _rest_of_cells(line: str, lines: Iterator[str]) -> list[str]:
    """Return the lines after a line in which its cells end, as far as its quotes tell."""
    ahead: list[str] = []
    quotes = line.count('"')
    while quotes % 2 and len(ahead) < _BELOW and (line := next(lines, "")):
        ahead.append(line)
        quotes += line.count('"')
    return ahead


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
        self._table = TableReader(source, entries, _HEADER)
        #: lines of the current record, to find positions in them
        self._record: list[str] = []
        #: the text of the last record that was taken
        self._text = ""
        self._next_line = 1
        self._delimiter = ""
        #: how a cell begins whose quotes are a part of its text
        self._blank_quote = ""

    def users(self) -> Iterator[CheckedUser]:
        lines = self._lines()
        header, begin = self._first_with_text(lines), 1
        if _FOR_EXCEL(header):
            self._take()
            begin = self._next_line
            header = self._first_with_text(lines)
        if not header:
            detail = f"the file has no users: {self._table.header_rule}"
            raise self._source.fatal("empty", detail, begin, 1)
        ahead = _rest_of_cells(header, lines)
        self._delimiter = delimiter_of("".join([header, *ahead]))
        self._blank_quote = f'{self._delimiter} "'
        del self._record[1:]  # a quote may open no cell, so that they are of the next records
        lines = chain([header], self._recorded(ahead), lines)
        rows = csv.reader(lines, delimiter=self._delimiter, strict=True)
        try:
            cells = next(rows)
            places = self._take()
            self._table.read_header(cells, places, lambda: self._header_hint(cells, lines))
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

    def _recorded(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            self._record.append(line)
            yield line

    def _first_with_text(self, lines: Iterator[str]) -> str:
        """Skip rows of empty cells, which spreadsheets may have above the header."""
        while (line := next(lines, "")) and not line.strip(',;\t" \r\n'):
            self._take()
            self._entries.blank_rows += 1
        return line

    def _take(self) -> Iterator[Place]:
        """Return the places of the current record's cells; start the next record."""
        first, self._text = self._next_line, "".join(self._record)
        self._next_line += len(self._record)
        self._record = []
        return self._places(first, self._text)

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

    def _header_hint(self, cells: list[str], lines: Iterator[str]) -> str:
        """Return why the columns may be missing: a title, quotes, or another separator."""
        for at, line in enumerate(islice(lines, _BELOW), self._next_line):
            if _names_all(line, self._entries.options.required):
                return f"; line {at} names them: remove the lines above it"
        if len(cells) == 1 and self._delimiter in cells[0]:
            return f"; {_IN_QUOTES.format('line')}"
        others = {",", ";", "\t"}.intersection("".join(cells))
        return f"; read with {self._named_separator} as the separator" if others else ""

    @property
    def _named_separator(self) -> str:
        return "a tab" if self._delimiter == "\t" else repr(self._delimiter)

    def _user(self, row: list[str], places: Iterator[Place]) -> CheckedUser | None:
        start, columns = next(places), self._table.columns
        if self._blank_quote in self._text and (at := self._open_quotes(row)):
            place = next(islice(places, at - 1, None))
            self._entries.refuse(place, "cells", _BLANK_BEFORE)
            return None
        if len(row) != len(columns):
            self._entries.refuse(start, "cells", self._cell_count_fault(row))
            return None
        starts = [start, *places]
        self._table.check_nameless(row, starts)
        return self._table.user(row, start, dict(zip(columns, starts, strict=True)))

    def _open_quotes(self, row: list[str]) -> int:
        """Return the index of a cell with a blank before its quotes, or 0."""
        cells = (at for at, cell in enumerate(row) if cell.startswith(' "'))
        return next((at for at in cells if self._delimiter + row[at] in self._text), 0)

    def _cell_count_fault(self, row: list[str]) -> str:
        columns = len(self._table.columns)
        empty = self._table.columns.count("")
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
        columns = self._table.columns
        cells = next(csv.reader(row[0].splitlines(), delimiter=self._delimiter), [])
        return len(cells) == len(columns) and "@" in cells[columns.index("email")]
