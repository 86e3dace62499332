"""Excel workbooks are read as their users see them, and each problem names its cell."""

import datetime as dt
import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.client.bad_files.reading import lines, read
from tests.client.bad_files.workbooks import SHEET, packed, parts_of, row, saved, workbook

from anyscale.domain.validation import CheckedUser
from anyscale.users_file.tables import xlsx_workbook
from anyscale.users_file.tables.xlsx_package import Package

HEADER = ("name", "email", "external_id", "is_sso_user")


def emails(data: bytes) -> list[str]:
    """Return the emails of a workbook without problems."""
    users, reading = read(data, "staff.xlsx")
    assert list(reading.problems) == []
    return [user.email for user in users]


def users_of(*rows: tuple[Any, ...]) -> list[CheckedUser]:
    users, reading = read(saved(workbook(HEADER, *rows)), "staff.xlsx")
    assert list(reading.problems) == []
    return users


def problem_of(value: Any, number_format: str = "General", field: str = "external_id") -> str:
    """Return what is wrong with the value of a field of the only user."""
    book = workbook(HEADER, ("Ann", "ann@example.com"))
    cell = book.worksheets[0].cell(2, HEADER.index(field) + 1, value)
    cell.number_format = number_format
    (line,) = lines(saved(book), "staff.xlsx")
    return line


def test_texts_are_read_as_they_are() -> None:
    (user,) = users_of(("No", "no@example.com", "007"))

    assert (user.name, user.external_id, user.is_sso_user) == ("No", "007", False)


def test_a_whole_number_is_the_text_that_its_cell_shows() -> None:
    (user,) = users_of((12, "ann@example.com", 84_623_517_090))

    assert (user.name, user.external_id) == ("12", "84623517090")


def test_a_format_of_digits_shows_long_numbers() -> None:
    book = workbook(HEADER, ("Ann", "ann@example.com", 846_235_170_901_234))
    book.worksheets[0]["C2"].number_format = "0"

    assert [user.external_id for user in read(saved(book), "staff.xlsx")[0]] == ["846235170901234"]


@pytest.mark.parametrize(
    ("value", "number_format"),
    [(123, "00000"), (1234, "#,##0"), (5, "0.00"), (5, '0 "EUR"'), (0.5, "0%"), (5, "0.0E+00")],
)
def test_a_number_whose_format_shows_something_else_is_a_problem(
    value: float, number_format: str
) -> None:
    assert problem_of(value, number_format) == (
        "staff.xlsx:C2: Ann, external_id: is a number whose format shows something else "
        "than its value: format the cell as text, and write it again"
    )


@pytest.mark.parametrize(("value", "number_format"), [(846_235_170_901, "General"), (10**15, "0")])
def test_a_number_that_is_shown_with_fewer_digits_is_a_problem(
    value: int, number_format: str
) -> None:
    assert "is a number with more digits than the spreadsheet shows" in problem_of(
        value, number_format
    )


def test_a_number_with_a_fraction_is_a_problem() -> None:
    assert ":C2: Ann, external_id: is a number with a fraction" in problem_of(12.5)


@pytest.mark.parametrize(
    ("value", "number_format"),
    [
        (dt.date(2026, 11, 30), "dd.mm.yyyy"),
        (dt.time(12, 30), "[h]:mm"),
        (45_000, "[$-407]d. mmmm yyyy"),
        (45_000, "mm-dd-yy"),
    ],
)
def test_a_date_in_a_text_field_is_a_problem(value: Any, number_format: str) -> None:
    assert "external_id: is a date: format the cell as text" in problem_of(value, number_format)


def test_booleans_and_their_words_are_booleans() -> None:
    flags = [True, False, "WAHR", "nein", 1, 0, None]
    users = users_of(*(("Ann", f"a{at}@example.com", None, flag) for at, flag in enumerate(flags)))

    assert [user.is_sso_user for user in users] == [True, False, True, False, True, False, False]


def test_a_boolean_in_a_text_field_is_a_problem() -> None:
    assert ":A2: ann@example.com, name: is TRUE or FALSE, and not a text" in problem_of(
        True, field="name"
    )


