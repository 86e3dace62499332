"""Tables of texts, right and wrong ones, as CSV and as Excel workbooks with the same cells."""

import csv
import io
import random

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from tests.client.bad_files.workbooks import saved

Table = list[list[str]]

_HEADERS = {
    "name": ["name", "Vorname", " NAME ", "First name", "nmae"],
    "email": ["email", "E-Mail", "emial"],
    "lastname": ["lastname", "Nachname", "Name"],
    "title": ["title", "Funktion"],
    "external_id": ["external_id", "Personalnr."],
    "is_sso_user": ["is_sso_user", "SSO"],
    "password": ["password"],
    "other": ["Abteilung", "", "user_id", "suspended_at", "2026"],
}
_TEXTS = [
    *("Ann", "Jörg", "No", "null", "TRUE", "0042", "=1+1", "'=1+1", "'#REF!", "#N/A", "8,46E+10"),
    *("", "  ", " Lee ", 'say "hi"', "a;b", "a, b", "\u200b", "日本語", "x" * 257, "a\tb", "\x85"),
]
_FLAGS = ["TRUE", "ja", "0", "", " Nein ", "maybe", "1"]
_EMAILS = ["ANN@example.com", "foo", "a@b", "", "ann @example.com", "ann@bücher.example", "=a@b.io"]


def random_table(seed: int) -> Table:
    """Return a table of texts; the same one for the same number."""
    choose = random.Random(seed)
    fields = [field for field in _HEADERS if field in ("name", "email") or choose.random() < 0.4]
    choose.shuffle(fields)
    header = [choose.choice(_HEADERS[field]) for field in fields]
    rows = [_row(choose, fields, number) for number in range(choose.randrange(8))]
    blank = [""] * len(fields)
    table = [header, *rows]
    for _ in range(choose.randrange(3)):
        table.insert(choose.randrange(len(table) + 1), blank)
    return table


def _row(choose: random.Random, fields: list[str], number: int) -> list[str]:
    row = []
    for field in fields:
        right = {"email": f"p{number}@example.com", "password": "correct-donkey-battery"}
        wrong = {"email": _EMAILS, "is_sso_user": _FLAGS}.get(field, _TEXTS)
        is_right = choose.random() < 0.7 and field in right
        row.append(right[field] if is_right else choose.choice(wrong))
    return row


def as_csv(table: Table) -> bytes:
    """Return a table as CSV."""
    text = io.StringIO()
    csv.writer(text).writerows(table)
    return text.getvalue().encode()


def as_xlsx(table: Table) -> bytes:
    """Return a table as a workbook whose cells are texts."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Staff")
    for row in table:
        cells = [WriteOnlyCell(sheet, value=text) if text else None for text in row]
        for cell in filter(None, cells):
            cell.data_type = "s"  # openpyxl takes `=1+1` for a formula
        sheet.append(cells)
    return saved(book)
