"""The parts of an Excel workbook as XML, within limits (ECMA-376, Office Open XML).

A file of ten MiB can unpack to ten GiB, name a million parts, or nest and repeat elements without
end. What is read here takes memory in proportion to the octets of the file, and stops early where
no value comes.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO, Final
from xml.parsers.expat import ExpatError, ParserCreate, XMLParserType
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

#: octets of the directory of a file: about 3,000 parts
_MAX_DIRECTORY = 1 << 18

#: how many times its size a part may unpack to, if it is not small; sheets take about 10
_MAX_RATIO, _SMALL = 100, 1 << 20

#: octets that any part may unpack to
_MAX_PART = 1 << 32

#: octets that are read at once: the cells in them may have long texts
_PIECE = 1 << 13

#: octets of one tag, such as that of 8,192 selected cells; and of XML in which no value comes, such
#: as that of about 50,000 formatted rows without texts
_MAX_TAG, _MAX_IDLE = 1 << 16, 1 << 23

#: characters of a namespace, which is put before each name of an element or attribute
_MAX_NAMESPACE = 255

_MAX_DEPTH = 64

_DAMAGED = "is damaged or was cut off: open it in Excel and save it again"

_TOO_LARGE = (
    "unpacks to far more than a list of users needs: copy the rows of the users to a new workbook"
)

_EMPTY_ROWS = (
    "has many rows or cells that are formatted and empty: delete the rows below the last user, and "
    "save it again"
)

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = b"PK"

# Entries of the directory of an OLE container (MS-CFB) with an encrypted file (MS-OFFCRYPTO).
_ENCRYPTED = tuple(name.encode("utf-16-le") for name in ("DataSpaces", "EncryptedPackage"))


class WorkbookFault(Exception):
    """The file cannot be read as a workbook: the text completes "the file ..."."""


class PartHandler:
    """Receives elements of a part.

    Args:
        tags: the name of an element with its namespace -> the name that `open` and `close` get.
    """

    def __init__(self, tags: Mapping[str, str]) -> None:
        #: how many values were found so far
        self.values: int = 0
        #: whether the rest of the part is of no use
        self.is_done: bool = False
        self._tags = tags
        self._depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Take the start of an element."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise WorkbookFault(_DAMAGED)
        if tag := self._tags.get(name):
            self.open(tag, attributes)

    def end(self, name: str) -> None:
        """Take the end of an element."""
        self._depth -= 1
        if tag := self._tags.get(name):
            self.close(tag)

    def open(self, tag: str, attributes: dict[str, str], /) -> None:
        """Take the start of a listed element."""

    def close(self, tag: str, /) -> None:
        """Take the end of a listed element."""

    def text(self, data: str, /) -> None:
        """Take a part of the text of any element."""


class Package:
    """The zip archive of a workbook.

    Args:
        stream: of the file; it must be seekable.

    Raises:
        WorkbookFault: it is not such an archive.
    """

    def __init__(self, stream: BinaryIO) -> None:
        stream.seek(0)
        begin = stream.read(len(_OLE))
        if begin == _OLE:
            raise WorkbookFault(_ole_fault(stream))
        if not begin.startswith(_ZIP):
            raise WorkbookFault(
                "is not an Excel workbook, though it is read as one: save it as .xlsx"
            )
        with _damage_found():
            self._zip = ZipFile(_Archive(stream))
        #: octets of the file
        self.size: Final = stream.seek(0, 2)
        self._parts = {_key(part.filename): part for part in self._zip.infolist()}

    def __contains__(self, name: str) -> bool:
        return _key(name) in self._parts

    def parse(self, name: str, handler: PartHandler, most: int = _MAX_PART) -> Iterator[float]:
        """Parse a part; iterate over the share of it that was read, after each piece.

        Args:
            name: of the part.
            handler: receives its elements.
            most: octets of the part.

        Raises:
            WorkbookFault: it is not there, not XML, or beyond a limit.
        """
        part = self._checked(name, most)
        parser = _parser(handler)
        read = last_value = values = 0
        with _damage_found(), self._zip.open(part) as stream:
            while not handler.is_done and (piece := stream.read(_PIECE)):
                parser.Parse(piece)
                read += len(piece)
                if handler.values != values:
                    values, last_value = handler.values, read
                if read - last_value > _MAX_IDLE:
                    raise WorkbookFault(_EMPTY_ROWS)
                if read - parser.CurrentByteIndex > _MAX_TAG:
                    raise WorkbookFault(_DAMAGED)
                yield read / part.file_size
            if not handler.is_done:
                # After a long tag, expat waits for more octets, and finds the last values only now.
                parser.Parse(b"", True)
                yield 1.0

    def _checked(self, name: str, most: int) -> ZipInfo:
        part = self._parts.get(_key(name))
        if part is None or part.compress_size > self.size:
            raise WorkbookFault(_DAMAGED)
        if part.flag_bits & 1:
            raise WorkbookFault("is protected by a password: save it without one")
        if part.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise WorkbookFault(_DAMAGED)
        if part.file_size > min(most, max(_SMALL, part.compress_size * _MAX_RATIO)):
            raise WorkbookFault(_TOO_LARGE)
        return part


class _Archive:
    """The stream as `ZipFile` reads it: its directory at once, so that a long one is refused."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.tell = stream.tell

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._stream.seek(offset, whence)
        except (OSError, ValueError, OverflowError):  # before the beginning
            raise BadZipFile from None

    def read(self, size: int = -1) -> bytes:
        if size > _MAX_DIRECTORY:
            raise WorkbookFault("has too many parts for a workbook with a list of users")
        return self._stream.read(_MAX_DIRECTORY if size < 0 else size)


@contextmanager
def _damage_found() -> Iterator[None]:
    """Say that a file is damaged, whatever `zipfile` and expat find."""
    try:
        yield
    except (
        *(BadZipFile, zlib.error, struct.error, EOFError, ExpatError),
        # `RuntimeError` is for a part that is encrypted, or packed by a method that `zipfile` does
        # not have; `LookupError` is for the encoding that the XML says it has.
        *(ValueError, OverflowError, RuntimeError, LookupError),
    ):
        raise WorkbookFault(_DAMAGED) from None


def _parser(handler: PartHandler) -> XMLParserType:
    # Without an intern table, which would keep each name until the parser ends.
    parser = ParserCreate(namespace_separator=" ", intern=None)
    parser.buffer_text = True
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    # No workbook has one, and entities can grow without end.
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartNamespaceDeclHandler = _check_namespace
    return parser


def _refuse_doctype(*_declaration: object) -> None:
    raise WorkbookFault(_DAMAGED)


def _check_namespace(_prefix: str | None, uri: str | None) -> None:
    if len(uri or "") > _MAX_NAMESPACE:
        raise WorkbookFault(_DAMAGED)


def _key(name: str) -> str:
    """Return the name of a part as it is compared (part 2, 6.2.2.3)."""
    return name.replace("\\", "/").lower()


def _ole_fault(stream: BinaryIO) -> str:
    header = stream.read(56).ljust(56, b"\0")
    sector_size, first = 1 << (header[22] & 15), int.from_bytes(header[40:44], "little")
    stream.seek((first + 1) * sector_size)
    directory = stream.read(_MAX_DIRECTORY)
    if any(name in directory for name in _ENCRYPTED):
        return "is protected by a password: save it without one"
    return "is an old Excel workbook (.xls): save it as .xlsx"
