"""Cells of CSV files that spreadsheets open."""

import re
from typing import Any

__all__ = ["spreadsheet_cell"]


def spreadsheet_cell(value: Any) -> Any:
    """Put an apostrophe before each text that a spreadsheet would take for a formula.

    A spreadsheet may also begin a cell after a semicolon or a tab.
    """
    return _begins_formula.sub("'", value) if isinstance(value, str) else value


#: also the full-width forms, which some spreadsheets take for the ASCII ones
_begins_formula = re.compile("(?:^|(?<=[;\t\r\n]))(?=[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])")
