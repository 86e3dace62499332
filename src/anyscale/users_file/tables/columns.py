"""The columns of a table as a page shows them: the field that each is read as, and some values."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from anyscale.domain.validation import FIELDS, SECRETS, SERVER_FIELDS
from anyscale.users_file.field_words import field_of, is_first_name, meant_field
from anyscale.users_file.tables.header import column_name, columns_of

#: rows whose values are shown
_SAMPLES = 3

#: the fields that every user has: for these a name that is only similar is enough
_GUESSED = ("name", "email")

#: the fields whose columns show values, if the header itself names them
_SHOWN = ("name", "lastname", "email", "title", "external_id")


class Column(Struct, frozen=True):
    """A column of a table."""

    header: str
    #: empty if it is left out
    field: str
    #: of the first rows; empty for a column that may have secrets
    values: Sequence[str]


class ColumnChoices(Struct):
    """Chooses the field of each column of a header, and keeps what a page shows of them.

    Columns that stand for no field are left out: on a page this is a choice, and no problem.
    """

    #: column -> field, or "" to leave it out: what the user wants, if the file has the column
    wanted: Mapping[str, str]
    #: the cells of the header; empty if the first row may be a user's
    header: Sequence[str] = ()
    chosen: Mapping[str, str] = {}
    rows: list[Sequence[str]] = []
    #: columns without a name whose cells are not all empty
    nameless: int = 0

    def read_header(self, cells: Sequence[str]) -> Mapping[str, str]:
        """Return the choices for a header, as `UsersFile` takes them."""
        # Else the cells are a user's, with a password in one of them.
        is_header = not any("@" in cell for cell in cells)
        self.header = [" ".join(cell.split()) for cell in cells] if is_header else ()
        self.rows, self.nameless = [], 0
        self.chosen = proposed_fields(self.header, self.wanted)
        return self.chosen

    def add_row(self, cells: Sequence[str]) -> None:
        """Keep a row to be shown, if it is one of the first."""
        if self.header and len(self.rows) < _SAMPLES:
            self.rows.append(cells)

    @property
    def columns(self) -> Sequence[Column]:
        """The columns that have names, and that the file may choose."""
        found = {}
        for at, header in enumerate(self.header):
            name = column_name(header)
            if name in self.chosen and name not in found:
                values = [row[at] for row in self.rows if at < len(row) and row[at].strip()]
                field = self.chosen[name]
                is_shown = _field_in(header) in _SHOWN and field not in SECRETS
                found[name] = Column(header, field, values if is_shown else [])
        return list(found.values())


def proposed_fields(cells: Sequence[str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return a field for each column of a header, or "" to leave it out.

    Of columns for one field the first one gets it. Of those for a secret none does: nobody can tell
    which. Columns that only the server sets, and those without a name, are not in it.

    Args:
        cells: of the header.
        wanted: column -> field; other columns do not get these fields.
    """
    headers = {column_name(cell): cell for cell in reversed(cells) if column_name(cell)}
    names = [name for name in reversed(headers) if name not in SERVER_FIELDS or name in wanted]
    chosen = {name: wanted[name] for name in names if name in wanted}
    taken = set(chosen.values())
    others = [(name, headers[name]) for name in names if name not in chosen]
    has_first_names = any(
        chosen.get(name, "name") and is_first_name(headers[name]) for name in names
    )
    for name, field in _ranked(others, has_first_names=has_first_names):
        if name not in chosen and field not in taken:
            chosen[name] = field
            taken.add(field)
    return {name: chosen.get(name, "") for name in names}


def proposed_choices(
    cells: Sequence[str], chosen: Mapping[str, str], required: Sequence[str]
) -> dict[str, str]:
    """Return the fewest choices with which a wrong header is read: header -> field, or "".

    If no field can be proposed for a required column, the choices only leave columns out.

    Args:
        cells: of the header.
        chosen: what the caller chose already: see `UsersFile`.
        required: the fields of columns that the file must have.
    """
    headers = {column_name(cell): cell for cell in reversed(cells)}
    fields = proposed_fields(cells, chosen)
    for name in fields:
        meant = meant_field(headers[name])
        if name not in chosen and meant not in (None, *SECRETS, *fields.values()):
            fields[name] = meant or ""
    new = {name: field for name, field in fields.items() if name not in chosen}
    known = {name: field_of(headers[name]) for name in new}
    few = {name: field for name, field in new.items() if field != known[name]}
    read = set(fields.values()) - {""}
    for choices in (few, new) if read.issuperset(required) else ():
        columns = list(columns_of(list(cells), {**chosen, **choices}, is_header=True))
        is_valid = not any(fault for _, fault in columns)
        if is_valid and read == set(FIELDS).intersection(column for column, _ in columns):
            return {headers[name]: field for name, field in choices.items()}
    return {headers[name]: "" for name, field in new.items() if not (field or known[name])}


def _ranked(
    columns: Sequence[tuple[str, str]], *, has_first_names: bool
) -> Iterator[tuple[str, str]]:
    """Iterate over columns and the fields that they may be, the most certain ones first."""
    found = {name: _field_in(header) for name, header in columns}
    if "lastname" not in found.values() and has_first_names:
        yield from ((name, "lastname") for name in found if name == "name")
    first_names = [(name, "name") for name, header in columns if is_first_name(header)]
    if "lastname" in found.values():
        yield from first_names  # a `Name` beside them is the whole name
    yield from ((name, name) for name in found if name in FIELDS)
    yield from first_names
    twice = [one for one in SECRETS if list(found.values()).count(one) > 1]
    yield from ((name, field) for name, field in found.items() if field and field not in twice)
    for name, header in columns:
        if (meant := meant_field(header)) in _GUESSED:
            yield name, meant


def _field_in(header: str) -> str | None:
    """Return the field that a header names."""
    name = column_name(header)
    return name if name in FIELDS else field_of(header)
