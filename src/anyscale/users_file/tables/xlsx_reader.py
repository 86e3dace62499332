"""Read users from a sheet of an Excel workbook (`.xlsx`)."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from string import ascii_uppercase

from anyscale.domain.validation import NAMED_FIELDS, CheckedUser, shown
from anyscale.errors import Problem
from anyscale.users_file.entry_collector import EntryCollector, Place
from anyscale.users_file.input_stream import MAX_ENTRY, Fatal, InputStream
from anyscale.users_file.tables.table_reader import TableReader, names_all
from anyscale.users_file.tables.xlsx_cells import NO_RESULT, STALE, cell_text
from anyscale.users_file.tables.xlsx_package import Package, WorkbookFault
from anyscale.users_file.tables.xlsx_workbook import SharedTexts, TextHandler, Workbook

_HEADER = f"the first row must name the columns, {{}} among them, like {', '.join(NAMED_FIELDS)}"

#: rows below the first one that may be the header, if a title is above it
_BELOW = 10

#: rows and columns of a sheet of Excel
_LAST_ROW, _LAST_COLUMN, _LETTERS = 1 << 20, 1 << 14, len("XFD")

#: octets of all texts beside so many times those of the file: many cells can have one long text
_MAX_TEXTS, _TEXTS_RATIO = 1 << 24, 16

#: a row, and its cells that are not empty: their columns, counted from 1, and texts
_Row = tuple[int, list[tuple[int, str]]]


def read_xlsx(source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    """Read the users of a sheet, in order; problems go to `entries`. An empty cell is None.

    Raises:
        Fatal: the file cannot be read from some place on.
    """
    try:
        yield from _users(source, entries)
    except WorkbookFault as fault:
        problem = Problem(code="syntax", detail=f"the file {fault}", file=source.name)
        raise Fatal(problem) from None


def _users(source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    workbook = Workbook(Package(source.stream))
    entries.notes.sheets = [one.name for one in workbook.sheets if one.is_visible]
    try:
        sheet = workbook.sheet(entries.options.sheet)
    except LookupError as error:
        raise Fatal(Problem(code="sheet", detail=str(error), file=source.name)) from None
    rows = _rows(workbook, sheet.part, source)
    table = TableReader(source, entries, _HEADER)
    width = _read_header(table, rows, sheet.name, source, entries)
    #: those that have a name, or were reported
    known = {at for at, column in enumerate(table.columns, 1) if column}
    for number, cells in rows:
        row = [""] * width
        for column, text in cells:
            if column <= width:
                row[column - 1] = text
            if column not in known:
                known.add(column)
                table.report_nameless(Place(number, column))
        # Only of the columns that are read: a row of a wide table may have a single cell.
        places = {field: Place(number, at + 1) for at, field in table.fields}
        if user := table.user(row, Place(number, 1), places):
            yield user


def _read_header(
    table: TableReader,
    rows: Iterator[_Row],
    sheet: str,
    source: InputStream,
    entries: EntryCollector,
) -> int:
    """Read the first row that is not blank; return the number of its columns."""
    with_text = (row for row in rows if any(text.strip() for _, text in row[1]))
    number, cells = next(with_text, (1, []))
    if not cells:
        detail = f"the sheet {shown(sheet)} has no users: {table.header_rule}"
        raise source.fatal("empty", detail, 1, 1)
    width, _ = cells[-1]
    texts = dict(cells)
    places = [Place(number, column + 1) for column in range(width)]
    table.read_header(
        [texts.get(place.column, "") for place in places],
        places,
        lambda: _hint(rows, entries.options.required),
    )
    return width


def _hint(rows: Iterator[_Row], required: Sequence[str]) -> str:
    """Return the row that may be the header, if a title is above it."""
    for number, cells in islice(rows, _BELOW):
        if names_all((text for _, text in cells), required):
            return f"; row {number} names them: remove the rows above it"
    return ""


def _rows(workbook: Workbook, part: str, source: InputStream) -> Iterator[_Row]:
    """Iterate over the rows of a sheet that have a text."""
    size = workbook.package.size
    most = _MAX_TEXTS + _TEXTS_RATIO * size
    handler = _SheetHandler(
        workbook.shared_texts(), workbook.number_formats(), most, is_stale=workbook.is_stale
    )
    for share in workbook.package.parse(part, handler):
        source.total = int(share * size)
        rows, handler.rows = handler.rows, []
        yield from rows


class _SheetHandler(TextHandler):
    """Collects the rows of a sheet (ECMA-376 part 1, 18.3.1.80).

    Args:
        texts: that cells share.
        formats: see `Workbook.number_formats`.
        most: octets of all texts.
        is_stale: see `Workbook.is_stale`.
    """

    def __init__(
        self, texts: SharedTexts, formats: Sequence[str], most: int, *, is_stale: bool
    ) -> None:
        super().__init__("sheetData", "row", "c", "f", "v")
        #: that have ended
        self.rows: list[_Row] = []
        self._texts = texts
        self._formats = formats
        self._left = most
        self._is_stale = is_stale
        self._row = 0
        self._cells: list[tuple[int, str]] = []
        self._row_length = 0
        self._column = 0
        self._kind = self._style = ""
        self._has_formula = self._has_value = False

    def open(self, tag: str, attributes: dict[str, str]) -> None:
        if tag in ("v", "t") and (tag == "t") != (self._kind == "inlineStr"):
            raise ValueError(self._kind)  # programs disagree about the value
        if tag == "c":
            self._begin_cell(attributes)
        elif tag == "v":
            self.is_open = self._has_value = True
        elif tag == "f":
            self._has_formula = True
        elif tag == "row":
            row = int(attributes.get("r", self._row + 1))
            if not self._row < row <= _LAST_ROW:
                raise ValueError(row)
            self._row, self._column, self._row_length = row, 0, 0
        else:
            super().open(tag, attributes)

    def _begin_cell(self, attributes: dict[str, str]) -> None:
        name = attributes.get("r")
        letters = name.rstrip("0123456789") if name else ""
        column = _column(letters) if name else self._column + 1
        if not self._column < column <= _LAST_COLUMN:
            raise ValueError(column)
        if name and name != f"{letters}{self._row}":
            raise ValueError(name)
        self._column = column
        self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "0")
        self._has_formula = self._has_value = False

    def close(self, tag: str) -> None:
        if tag == "c":
            self._end_cell()
        elif tag == "v":
            self.is_open = False
        elif tag == "row":
            if self._cells:
                self.rows.append((self._row, self._cells))
                self._cells = []
        elif tag == "sheetData":
            self.is_done = True
        else:
            super().close(tag)

    def _end_cell(self) -> None:
        text = self.take()
        has_result = text or (self._has_value and self._kind == "str")
        if self._has_formula and (self._is_stale or not has_result):
            text = STALE if has_result else NO_RESULT
        elif text:
            text = cell_text(self._kind, text, self._style, self._texts, self._formats)
        if not text:
            return
        self._cells.append((self._column, text))
        self.values += 1
        self._row_length += len(text)
        self._left -= len(text)
        if self._row_length > MAX_ENTRY or self._left < 0:
            raise WorkbookFault("has too long texts for a list of users")


@lru_cache(maxsize=1024)
def _column(letters: str) -> int:
    """Return the number of a column by its letters.

    Raises:
        ValueError: there is no such column.
    """
    if len(letters) > _LETTERS or not set(letters) <= set(ascii_uppercase):
        raise ValueError(letters)
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number