def test_a_date_in_a_boolean_field_is_a_problem() -> None:
    assert "is_sso_user: is a date" in problem_of(
        dt.date(2026, 11, 30), "dd.mm.yyyy", field="is_sso_user"
    )


def test_an_error_value_is_a_problem() -> None:
    assert "name: #REF! is an error value of a spreadsheet" in problem_of("#REF!", field="name")


def test_a_formula_counts_by_its_stored_value() -> None:
    cells = (
        '<row><c t="str"><f>A1</f><v>Ann</v></c><c t="str"><f>A2</f><v>ann@example.com</v></c>'
        '<c><f>40+2</f><v>42</v></c><c t="str"><f>A3</f><v></v></c></row>'
    )
    data = packed(parts_of(row("name", "email", "external_id", "title") + cells))
    (user,) = read(data, "staff.xlsx")[0]

    assert (user.name, user.external_id, user.title) == ("Ann", "42", None)


def test_a_formula_without_a_stored_value_is_a_problem() -> None:
    assert problem_of('="4"&"2"') == (
        "staff.xlsx:C2: Ann, external_id: is a formula without a stored value: open the "
        "file in Excel, save it, and take that file"
    )


def test_a_formula_that_excel_computes_on_opening_is_a_problem() -> None:
    # XlsxWriter writes 0 in place of every result.
    cells = (
        '<row><c t="inlineStr"><is><t>Ann</t></is></c><c t="inlineStr"><is><t>a@example.com</t>'
        "</is></c><c><f>A1&amp;A2</f><v>0</v></c></row>"
    )
    parts = parts_of(row(*HEADER[:3]) + cells, book='<calcPr calcId="124519" fullCalcOnLoad="1"/>')

    (line,) = lines(packed(parts), "staff.xlsx")
    assert line == (
        "staff.xlsx:C2: Ann, external_id: is a formula that Excel computes when it opens the "
        "file: open the file in Excel, save it, and take that file"
    )


@pytest.mark.parametrize(
    "number_format", ['"DE-"@', "@@", ";;;", '0;0;0;"X"@', "[Blue]\\P@;", "[$EUR]@", "@*-@"]
)
def test_a_text_whose_format_shows_another_one_is_a_problem(number_format: str) -> None:
    assert problem_of("0012", number_format) == (
        "staff.xlsx:C2: Ann, external_id: is a text whose format shows another one: "
        "format the cell as text, and write it again"
    )


@pytest.mark.parametrize(
    "number_format",
    ["@", '_-* #,##0.00 "EUR"_-;-* #,##0.00_-;_-* "-"??_-;_-@_-', "[Red]@", '"abc"', "0;;;@", "0"],
)
def test_a_text_that_its_format_shows_is_read(number_format: str) -> None:
    book = workbook(HEADER, ("Ann", "ann@example.com", "0012"))
    book.worksheets[0]["C2"].number_format = number_format

    assert [user.external_id for user in read(saved(book), "staff.xlsx")[0]] == ["0012"]


def test_an_address_with_a_link_counts_by_its_text() -> None:
    book = workbook(HEADER, ("Ann", "ann@example.com"))
    book.worksheets[0]["B2"].hyperlink = "mailto:other@example.com"

    assert emails(saved(book)) == ["ann@example.com"]


def test_merged_cells_have_the_value_of_the_first_one() -> None:
    book = workbook(("name", "email", "title"), ("Ann", "ann@example.com", None))
    book.worksheets[0].merge_cells("B2:C2")
    (user,) = read(saved(book), "staff.xlsx")[0]

    assert (user.email, user.title) == ("ann@example.com", None)


def test_hidden_and_filtered_rows_and_hidden_columns_count() -> None:
    book = workbook(HEADER, ("Ann", "ann@example.com"), ("Bob", "bob@example.com"))
    sheet = book.worksheets[0]
    sheet.row_dimensions[2].hidden = sheet.column_dimensions["B"].hidden = True
    sheet.auto_filter.ref = "A1:D3"

    assert emails(saved(book)) == ["ann@example.com", "bob@example.com"]


