"""The text of a cell of a spreadsheet, if it is what everybody sees in it."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from anyscale.domain.spreadsheets import is_error_value
from anyscale.users_file.tables.table_reader import UnreadableCell
from anyscale.users_file.tables.xlsx_workbook import SharedTexts

_MEND = "format the cell as text, and write it again"

_DATE = UnreadableCell("a date", f"is a date: {_MEND}")
_FRACTION = UnreadableCell("a number", f"is a number with a fraction: {_MEND}")
_FORMATTED = UnreadableCell(
    "a number", f"is a number whose format shows something else than its value: {_MEND}"
)
_LONG = UnreadableCell(
    "a number", f"is a number with more digits than the spreadsheet shows: {_MEND}"
)
_DECORATED = UnreadableCell("a text", f"is a text whose format shows another one: {_MEND}")
_ERROR = UnreadableCell(
    "an error", "is an error value of a spreadsheet: correct the formula, or write the text"
)
_MEND_FORMULA = "open the file in Excel, save it, and take that file"
#: of a formula whose result the file lacks, as one that a program has written
NO_RESULT: Final = UnreadableCell(
    "a formula", f"is a formula without a stored value: {_MEND_FORMULA}"
)
#: of a formula whose stored value does not count: it may be a 0 in place of a text
STALE: Final = UnreadableCell(
    "a formula", f"is a formula that Excel computes when it opens the file: {_MEND_FORMULA}"
)
_TRUTH = f"is TRUE or FALSE, and not a text: {_MEND}"
_BOOLEANS = {"1": UnreadableCell("TRUE", _TRUTH), "0": UnreadableCell("FALSE", _TRUTH)}

# Built-in formats (ECMA-376 part 1, 18.8.30): general and text, all digits, dates and times.
_GENERAL = {"#0", "#49", "general", "@"}
_DIGITS = {"#1", "0"}
_DATE_NUMBERS = (*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59))
_DATES = {f"#{number}" for number in _DATE_NUMBERS}

#: digits that a general format shows, and that a number has
_GENERAL_DIGITS, _EXACT_DIGITS = 11, 15

# What is not a code in a format: texts, single characters, colours and conditions.
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?![hms]+\])[^\]]*\]', re.IGNORECASE)

# Of a format of texts: in the group what it shows beside the text, else paddings and colours.
_PARTS = re.compile(r'("[^"]*"|\\.|\[\$[^-\]][^\]]*\])|_.|\*.|\[[^\]]*\]')

_has_date_code = re.compile("[dmyhs]", re.IGNORECASE).search

_number = re.compile(r"[+-]?(?:\d{1,400}\.?\d{0,400}|\.\d{1,400})(?:[eE][+-]?\d{1,3})?").fullmatch


def cell_text(kind: str, value: str, style: str, texts: SharedTexts, formats: Sequence[str]) -> str:
    """Return the text of a cell that has a value.

    Args:
        kind: its `t` (ECMA-376 part 1, 18.18.11).
        value: as the file has it.
        style: the number of its style.
        texts: of the workbook.
        formats: of the styles: see `Workbook.number_formats`.

    Raises:
        ValueError: the file is damaged.
    """
    at = int(style)
    number_format = formats[at].lower() if at < len(formats) else "#0"
    if kind in ("s", "str", "inlineStr"):
        text = texts[int(value)] if kind == "s" else value
        return text if _shows_text(number_format) else _DECORATED
    if kind == "b":
        return _BOOLEANS.get(value, _ERROR)
    if kind == "e":
        return value if is_error_value(value) else _ERROR
    if kind == "d":
        return _DATE
    return _number_text(value, number_format)


def _number_text(value: str, number_format: str) -> str:
    if not _number(value):
        raise ValueError(value)
    if number_format not in _GENERAL | _DIGITS:
        return _DATE if _is_date(number_format) else _FORMATTED
    number = float(value)
    if not number.is_integer():
        return _FRACTION
    text = str(int(number))
    digits = _EXACT_DIGITS if number_format in _DIGITS else _GENERAL_DIGITS
    return _LONG if len(text.lstrip("-")) > digits else text


@lru_cache(maxsize=1024)
def _shows_text(number_format: str) -> bool:
    """Return whether a text looks as it is: its section is the last one with `@`, or the fourth."""
    sections = _PARTS.sub(lambda part: "?" if part[1] else "", number_format).split(";")
    of_text = next((one for one in reversed(sections) if "@" in one), (*sections, *"@@@@")[3])
    return of_text.strip() in ("@", "general")


@lru_cache(maxsize=1024)  # most cells of a workbook have one of a few formats
def _is_date(number_format: str) -> bool:
    if number_format.startswith("#") and number_format[1:].isdigit():
        return number_format in _DATES
    return bool(_has_date_code(_LITERAL.sub("", number_format)))
