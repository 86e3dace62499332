"""The sheets, shared texts and number formats of an Excel workbook (ECMA-376 part 1, 18)."""

import posixpath
import re
from array import array
from collections.abc import Mapping
from itertools import product
from typing import Final, NamedTuple

from anyscale.domain.validation import shown
from anyscale.users_file.tables.xlsx_package import Package, PartHandler, WorkbookFault

# A workbook is "transitional", or "strict" if Excel's user chooses so.
_OFFICE = ("http://schemas.openxmlformats.org/", "http://purl.oclc.org/ooxml/")
_MAIN = (f"{_OFFICE[0]}spreadsheetml/2006/main", f"{_OFFICE[1]}spreadsheetml/main")
_RELATIONS = (
    f"{_OFFICE[0]}officeDocument/2006/relationships id",
    f"{_OFFICE[1]}officeDocument/relationships id",
)
_PACKAGE = f"{_OFFICE[0]}package/2006/"

#: formats that Excel allows, with which a cell may look
_MAX_STYLES = 1 << 16

#: characters of a format, as of Excel, and of its number: of longer ones the beginning tells
_MAX_FORMAT = 255

#: octets of the parts that list others, and of styles
_MAX_SMALL_PART, _MAX_STYLES_PART = 1 << 20, 1 << 24

#: octets of shared texts beside so many times those of the file, and those of any file, which are
#: enough for a million users
_MAX_TEXTS, _TEXTS_RATIO, _MOST_TEXTS = 1 << 24, 24, 1 << 28

#: characters of one text, as of a cell of Excel
_MAX_TEXT = 1 << 15

_BINARY = "is a binary Excel workbook (.xlsb): save it as .xlsx"

_MACROS = "has macros (.xlsm): save it as .xlsx, without them"

_LINKED = (
    "takes values from other workbooks, which may have changed: break the links (Data, Edit "
    "Links), and save it again"
)

_OTHER = "is not an Excel workbook: save it as .xlsx"

_TYPES_PART = "[Content_Types].xml"
_TYPES = {f"{_PACKAGE}content-types Override": "Override"}
_RELATED = {f"{_PACKAGE}relationships Relationship": "Relationship"}

_TOO_MANY_STYLES = "has more styles than Excel allows: copy the rows of the users to a new workbook"

_escape = re.compile("_x([0-9A-Fa-f]{4})_").sub


def _main_tags(*names: str) -> dict[str, str]:
    return {f"{namespace} {name}": name for namespace, name in product(_MAIN, names)}


def _unescaped(text: str) -> str:
    """Return a text with the characters that XML cannot have (ECMA-376 part 1, 22.9.2.19)."""
    if "_x" not in text:
        return text
    text = _escape(lambda match: chr(int(match[1], 16)), text)
    # They are of UTF-16: half of a pair is not a character, and no page could show it.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Sheet(NamedTuple):
    """A sheet of cells."""

    name: str
    is_visible: bool
    #: the name of its part
    part: str


