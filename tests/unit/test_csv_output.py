"""Texts in CSV output that a spreadsheet would take for formulas."""

import pytest

from anyscale.domain.spreadsheets import spreadsheet_cell


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("Ann;=1+1", "Ann;'=1+1"),
        ("Ann\t@x;-2", "Ann'\t'@x;'-2".replace("Ann'", "Ann")),
        ("\uff1d1", "'\uff1d1"),
        ("\uff0b1;\uff201", "'\uff0b1;'\uff201"),
        ("Ann-Lena; b=c", "Ann-Lena; b=c"),
        (" =1", "' =1"),
        ("\u00a0\u3000=1;\ufeff=1", "'\u00a0\u3000=1;'\ufeff=1"),
        ("'=1", "''=1"),
        ("'Ann", "'Ann"),
        ("#N/A", "'#N/A"),
        ("'8.46E+10", "''8.46E+10"),
        ("", ""),
        (7, 7),
    ],
)
def test_a_text_that_begins_a_formula_has_an_apostrophe(text: object, cell: object) -> None:
    assert spreadsheet_cell(text) == cell