def test_the_first_visible_sheet_is_read_and_the_others_are_named() -> None:
    book = workbook(("secret",))
    book.worksheets[0].sheet_state = "hidden"
    for title, name in (("Staff 2026", "Ann"), ("Old", "Bob")):
        sheet = book.create_sheet(title)
        for cells in (HEADER, (name, f"{name}@example.com")):
            sheet.append(cells)
    users, reading = read(saved(book), "staff.xlsx")

    assert [user.name for user in users] == ["Ann"]
    assert reading._file.notes.lines == [
        "Only the sheet 'Staff 2026' is read, and not 'Old': choose one to read it."
    ]


def test_blanks_around_a_text_are_told_by_their_row() -> None:
    header = ("name", "email", "password")
    for row_of_ann in (
        (" Ann", "ann@example.com"),
        ("Ann", "ann@example.com", "correct horse battery "),
    ):
        _users, reading = read(saved(workbook(header, (), row_of_ann)), "staff.xlsx")

        assert reading._file.notes.lines == [
            "1 user has blanks around a text, which are kept: the first in row 3."
        ]


def test_rows_that_are_missing_and_empty_keep_the_numbers_of_the_others() -> None:
    book = workbook((), (None, "name", "email"))
    book.worksheets[0]["B1000000"] = "Ann"

    assert lines(saved(book), "staff.xlsx") == [
        "staff.xlsx:C1000000: Ann, email: is empty: every user has one"
    ]


def test_rows_after_a_long_tag_of_selected_cells_are_read() -> None:
    parts = parts_of(row("name", "email") + row("Ann", "ann@example.com"))
    selection = f'<selection sqref="{"A12345 " * 8_192}"/>'
    view = f"<sheetViews><sheetView>{selection}</sheetView></sheetViews><sheetData>"
    parts[SHEET] = str(parts[SHEET]).replace("<sheetData>", view)

    assert emails(packed(parts)) == ["ann@example.com"]


def test_a_text_in_a_column_without_a_name_is_a_problem_of_its_first_cell() -> None:
    book = workbook(("name", None, "email"), ("Ann", None, "ann@example.com"))
    book.worksheets[0]["XFD3"], book.worksheets[0]["B4"] = "x", "y"
    found = lines(saved(book), "staff.xlsx")

    nameless = [line for line in found if "this cell's column has no name: name it" in line]
    assert [line.split(":")[1] for line in nameless] == ["XFD3", "B4"]


def test_a_title_above_the_header_is_told_by_its_row() -> None:
    (line,) = lines(saved(workbook(("Staff of 2026",), (), ("name", "email"))), "staff.xlsx")

    assert line.startswith("staff.xlsx:A1: there is no column 'name' and no column 'email'")
    assert line.endswith("; row 3 names them: remove the rows above it")


def test_a_duplicate_names_both_cells() -> None:
    book = workbook(("name", "email"), ("Ann", "a@example.com"), ("Bob", "A@example.com"))

    assert lines(saved(book), "staff.xlsx") == [
        "staff.xlsx:B3: Bob, email: 'A@example.com' is also the email of B2 (Ann)"
    ]


def test_texts_of_several_fonts_and_escapes_are_one_text() -> None:
    texts = (
        "<si><t>name</t></si><si><t>email</t></si>"
        '<si><r><t xml:space="preserve">An</t></r><r><t>n_x00e9_</t></r><rPh><t>read</t></rPh></si>'
        "<si><t>ann@example.com</t></si>"
    )
    cells = "".join(
        f'<row><c t="s"><v>{at}</v></c><c t="s"><v>{at + 1}</v></c></row>' for at in (0, 2)
    )
    (user,) = read(packed(parts_of(cells, texts=texts)), "staff.xlsx")[0]

    assert user.name == "Ann\u00e9"


@pytest.mark.parametrize(
    "cell",
    [
        '<c t="inlineStr"><v>7</v><is><t>0012</t></is></c>',
        '<c t="n"><is><t>0012</t></is></c>',
        '<c r="C3" t="inlineStr"><is><t>0012</t></is></c>',
    ],
)
def test_a_cell_that_programs_read_differently_is_damage(cell: str) -> None:
    user = row("Ann", "ann@example.com").replace("</row>", f"{cell}</row>")

    (line,) = lines(packed(parts_of(row(*HEADER[:3]) + user)), "staff.xlsx")
    assert line.startswith("staff.xlsx: the file is damaged or was cut off")


