"""The header of a table: which column has which field, and what is wrong with the others."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from unicodedata import normalize

from anyscale.domain.validation import FIELDS, NAMED_FIELDS, SERVER_FIELDS, shown
from anyscale.errors import ConfigError
from anyscale.users_file.field_words import field_of, is_first_name, meant_field

#: the column of a header that the caller leaves out
_LEFT_OUT = "(left out)"

_IN_QUOTES = re.compile('"[^"]*"')

_KNOWN = frozenset({"", _LEFT_OUT, *FIELDS, *SERVER_FIELDS})


class ColumnFault(NamedTuple):
    """What is wrong with a cell of the header."""

    code: str
    detail: str


def chosen_columns(texts: Iterable[str]) -> dict[str, str]:
    """Return the fields that the caller chooses for columns, as `UsersFile` takes them.

    Args:
        texts: like `Vorname=name`; `Abteilung=` leaves a column out.

    Raises:
        ConfigError: one is not such a text, or a column or a field is there twice.
    """
    columns: dict[str, str] = {}
    for text in texts:
        header, separator, field = text.rpartition("=")
        name, field = column_name(header), field.strip()
        if not separator or not name:
            raise ConfigError(f"{text}: write HEADER=FIELD")
        if field and field not in FIELDS:
            raise ConfigError(f"{text}: the fields are {', '.join(NAMED_FIELDS)}")
        if name in columns or (field and field in columns.values()):
            again = header if name in columns else field
            raise ConfigError(f"{text}: {again} is given twice")
        columns[name] = field
    return columns


def delimiter_of(header: str) -> str:
    """Return what separates the columns of CSV, by its header. What is in quotes is of a name."""
    bare = _IN_QUOTES.sub("", header)
    return max(",;\t", key=lambda one: (bare.count(one), header.count(one)))


def column_name(cell: str) -> str:
    """Return the column that a cell of the header names."""
    # Files have `Name`, ` EMAIL `, names of two lines, and `Prénom` in either form of Unicode.
    return " ".join(normalize("NFC", cell).split()).lower()


def named_column(cell: str, chosen: Mapping[str, str]) -> str:
    """Return the column that a cell of the header names, or the field that the caller chose."""
    name = column_name(cell)
    return chosen.get(name, name) or (_LEFT_OUT if name in chosen else "")


def columns_of(
    cells: list[str], chosen: Mapping[str, str], *, is_header: bool
) -> Iterator[tuple[str, ColumnFault | None]]:
    """Iterate over the columns, each with what is wrong with it: it is unknown, or there twice.

    A column that is not named like a field, and is the only one with a known word for it, such as
    `Vorname`, is that field. One that only probably stands for a field that is not taken is read as
    that field, for its own problems. It may have no name, as in files of spreadsheets.

    Args:
        cells: of the first line.
        chosen: see `UsersFile`.
        is_header: whether they are names of columns, and not a user's cells.
    """
    names = [named_column(cell, chosen) for cell in cells]
    fields = [field_of(cell) for cell in cells]
    named = _KNOWN.intersection(names)
    recognized = _meant_once(names, fields) - named
    last_name = _last_name_column(cells, fields)
    taken = set(FIELDS).intersection(named | recognized)
    seen: dict[str, str] = {}
    for cell, name, field in zip(cells, names, fields, strict=True):
        fault = None
        column = field if field in recognized and name not in _KNOWN else name
        if column in seen:
            fault = _twice(seen[column], cell, column, last_name)
        elif column not in _KNOWN:
            meant = _meant(cell, taken) if is_header else None
            fault = _unknown(cell, meant, last_name, is_header=is_header)
            column = meant or column
            taken.add(column)
        if column in FIELDS:
            seen[column] = cell
        yield column, fault


def _meant_once(names: Iterable[str], fields: Iterable[str | None]) -> set[str]:
    """Return the fields for which one column, which is not named so, is a known word."""
    both = zip(names, fields, strict=True)
    count = Counter(field for name, field in both if field and name not in _KNOWN)
    return {field for field, number in count.items() if number == 1}


def _last_name_column(cells: Iterable[str], fields: Iterable[str | None]) -> str | None:
    """Return the cell `name`, which probably has last names beside a column of first names.

    If a column is `lastname`, it is None.
    """
    if "lastname" in fields:
        return None
    return next((cell for cell in cells if column_name(cell) == "name"), None)


def _meant(cell: str, taken: set[str]) -> str | None:
    meant = meant_field(cell)
    return None if meant in taken else meant


def _twice(first: str, cell: str, column: str, last_name: str | None) -> ColumnFault:
    if fault := _first_name(first, last_name) or _first_name(cell, last_name):
        return fault
    if column_name(first) == column_name(cell):
        return ColumnFault("duplicate_key", f"the column {column!r} is there twice")
    both = f"{shown(first)} and {shown(cell)} are both read as {column!r}"
    return ColumnFault("duplicate_key", f"{both}: choose another field for one, or leave it out")


def _unknown(
    cell: str, meant: str | None, last_name: str | None, *, is_header: bool
) -> ColumnFault:
    if is_header and not meant and (fault := _first_name(cell, last_name)):
        return fault
    mend = f"rename it to one of {', '.join(NAMED_FIELDS)}, or remove it"
    if meant:
        mend = f"did you mean {meant!r}? rename it, or remove it"
    # A user's cells may be in its place, with a password in one of them.
    what = f"unknown column {shown(cell)}" if is_header else "unknown column"
    return ColumnFault("unknown_key", f"{what}: {mend}")


def _first_name(cell: str, last_name: str | None) -> ColumnFault | None:
    """Return the fault of a column of first names, if another one probably has the last names.

    Without it, people would be created with last names as names.
    """
    if last_name is None or not is_first_name(cell):
        return None
    detail = (
        f"{shown(cell)} is the first name, so {shown(last_name)} is probably the last name: "
        f"rename {shown(last_name)} to lastname and {shown(cell)} to name"
    )
    return ColumnFault("unknown_key", detail)
