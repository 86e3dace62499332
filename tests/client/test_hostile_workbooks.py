"""Workbooks that would take much time or memory are refused early, in little memory."""

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.client.bad_files.reading import lines
from tests.client.bad_files.workbooks import SHEET, packed, parts_of, row, saved, workbook

GOOD = row("name", "email") + row("Ann", "ann@example.com")
MIB = 1 << 20

#: reads each file; prints the processor seconds and the MiB that it took, and its first problem
READ = """
import json, resource, sys, time
from anyscale.domain.validation import Policy
from anyscale.users_file import UsersFile
import anyscale.users_file.tables.xlsx_reader

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

for path in sys.argv[1:]:
    before, since = peak(), time.process_time()
    reading = UsersFile.open(path, "xlsx").reading(Policy())
    for _user in reading:
        pass
    problem = str(reading.problems[0]) if reading.problems else ""
    print(json.dumps([time.process_time() - since, peak() - before, problem]))
"""


def _sheet(*rows: str) -> str:
    sheet = parts_of(GOOD)[SHEET]
    assert isinstance(sheet, str)
    return sheet.replace("</sheetData>", "".join(rows) + "</sheetData>")


def _with_namespace(name: str, elements: str) -> str:
    return _sheet().replace("<sheetData>", f'<a xmlns="{name}">{elements}</a><sheetData>')


def _with_part(name: str, content: str | bytes) -> bytes:
    return packed(parts_of(GOOD) | {name: content})


def _repeated(name: str, before: str, element: str, times: int) -> bytes:
    """Return a workbook of which a part goes on and on, as a bomb does."""
    return _with_part(name, before + element * times)


def _declared(data: bytes, name: str, size: int) -> bytes:
    """Return an archive whose directory says that a part has another size."""
    at = data.rindex(name.encode()) - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    return data[: at + 24] + size.to_bytes(4, "little") + data[at + 28 :]


def _empty_rows(cells: str, count: int) -> bytes:
    columns = [f'<c r="{letter}%d" s="1"/>' for letter in cells]
    element = f'<row r="%d" s="1" customFormat="1">{"".join(columns)}</row>'
    numbers = range(3, count)
    return _with_part(SHEET, _sheet(*(element % ((at,) * (1 + len(cells))) for at in numbers)))


def _laughs() -> bytes:
    entities = "".join(f'<!ENTITY {chr(98 + at)} "{f"&{chr(97 + at)};" * 10}">' for at in range(10))
    sheet = _sheet().replace("Ann", "&k;")
    return _with_part(SHEET, f'<!DOCTYPE x [<!ENTITY a "ha">{entities}]>{sheet}')


