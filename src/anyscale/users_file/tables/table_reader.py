"""Make users of the rows of a table, whatever its format is."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, Final, Self

from anyscale.domain.spreadsheets import unescaped_cell
from anyscale.domain.validation import (
    FIELDS,
    FLAGS,
    NAMED_FIELDS,
    SECRETS,
    SERVER_FIELDS,
    CheckedUser,
    shown,
)
from anyscale.users_file.entry_collector import TOO_MANY, EntryCollector, Place, PlacedFault
from anyscale.users_file.field_words import (
    CSV_BOOLEANS,
    boolean_fault,
    damaged_cell,
    field_of,
)
from anyscale.users_file.input_stream import InputStream
from anyscale.users_file.tables.columns import proposed_choices
from anyscale.users_file.tables.header import column_name, columns_of, named_column

#: of the columns that are read; `_read_columns` reports the others
_READ = frozenset({*FIELDS, *SERVER_FIELDS})

#: columns up to the last one that has a name; a sheet has 16,384, of which most are empty
_MAX_COLUMNS = 1000

_BOOLEANS = "write true, yes, on or 1, or else false, no, off, 0 or nothing"


class UnreadableCell(str):
    """A cell of a spreadsheet that is not a text, and has no text that everybody sees in it.

    As a text it is what a message may show. A secret is not in it.
    """

    __slots__ = ("detail",)

    #: what is wrong with the cell, and how to mend it
    detail: str

    def __new__(cls, text: str, detail: str) -> Self:
        cell = super().__new__(cls, text)
        cell.detail = detail
        return cell


def names_all(cells: Iterable[str], fields: Iterable[str]) -> bool:
    """Return whether the cells of a header name all these fields, in any language."""
    return {field_of(cell) for cell in cells}.issuperset(fields)


class TableReader:
    """Reads the header and the rows of a table; problems go to `entries`.

    Args:
        source: the file.
        entries: receives the users.
        header_rule: what the header must be; `{}` stands for the required fields.
    """

    def __init__(self, source: InputStream, entries: EntryCollector, header_rule: str) -> None:
        self._source = source
        self._entries = entries
        self._chosen_columns = entries.options.columns
        self.header_rule: Final = header_rule.format(" and ".join(entries.options.required))
        #: the field of each column; another text for one that is not read
        self.columns: list[str] = []
        #: the columns that are read: their indexes and fields
        self.fields: list[tuple[int, str]] = []
        #: indexes of columns without a name in which all cells so far are empty
        self._nameless: set[int] = set()

    def read_header(
        self, cells: list[str], places: Iterable[Place], hint: Callable[[], str]
    ) -> None:
        """Read the cells of the header.

        Args:
            cells: of the header.
            places: of its cells, at least the first one.
            hint: returns why the required columns may be missing.

        Raises:
            Fatal: there are too many, a required column is missing, or one that the caller chose.
        """
        others = iter(places)
        start = next(others)
        self._require_few(cells, others)
        if choices := self._entries.options.column_choices:
            self._chosen_columns = choices.read_header(cells)
        required, chosen = self._entries.options.required, self._chosen_columns
        self._require_chosen(cells, start)
        named = set(FIELDS).intersection(named_column(cell, chosen) for cell in cells)
        known = {field for cell in chain(cells, chosen.values()) if (field := field_of(cell))}
        # Else the cells may be a user's, with a password in one of them.
        has_all, has_email = known.issuperset(required), any("@" in cell for cell in cells)
        if has_all or (known and not has_email):
            is_header = len(known) > 1 or (has_all and not has_email)
            self._read_columns(cells, chain([start], others), is_header=is_header)
        if missing := [field for field in required if field not in named.union(self.columns)]:
            columns = " and ".join(f"no column {shown(field)}" for field in missing)
            detail = f"there is {columns}: {self.header_rule}{hint()}"
            raise self._source.fatal("columns", detail, *start)
        self._nameless = {at for at, column in enumerate(self.columns) if not column}
        self.fields = [(at, field) for at, field in enumerate(self.columns) if field in _READ]

    def user(
        self, row: Sequence[str], start: Place, place_of: Mapping[str, Place]
    ) -> CheckedUser | None:
        """Take a row; return its user, if it is valid.

        Args:
            row: a cell for each column.
            start: where it begins.
            place_of: field -> the place of its cell.
        """
        if self._entries.options.column_choices:
            self._entries.options.column_choices.add_row(row)
        values, faults = self._values(row, place_of)
        return self._entries.finish(start, values, place_of, faults)

    def check_nameless(self, row: Sequence[str], places: Sequence[Place]) -> None:
        """Report a column without a name once, at its first cell that is not empty."""
        for at in sorted(at for at in self._nameless if row[at]):
            self._nameless.remove(at)
            self.report_nameless(places[at])

    def report_nameless(self, place: Place) -> None:
        """Report a column without a name, at a cell that is not empty."""
        if self._entries.options.column_choices:
            self._entries.options.column_choices.nameless += 1
            return
        self._entries.notes.nameless_columns += 1
        mend = f"name it one of {', '.join(NAMED_FIELDS)}, or remove it"
        detail = f"this cell's column has no name: {mend}"
        self._entries.problem(place, "unknown_key", detail)

    def _require_few(self, cells: list[str], others: Iterator[Place]) -> None:
        """Raise `Fatal` if a column after the last one that may have a name has one.

        Args:
            cells: of the header.
            others: the places of its other cells than the first one.
        """
        for at, cell in enumerate(cells[_MAX_COLUMNS:], _MAX_COLUMNS):
            if cell:
                place = next(islice(others, at - 1, None))
                raise self._source.fatal("too_long", TOO_MANY, *place)

    def _require_chosen(self, cells: list[str], start: Place) -> None:
        """Raise `Fatal` if the caller chose the field of a column that the file lacks."""
        chosen, names = self._chosen_columns, set(map(column_name, cells))
        if (missing := next((name for name in chosen if name not in names), None)) is None:
            return
        columns = ", ".join(map(shown, filter(None, map(str.strip, cells))))
        # Else the cells may be a user's, with a password in one of them.
        is_header = not names.isdisjoint(chosen) or "email" in map(field_of, cells)
        detail = f"there is no column {shown(missing)}, whose field was chosen: "
        detail += f"the columns are {columns}" if is_header else self.header_rule
        raise self._source.fatal("columns", detail, *start)

    def _read_columns(self, cells: list[str], places: Iterable[Place], *, is_header: bool) -> None:
        chosen = self._chosen_columns
        columns = columns_of(cells, chosen, is_header=is_header)
        is_wrong = False
        for cell, (column, fault), place in zip(cells, columns, places, strict=True):
            if fault:
                self._entries.problem(place, fault.code, fault.detail)
                is_wrong = True
            elif column in FIELDS and column != named_column(cell, chosen):
                self._entries.notes.recognized_columns[cell.strip()] = column
            self.columns.append(column)
        if is_wrong and is_header:
            required = self._entries.options.required
            self._entries.notes.proposed_choices = proposed_choices(cells, chosen, required)

    def _values(
        self, row: Sequence[str], place_of: Mapping[str, Place]
    ) -> tuple[dict[str, Any], list[PlacedFault]]:
        """Return the values of a row, and what is wrong with its other cells."""
        values: dict[str, Any] = {}
        faults = []
        for at, field in self.fields:
            cell = row[at]
            if field in SERVER_FIELDS:
                faults += self._entries.pass_over(field, place_of[field], is_set=bool(cell))
            elif field not in FLAGS:
                damage = damaged_cell(cell) if type(cell) is str else _damage(cell)
                if damage and self._is_read(field):
                    faults.append(PlacedFault(place_of[field], field, "spreadsheet", damage))
                else:
                    # Only these are as they are written: no export for spreadsheets has them.
                    text = cell if field in SECRETS else unescaped_cell(cell)
                    values[field] = text or None
            elif (flag := CSV_BOOLEANS.get(cell.strip().lower())) is None:
                password = {name: row[index] for index, name in self.fields}.get("password")
                detail = _damage(cell) or boolean_fault(cell.strip(), _BOOLEANS, password)
                faults.append(PlacedFault(place_of[field], field, "type", detail))
            else:
                values[field] = flag
        return values, faults

    def _is_read(self, field: str) -> bool:
        return field not in SECRETS or not self._entries.options.verify


def _damage(cell: str) -> str | None:
    return cell.detail if isinstance(cell, UnreadableCell) else damaged_cell(cell)
