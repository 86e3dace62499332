"""A workbook with one sheet of texts, for Excel (ECMA-376, parts 1 and 2).

Written by hand: openpyxl stores the sheets that it writes in temporary files, and these texts may
be secrets.
"""

import io
import re
from collections.abc import Iterable
from html import escape
from typing import IO, Final, Self
from zipfile import ZIP_DEFLATED, ZipFile

from anyscale.domain.spreadsheets import cell_name

MEDIA_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_SHEETS = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"

# Excel reads `_x0041_` as A (ECMA-376 part 1, 22.9.2.19): an email or a token would be another.
_escapable = re.compile("_(?=x[0-9A-Fa-f]{4}_)").sub

_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels"'
    ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1"'
    f' Type="{_LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship'
    f' Id="r1" Type="{_LINKS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_SHEETS}" xmlns:r="{_LINKS}"><sheets>'
    '<sheet name="Sheet1" sheetId="1" r:id="r1"/></sheets></workbook>',
}


class Workbook:
    """Rows that are added one after the other, and sent as they are added. No cell is a formula.

    The size of the sheet comes after it, in a data descriptor (APPNOTE of PKWARE, 4.3.9). `with`
    closes a file that is given up: Python would report the open archive in the server's log.

    Args:
        header: the texts of the first row.
    """

    def __init__(self, header: Iterable[str]) -> None:
        self._written = _Written()
        self._rows = 0
        self._package = ZipFile(self._written, "w", ZIP_DEFLATED)
        for name, text in _PARTS.items():
            self._package.writestr(name, text)
        self._sheet: IO[bytes] = self._package.open("xl/worksheets/sheet1.xml", "w")
        self._sheet.write(f'<worksheet xmlns="{_SHEETS}"><sheetData>'.encode())
        self._add([header])

    def add(self, rows: Iterable[Iterable[str]]) -> bytes:
        """Add rows of texts, which have no control characters.

        Returns:
            The next octets of the file, which may end before the last of these rows.
        """
        self._add(rows)
        return self._written.take()

    def end(self) -> bytes:
        """Return the last octets of the file; nothing can be added any more."""
        self._sheet.write(b"</sheetData></worksheet>")
        self._close()
        return self._written.take()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()

    def _close(self) -> None:
        self._sheet.close()
        self._package.close()

    def _add(self, rows: Iterable[Iterable[str]]) -> None:
        for row in rows:
            self._rows += 1
            # Gnumeric needs the names of cells.
            cells = "".join(
                f'<c r="{cell_name(self._rows, column)}" t="inlineStr">'
                f'<is><t xml:space="preserve">{_text(text)}</t></is></c>'
                for column, text in enumerate(row, 1)
            )
            self._sheet.write(f'<row r="{self._rows}">{cells}</row>'.encode())


class _Written(io.BytesIO):
    """What an archive has written. Without a position, it changes nothing that was taken."""

    def tell(self) -> int:
        raise io.UnsupportedOperation("tell")

    def take(self) -> bytes:
        octets = self.getvalue()
        self.seek(0)
        self.truncate()
        return octets


def _text(text: str) -> str:
    return escape(_escapable("_x005F_", text))