class SharedTexts:
    """The texts that cells share, as octets: they are many, and few are used at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._octets = bytearray()
        self._ends = array("Q")

    def add(self, text: str) -> None:
        """Add the next text."""
        self._octets += text.encode()
        self._ends.append(len(self._octets))
        if len(self._octets) + len(self._ends) * self._ends.itemsize > self._limit:
            raise WorkbookFault("has more texts than its size allows: save it again in Excel")

    def __getitem__(self, number: int) -> str:
        """Return a text by its number.

        Raises:
            ValueError: there is none.
        """
        if not 0 <= number < len(self._ends):
            raise ValueError(number)
        begin = self._ends[number - 1] if number else 0
        return self._octets[begin : self._ends[number]].decode()


class Workbook:
    """A workbook whose small parts were read.

    Args:
        package: of the file.

    Raises:
        WorkbookFault: it is another document, or one that may not be read.
    """

    def __init__(self, package: Package) -> None:
        self.package: Final = package
        if _TYPES_PART not in package:
            raise WorkbookFault(_OTHER)
        main = next(iter(self._related("", "/officeDocument").values()), "")
        if main not in package:
            raise WorkbookFault(_OTHER)
        if main.lower().endswith(".bin"):
            raise WorkbookFault(_BINARY)
        types = self._listed(_TYPES_PART, _TYPES)["Override"]
        if any("macroEnabled" in one.get("ContentType", "") for one in types):
            raise WorkbookFault(_MACROS)
        parts = self._related(main, "/worksheet")
        listed = self._listed(main, _main_tags("sheet", "externalReference", "calcPr"))
        if listed["externalReference"]:
            raise WorkbookFault(_LINKED)
        #: in the order of its tabs
        self.sheets: Final = [
            Sheet(
                _unescaped(one.get("name", "")),
                one.get("state", "visible") == "visible",
                parts[number],
            )
            for one in listed["sheet"]
            if (number := next(filter(None, map(one.get, _RELATIONS)), "")) in parts
        ]
        #: whether Excel computes all formulas when it opens the file: no stored value counts
        self.is_stale: Final = any(
            one.get("fullCalcOnLoad") in ("1", "true") for one in listed["calcPr"]
        )
        self._texts = next(iter(self._related(main, "/sharedStrings").values()), None)
        self._styles = next(iter(self._related(main, "/styles").values()), None)

    def sheet(self, name: str | None) -> Sheet:
        """Return a sheet by its name in any case, or the first visible one.

        Raises:
            LookupError: there is none; the text names the others.
        """
        for sheet in self.sheets:
            if sheet.is_visible if name is None else sheet.name == name:
                return sheet
        for sheet in self.sheets:
            if name and sheet.name.casefold() == name.casefold():
                return sheet
        names = ", ".join(shown(sheet.name) for sheet in self.sheets)
        which = "visible sheet" if name is None else f"sheet {shown(name)}"
        raise LookupError(f"there is no {which}: the sheets are {names}")

    def shared_texts(self) -> SharedTexts:
        """Read the texts that cells share."""
        most = _MAX_TEXTS + _TEXTS_RATIO * self.package.size
        texts = SharedTexts(min(most, _MOST_TEXTS))
        if self._texts:
            for _ in self.package.parse(self._texts, _SharedTexts(texts)):
                pass
        return texts

    def number_formats(self) -> list[str]:
        """Read the number format of each style: its code, or `#` and the number of a built-in."""
        handler = _Formats()
        if self._styles:
            for _ in self.package.parse(self._styles, handler, _MAX_STYLES_PART):
                pass
        return [handler.codes.get(number, f"#{number}") for number in handler.numbers]

    def _related(self, part: str, kind: str) -> dict[str, str]:
        """Return the parts to which a part is related: id -> name. `kind` ends their types."""
        folder, name = posixpath.split(part)
        relations = posixpath.join(folder, "_rels", f"{name}.rels")
        return {
            one.get("Id", ""): _joined(folder, one.get("Target", ""))
            for one in self._listed(relations, _RELATED)["Relationship"]
            if one.get("Type", "").endswith(kind) and one.get("TargetMode") != "External"
        }

    def _listed(self, part: str, tags: Mapping[str, str]) -> dict[str, list[dict[str, str]]]:
        """Return the attributes of elements of a small part: name -> those of each."""
        handler = _Attributes(tags)
        for _ in self.package.parse(part, handler, _MAX_SMALL_PART):
            pass
        return handler.found


def _joined(folder: str, target: str) -> str:
    return posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/")


class _Attributes(PartHandler):
    def __init__(self, tags: Mapping[str, str]) -> None:
        super().__init__(tags)
        self.found: dict[str, list[dict[str, str]]] = {tag: [] for tag in tags.values()}

    def open(self, tag: str, attributes: dict[str, str]) -> None:
        self.found[tag].append(attributes)


class _Formats(PartHandler):
    """The formats of `cellXfs` (18.8.10), by their numbers."""

    def __init__(self) -> None:
        super().__init__(_main_tags("cellXfs", "xf", "numFmt"))
        #: number -> code
        self.codes: dict[str, str] = {}
        #: the number of each style
        self.numbers: list[str] = []
        self._is_open = False

    def open(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "numFmt":
            code = attributes.get("formatCode", "")[:_MAX_FORMAT]
            self.codes[attributes.get("numFmtId", "")[:_MAX_FORMAT]] = code
        elif tag == "cellXfs":
            self._is_open = True
        elif self._is_open:
            self.numbers.append(attributes.get("numFmtId", "0")[:_MAX_FORMAT])
        if len(self.numbers) + len(self.codes) > _MAX_STYLES:
            raise WorkbookFault(_TOO_MANY_STYLES)

    def close(self, tag: str) -> None:
        self.is_done |= tag == "cellXfs"


class TextHandler(PartHandler):
    """Collects a text that may be in pieces of different fonts, without its reading aids (`rPh`).

    Args:
        tags: without those of a text.
    """

    def __init__(self, *tags: str) -> None:
        super().__init__(_main_tags("t", "rPh", *tags))
        #: pieces of the text
        self.pieces: list[str] = []
        #: whether the text of the current element counts
        self.is_open: bool = False
        self._is_aid = False
        self._length = 0

    def open(self, tag: str, _attributes: dict[str, str]) -> None:
        if tag == "rPh":
            self._is_aid = True
        elif tag == "t":
            self.is_open = not self._is_aid

    def close(self, tag: str) -> None:
        if tag == "rPh":
            self._is_aid = False
        elif tag == "t":
            self.is_open = False

    def text(self, data: str) -> None:
        if self.is_open:
            self.pieces.append(data)
            self._length += len(data)
            if self._length > _MAX_TEXT:
                raise WorkbookFault(f"has a text of more than {_MAX_TEXT:,} characters")

    def take(self) -> str:
        """Return the text so far, and begin the next one."""
        text = _unescaped("".join(self.pieces))
        self.pieces.clear()
        self._length = 0
        return text


class _SharedTexts(TextHandler):
    def __init__(self, texts: SharedTexts) -> None:
        super().__init__("si")
        self._texts = texts

    def close(self, tag: str) -> None:
        super().close(tag)
        if tag == "si":
            self._texts.add(self.take())
            self.values += 1