def _prefixed(xml: str) -> str:
    return re.sub("<(/?)(?=[a-z])", r"<\1x:", xml).replace("xmlns=", "xmlns:x=")


#: how other programs write the same workbook
SPELLINGS: dict[str, Callable[[str, str], tuple[str, str | bytes]]] = {
    "prefixes": lambda name, xml: (name, _prefixed(xml) if name.startswith("xl/w") else xml),
    "UTF-16": lambda name, xml: (name, xml.encode("utf-16")),
    "byte order marks": lambda name, xml: (name, xml.encode("utf-8-sig")),
    "upper case": lambda name, xml: (name.upper(), xml),
    "backslashes": lambda name, xml: (name.replace("/", "\\"), xml),
    "absolute targets": lambda name, xml: (name, xml.replace('"worksheets/', '"/xl/worksheets/')),
    "reading aids": lambda name, xml: (name, xml.replace("</t></is>", f"</t>{READING_AID}</is>")),
    "runs": lambda name, xml: (name, re.sub("<t>(.)", r"<r><t>\1</t></r><r><t>", xml)),
}
READING_AID = '<rPh sb="0" eb="1"><t>read</t></rPh><phoneticPr fontId="1"/>'


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_same_workbook_in_another_spelling_is_read(spelling: str) -> None:
    parts = parts_of(row("name", "email") + row("J\u00f6rg Wei\u00df", "joerg@example.com"))
    if spelling == "runs":
        parts[SHEET] = str(parts[SHEET]).replace("</t></is>", "</t></r></is>")
    spelt = dict(SPELLINGS[spelling](name, str(parts[name])) for name in reversed(parts))
    (user,) = read(packed(spelt), "staff.xlsx")[0]

    assert (user.name, user.email) == ("J\u00f6rg Wei\u00df", "joerg@example.com")


def test_the_name_of_a_sheet_may_have_escapes() -> None:
    parts = parts_of(row("name", "email"))
    parts["xl/workbook.xml"] = str(parts["xl/workbook.xml"]).replace(
        "Staff", "Gr_x00f6_&quot;A&apos;"
    )

    assert (
        xlsx_workbook.Workbook(Package(io.BytesIO(packed(parts)))).sheets[0].name == "Gr\u00f6\"A'"
    )


@pytest.mark.parametrize(
    ("escaped", "title"),
    [("a_xD83D_b", "C2: Ann, title: has U+FFFD"), ("a_xD83D__xDE00_b", "a\U0001f600b")],
)
def test_half_a_pair_of_utf16_is_a_lost_letter(escaped: str, title: str) -> None:
    rows = row("name", "email", "title") + row("Ann", "ann@example.com", escaped)
    reading = read(packed(parts_of(rows)), "staff.xlsx")

    shown = [user.title for user in reading[0]] + lines(packed(parts_of(rows)), "staff.xlsx")
    assert title in " ".join(map(str, shown))


def test_shared_texts_of_a_large_file_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_workbook, "_MOST_TEXTS", 1_000)
    data = packed(parts_of(row("name", "email"), texts=f"<si><t>{'x' * 1_000}</t></si>"))

    assert "has more texts than its size allows" in lines(data, "staff.xlsx")[0]


def test_a_strict_workbook_is_read() -> None:
    parts = {
        name: content.replace(
            "schemas.openxmlformats.org/spreadsheetml/2006/main",
            "purl.oclc.org/ooxml/spreadsheetml/main",
        ).replace(
            "schemas.openxmlformats.org/officeDocument/2006/relationships",
            "purl.oclc.org/ooxml/officeDocument/relationships",
        )
        for name, content in parts_of(row("name", "email") + row("Ann", "a@example.com")).items()
        if isinstance(content, str)
    }

    assert emails(packed(parts)) == ["a@example.com"]


@pytest.mark.parametrize(("header", "code"), [(("nombre", "edad"), "columns"), ((), "empty")])
def test_a_sheet_without_users_says_what_it_needs(header: tuple[str, ...], code: str) -> None:
    _users, reading = read(saved(workbook(header)), "staff.xlsx")

    (problem,) = [problem for problem in reading.problems if problem.code == code]
    assert "the first row must name the columns, name and email" in problem.detail
    assert ("the sheet 'Staff' has no users" in problem.detail) is (code == "empty")
