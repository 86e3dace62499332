"""Cells of spreadsheets: their names, escaped texts, and texts that they destroyed."""

import re
from typing import Any

# What a formula without a result shows: in English, and in the languages above.
_ERRORS = (
    "#N/A #VALUE! #REF! #NAME? #DIV/0! #NUM! #NULL! #SPILL! #CALC! #FIELD! #BLOCKED! #CONNECT! "
    "#BUSY! #UNKNOWN! #GETTING_DATA #ERROR! #NV #WERT! #BEZUG! #ZAHL! #VALEUR! #NOM? "
    "#NOMBRE! #NUL! #N/D #¡VALOR! #¡REF! #¿NOMBRE? #¡DIV/0! #¡NUM! #¡NULO! #VALORE! #RIF! #NOME? "
    "#NULLO! #N/B #WAARDE! #VERW! #NAAM? #DEEL/0! #GETAL! #LEEG! #VALOR! #NÚM! #NULO! #ARG! #ADR! "
    "#NAZWA? #DZIEL/0! #LICZBA! #ZERO! #Н/Д #ЗНАЧ! #ССЫЛКА! #ИМЯ? #ДЕЛ/0! #ЧИСЛО! #ПУСТО!"  # noqa: RUF001 - Cyrillic is meant
)
_ERROR_VALUES = frozenset(_ERRORS.split())

# What LibreOffice shows for an error, and each program for a value that is wider than its column.
_is_error = re.compile(r"Err:\d{3}|#{3,}").fullmatch

# What a spreadsheet saves of 84623517090 in a column that is not formatted as text.
_is_shortened = re.compile(r"-?\d(?:[.,]\d+)?E[+-]\d{2,3}").fullmatch

# How programs write a text such as 0042 so that a spreadsheet keeps its zeros.
_is_text_formula = re.compile('="[^"]*"').fullmatch

# A spreadsheet may also begin a cell after a semicolon or a tab, ignore blanks before the sign, and
# take the full-width signs for the ASCII ones. An apostrophe before it may belong to the text.
_BEGIN = "(?:^|(?<=[;\t\r\n]))"
_FORMULA = "(?=(?:[^\\S\t\r\n]|['\ufeff])*[=+\\-@\uff1d\uff0b\uff0d\uff20\t\r])"
_begins_formula = re.compile(_BEGIN + _FORMULA)
_is_escaped = re.compile(f"{_BEGIN}'{_FORMULA}")


def cell_name(row: int, column: int) -> str:
    """Return the name of a cell, such as `C24`; both are counted from 1."""
    letters = ""
    while column:
        column, letter = divmod(column - 1, 26)
        letters = chr(ord("A") + letter) + letters
    return f"{letters}{row}"


def spreadsheet_cell(value: Any) -> Any:
    """Put an apostrophe before each text that a spreadsheet would take for a formula.

    Also before one that looks as a spreadsheet writes a text that it has destroyed: a reader could
    not tell them apart. `unescaped_cell` returns every text as it was.
    """
    if not isinstance(value, str):
        return value
    return f"'{value}" if _is_damaged(value) else _begins_formula.sub("'", value)


def unescaped_cell(cell: str) -> str:
    """Return the text of a cell that `spreadsheet_cell` has written."""
    is_damaged = cell.startswith("'") and _is_damaged(cell)
    return cell[1:] if is_damaged else _is_escaped.sub("", cell)


def is_error_value(cell: str) -> bool:
    """Return whether a cell is what a spreadsheet shows for a formula without a result."""
    return cell in _ERROR_VALUES or bool(_is_error(cell))


def is_shortened_number(cell: str) -> bool:
    """Return whether a cell is what a spreadsheet saves of a long number."""
    return bool(_is_shortened(cell))


def is_text_formula(cell: str) -> bool:
    """Return whether a cell is a formula of a text, such as `="0042"`, which shows that text."""
    return cell[:1] == "=" and bool(_is_text_formula(cell))  # most cells need no pattern


def _is_damaged(text: str) -> bool:
    bare = text.lstrip("'")
    return is_error_value(bare) or is_shortened_number(bare)