def _digits(count: int) -> str:
    return random.Random(0).randbytes(count // 2).hex()


def _shared_by_many() -> bytes:
    many = "".join(
        f'<row a="{at}"><c t="s"><v>0</v></c><c t="s"><v>0</v></c></row>' for at in range(60_000)
    )
    texts = f"<si><t>{'x' * 32_000}</t></si>"
    return packed(parts_of(GOOD + many, texts=texts))


def _binary() -> bytes:
    """Return a workbook as Excel writes `.xlsb`, of which only the type of all parts tells it."""
    kind = "application/vnd.ms-excel.sheet.binary.macroEnabled.main"
    types = f'<Types xmlns="{_PACKAGE}"><Default Extension="bin" ContentType="{kind}"/></Types>'
    relations = str(parts_of(GOOD)["_rels/.rels"]).replace("workbook.xml", "workbook.bin")
    octets = b"\x83\x01\0\x80\x01\x14"
    return packed(
        {"[Content_Types].xml": types, "_rels/.rels": relations, "xl/workbook.bin": octets}
    )


_PACKAGE = "http://schemas.openxmlformats.org/package/2006/content-types"
_TEXTS, _STYLES = "xl/sharedStrings.xml", "xl/styles.xml"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"

#: what it is -> the workbook, and a part of the message
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "a sheet that unpacks to a thousand times its size": (
        lambda: _repeated(SHEET, _sheet().split("</sheetData>")[0], "<row/>", 20 * MIB // 6),
        "unpacks to far more than a list of users needs",
    ),
    "a part of almost 4 GiB": (
        lambda: _declared(packed(parts_of(GOOD)), SHEET, 2**32 - 2),
        "unpacks to far more than a list of users needs",
    ),
    "a part that says it is small": (
        lambda: _declared(
            _repeated(SHEET, _sheet().split("</sheetData>")[0], "<row/>", 3 * MIB), SHEET, 4_000
        ),
        "is damaged or was cut off",
    ),
    "shared texts without end": (
        lambda: _repeated(_TEXTS, f'<sst xmlns="{_MAIN}">', "<si><t>a</t></si>", MIB),
        "unpacks to far more than a list of users needs",
    ),
    "one text without end": (
        lambda: _with_part(_TEXTS, f'<sst xmlns="{_MAIN}"><si><t>{_digits(40_000)}'),
        "has a text of more than 32,768 characters",
    ),
    "many styles": (
        lambda: _with_part(
            _STYLES,
            f'<styleSheet xmlns="{_MAIN}"><cellXfs>'
            + "".join(f'<xf numFmtId="{at}"/>' for at in range(100_000)),
        ),
        "has more styles than Excel allows",
    ),
    "a long format of many cells": (
        lambda: packed(
            parts_of(row("name", "email") + '<row><c s="0"><v>1</v></c></row>' * 99)
            | {
                _STYLES: f'<styleSheet xmlns="{_MAIN}"><numFmts><numFmt numFmtId="200" formatCode="'
                f'{"[" * 30_000}"/></numFmts><cellXfs><xf numFmtId="200"/></cellXfs></styleSheet>'
            }
        ),
        "is a number whose format shows something else than its value",
    ),
    "300,000 empty rows": (
        lambda: _empty_rows("", 300_000),
        "delete the rows below the last user",
    ),
    "many rows of empty cells": (
        lambda: _empty_rows("ABC", 90_000),
        "delete the rows below the last user",
    ),
    "elements in elements": (
        lambda: _with_part(
            SHEET, _sheet().replace("<sheetData>", f"{'<a>' * 100}{'</a>' * 100}<sheetData>")
        ),
        "is damaged or was cut off",
    ),
    "one tag without end": (
        lambda: _with_part(SHEET, _sheet().replace("<row>", f'<row a="{_digits(3 * MIB)}">', 1)),
        "is damaged or was cut off",
    ),
    "a long namespace before many names": (
        lambda: _with_part(SHEET, _with_namespace("u" * 100_000, "<a/>" * 50_000)),
        "is damaged or was cut off",
    ),
    "a long namespace before many different names": (
        lambda: _with_part(
            SHEET, _with_namespace("u" * 20_000, "".join(f"<a{at}/>" for at in range(5_000)))
        ),
        "is damaged or was cut off",
    ),
    "a long text that many cells share": (_shared_by_many, "has too long texts"),
    "entities of entities": (_laughs, "is damaged or was cut off"),
    "an encoding that is none": (
        lambda: _with_part(SHEET, f'<?xml version="1.0" encoding="rot13"?>{_sheet()}'),
        "is damaged or was cut off",
    ),
    "five thousand parts": (
        lambda: packed(parts_of(GOOD) | {f"xl/media/{at}.png": "" for at in range(5_000)}),
        "has too many parts",
    ),
    "its first and last cell": (
        lambda: packed(
            parts_of(
                '<row><c t="inlineStr"><is><t>name</t></is></c></row><row r="1048576">'
                '<c r="XFD1048576" t="inlineStr"><is><t>x</t></is></c></row>'
            )
        ),
        ":A1: there is no column 'email'",
    ),
    "a header of 16,384 columns": (
        lambda: packed(
            parts_of(
                '<row><c t="inlineStr"><is><t>name</t></is></c><c r="XFD1" t="inlineStr"><is><t>'
                "email</t></is></c></row>"
            )
        ),
        ":XFD1: more than 100 keys or columns are wrong",
    ),
    "rows of one cell under a header of a thousand columns": (
        lambda: packed(
            parts_of(
                '<row><c t="inlineStr"><is><t>name</t></is></c><c t="inlineStr"><is><t>email</t>'
                '</is></c><c r="ALL1" t="inlineStr"><is><t>title</t></is></c></row>'
                + "<row><c><v>1</v></c></row>"
                * 15_000
            )
        ),
        ":B2: 1, email: is empty: every user has one",
    ),
    "links to other workbooks": (
        lambda: packed(
            parts_of(GOOD, book="<externalReferences><externalReference/></externalReferences>")
        ),
        "takes values from other workbooks, which may have changed: break the links",
    ),
    "a sheet at an address": (
        lambda: _with_part(
            "xl/_rels/workbook.xml.rels",
            str(parts_of(GOOD)["xl/_rels/workbook.xml.rels"]).replace(
                'Target="worksheets/sheet1.xml"',
                'Target="http://127.0.0.1:1/sheet1.xml" TargetMode="External"',
            ),
        ),
        "there is no visible sheet",
    ),
    "macros": (
        lambda: packed(parts_of(GOOD, kind="sheet.macroEnabled.main+xml")),
        "has macros (.xlsm): save it as .xlsx",
    ),
    "a binary workbook": (_binary, "is a binary Excel workbook (.xlsb): save it as .xlsx"),
}


def test_hostile_workbooks_are_refused_within_two_seconds_and_64_mib(tmp_path: Path) -> None:
    for number, (make, _message) in enumerate(HOSTILE.values()):
        (tmp_path / f"{number:02}.xlsx").write_bytes(make())
    done = subprocess.run(
        [sys.executable, "-c", READ, *sorted(tmp_path.glob("*.xlsx"))],
        capture_output=True,
        check=True,
        text=True,
    )

    found = [json.loads(line) for line in done.stdout.splitlines()]
    for (what, (_make, message)), (seconds, mib, problem) in zip(
        HOSTILE.items(), found, strict=True
    ):
        assert message in problem, (what, problem)
        assert seconds < 2, (what, seconds)
        assert mib < 64, (what, mib)


def test_a_workbook_with_a_thousand_pictures_is_read() -> None:
    data = packed(parts_of(GOOD) | {f"xl/media/{at}.png": "x" for at in range(1_000)})

    assert lines(data, "staff.xlsx") == []


# An OLE container begins with this; its directory is in the second sector of 512 octets.
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".ljust(30, b"\0") + b"\x09\0".ljust(482, b"\0")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            _OLE + "EncryptedPackage".encode("utf-16-le").ljust(512, b"\0"),
            "is protected by a password: save it without one",
        ),
        (
            _OLE + "Workbook".encode("utf-16-le").ljust(512, b"\0"),
            "is an old Excel workbook (.xls): save it as .xlsx",
        ),
        (_OLE[:20], "is an old Excel workbook (.xls): save it as .xlsx"),
        (b"<html><table>", "is not an Excel workbook, though it is read as one: save it as .xlsx"),
        (b"", "is not an Excel workbook, though it is read as one: save it as .xlsx"),
        (b"PK\x03\x04", "is damaged or was cut off: open it in Excel and save it again"),
        (packed({"mimetype": "x"}), "is not an Excel workbook: save it as .xlsx"),
        (saved(workbook(("name", "email")))[:-30], "is damaged or was cut off"),
    ],
)
@pytest.mark.parametrize("name", ["staff.xlsx", "staff.xls", "staff.XLSM", "staff.xlsb"])
def test_another_file_says_how_to_save_it(name: str, data: bytes, message: str) -> None:
    (line,) = lines(data, name)

    assert line.startswith(f"{name}: the file {message}")


def test_any_damage_is_a_problem_and_no_crash() -> None:
    data = saved(workbook(("name", "email"), ("Ann", "ann@example.com")))
    choose = random.Random(1)
    for _ in range(300):
        at = choose.randrange(len(data))
        damaged = data[:at] + choose.randbytes(choose.randrange(4)) + data[at + 1 :]

        assert all(line.startswith("staff.xlsx") for line in lines(damaged, "staff.xlsx"))


def test_any_damage_of_the_xml_is_a_problem_and_no_crash() -> None:
    texts = "<si><t>name</t></si><si><t>email</t></si>"
    cells = '<row r="1"><c r="A1" t="s" s="0"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
    parts = parts_of(cells, texts=texts)
    choose = random.Random(2)
    for _ in range(300):
        name = choose.choice(list(parts))
        content = str(parts[name])
        at = choose.randrange(len(content))
        damaged = (
            content[:at] + choose.choice(["", "-1", "9" * 9, "<", "&", "Z"]) + content[at + 1 :]
        )

        found = lines(packed(parts | {name: damaged}), "staff.xlsx")
        assert all(line.startswith("staff.xlsx") for line in found)
