"""A workbook of texts, for Excel (ECMA-376, parts 1 and 2).

Not by openpyxl: it stores the sheets that it writes in temporary files, and these texts may
be secrets.
"""

import io
import re
from collections.abc import Iterable, Iterator
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

#: rows of a sheet of Excel, at most
_MOST_ROWS = 1_048_576

#: Octets of a sheet, after which another one begins. From 2 GiB on the archive needs ZIP64, which
#: Excel repairs with a warning where the size comes after the data.
_MOST_OCTETS = 1 << 30


class Workbook:
    """Rows that are added one after the other, and sent as they are added. No cell is a formula.

    Rows that do not fit into a sheet are in another one. The size of a sheet comes after it, in a
    data descriptor (APPNOTE of PKWARE, 4.3.9). `with` closes a file that is given up: Python would
    report the open archive in the server's log.

    Args:
        header: the texts of the first row of each sheet.
    """

    def __init__(self, header: Iterable[str]) -> None:
        self._header = list(header)
        self._written = _Written()
        self._package = ZipFile(self._written, "w", ZIP_DEFLATED)
        self._sheets = 0
        self._begin_sheet()

    def add(self, rows: Iterable[Iterable[str]]) -> bytes:
        """Add rows of texts, which have no control characters.

        Returns:
            The next octets of the file, which may end before the last of these rows.
        """
        for row in rows:
            if self._rows == _MOST_ROWS or self._octets > _MOST_OCTETS:
                self._end_sheet()
                self._begin_sheet()
            self._add(row)
        return self._written.take()

    def end(self) -> bytes:
        """Return the last octets of the file; nothing can be added any more."""
        self._end_sheet()
        for name, text in _parts(self._sheets):
            self._package.writestr(name, text)
        self._package.close()
        return self._written.take()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._sheet.close()
        self._package.close()

    def _begin_sheet(self) -> None:
        self._sheets += 1
        self._rows = self._octets = 0
        self._sheet: IO[bytes] = self._package.open(_sheet_name(self._sheets), "w")
        self._write(f'<worksheet xmlns="{_SHEETS}"><sheetData>')
        self._add(self._header)

    def _end_sheet(self) -> None:
        self._write("</sheetData></worksheet>")
        self._sheet.close()

    def _add(self, row: Iterable[str]) -> None:
        self._rows += 1
        # Gnumeric needs the names of cells.
        cells = "".join(
            f'<c r="{cell_name(self._rows, column)}" t="inlineStr">'
            f'<is><t xml:space="preserve">{_text(text)}</t></is></c>'
            for column, text in enumerate(row, 1)
        )
        self._write(f'<row r="{self._rows}">{cells}</row>')

    def _write(self, text: str) -> None:
        self._octets += self._sheet.write(text.encode())


def _sheet_name(number: int) -> str:
    return f"xl/worksheets/sheet{number}.xml"


def _parts(sheets: int) -> Iterator[tuple[str, str]]:
    """Give the parts of a package besides its sheets, each with its name."""
    numbers = range(1, sheets + 1)
    types = "".join(
        f'<Override PartName="/{_sheet_name(at)}" ContentType="{_TYPE}.worksheet+xml"/>'
        for at in numbers
    )
    links = "".join(
        f'<Relationship Id="r{at}" Type="{_LINKS}/worksheet" Target="worksheets/sheet{at}.xml"/>'
        for at in numbers
    )
    named = "".join(f'<sheet name="Sheet{at}" sheetId="{at}" r:id="r{at}"/>' for at in numbers)
    content_types = (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels"'
        ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f"{types}</Types>"
    )
    of_package = f'<Relationship Id="r1" Type="{_LINKS}/officeDocument" Target="xl/workbook.xml"/>'
    workbook = f'<workbook xmlns="{_SHEETS}" xmlns:r="{_LINKS}"><sheets>{named}</sheets></workbook>'
    yield "[Content_Types].xml", content_types
    yield "_rels/.rels", _relationships(of_package)
    yield "xl/_rels/workbook.xml.rels", _relationships(links)
    yield "xl/workbook.xml", workbook


def _relationships(inner: str) -> str:
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{inner}</Relationships>'


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
