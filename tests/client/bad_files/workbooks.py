"""Excel workbooks, as openpyxl writes them and as parts of a zip archive."""

import io
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

from openpyxl import Workbook

_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"

#: the part of the only sheet
SHEET = "xl/worksheets/sheet1.xml"


def workbook(*rows: Iterable[Any], title: str = "Staff") -> Workbook:
    """Return a workbook with one sheet of these rows."""
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.title = title
    for row in rows:
        sheet.append(list(row))
    return book


def saved(book: Workbook) -> bytes:
    """Return the octets of a workbook."""
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def packed(parts: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip archive of these parts."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return stream.getvalue()


def parts_of(rows: str, **more: str) -> dict[str, str | bytes]:
    """Return the parts of a workbook with one sheet of these `row` elements.

    Args:
        rows: as XML.
        more: elements of the sheet after its rows, as `after`; the type of the workbook, as `kind`;
            elements of the workbook after its sheets, as `book`; shared texts, as `texts`.
    """
    kind = more.get("kind", "sheet.main+xml")
    return {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Override '
        f'PartName="/xl/workbook.xml" ContentType="{_TYPE}.{kind}"/></Types>',
        "_rels/.rels": _relations(("rId1", "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        f'<sheet name="Staff" sheetId="1" r:id="rId1"/></sheets>{more.get("book", "")}</workbook>',
        "xl/_rels/workbook.xml.rels": _relations(
            ("rId1", "worksheet", "worksheets/sheet1.xml"),
            ("rId2", "sharedStrings", "sharedStrings.xml"),
            ("rId3", "styles", "/xl/styles.xml"),
        ),
        "xl/sharedStrings.xml": f'<sst xmlns="{_MAIN}">{more.get("texts", "")}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"/>',
        SHEET: f'<worksheet xmlns="{_MAIN}"><sheetData>{rows}</sheetData>'
        f"{more.get('after', '')}</worksheet>",
    }


def row(*texts: str) -> str:
    """Return a row of texts as XML, without the numbers of row and columns."""
    cells = "".join(f'<c t="inlineStr"><is><t>{text}</t></is></c>' for text in texts)
    return f"<row>{cells}</row>"


def _relations(*relations: tuple[str, str, str]) -> str:
    listed = "".join(
        f'<Relationship Id="{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, kind, target in relations
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{listed}</Relationships>'
