"""Read the bytes of a users file as UTF-8 text, and limit the size of an entry."""

import io
import re
from codecs import BOM_UTF8, IncrementalDecoder, getincrementaldecoder
from collections.abc import Callable
from io import IncrementalNewlineDecoder
from typing import BinaryIO, Final

from anyscale.domain.spreadsheets import cell_name
from anyscale.errors import Problem

#: bytes of one entry, comments included; the largest valid one has a fiftieth of it
MAX_ENTRY: Final = 1 << 20

_PIECE = 1 << 16

#: Between two entries of YAML, as many times `MAX_ENTRY` of blank lines and comments are skipped.
_BLANKS_PER_ENTRY = 16

_CONTENT = re.compile(rb"\n[ \t\r]*[^#\s]")

# YAML forbids the first set. It counts those of the second set as line ends, which editors do not,
# so every position after one of them would be wrong.
_NOT_IN_YAML = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]|[\x85\u2028\u2029]"
)

# No forbidden character begins with one of these octets in UTF-8. A text of only these octets is
# not searched by the pattern, since looking for other octets takes a tenth of its time.
_HARMLESS = bytes({*b"\t\n\r", *range(0x20, 0x7F), *range(0x80, 0x100)} - {0xC2, 0xE2, 0xEF})

#: lines that begin with `%`: libyaml compares each directive of a document with all before it
_MAX_DIRECTIVES = 100

_directives = re.compile("^%", re.MULTILINE).finditer

# How other files begin. UTF-32 and UTF-16 have a byte order mark, or zeros beside ASCII.
_UTF = (
    (rb"\xff\xfe\0\0|\0\0\xfe\xff|[^\0]\0\0\0|\0\0\0[^\0]", "UTF-32 text: save it as UTF-8"),
    (rb"\xff\xfe|\xfe\xff|[^\0]\0[^\0]\0|\0[^\0]\0[^\0]", "UTF-16 text: save it as UTF-8"),
)
_FOREIGN = (
    (
        rb"PK\x03\x04[\s\S]{26}mimetypeapplication/vnd\.oasis\.opendocument\.spreadsheet",
        "an OpenDocument spreadsheet: save it as .xlsx, or as CSV (UTF-8)",
    ),
    (
        rb"PK\x03\x04[\s\S]{,8192}PK\x03\x04[\s\S]{26}word/",
        "a Word document: copy its table to a spreadsheet, and save that as CSV (UTF-8)",
    ),
    (rb"PK\x03\x04", "an Excel workbook or a zip archive: use --format xlsx if it is one"),
    (
        rb"\xd0\xcf\x11\xe0",
        "an old or password-protected spreadsheet: save it as .xlsx without a password",
    ),
    (rb"\x1f\x8b", "compressed: unpack it first"),
    (rb"%PDF", "a PDF document: export the users as CSV (UTF-8)"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", "an image: export the users as CSV (UTF-8)"),
    (
        rb"(?i)\s*<(?:!doctype html|html|head|body|table)\b",
        "a web page, and not a list: export the users as CSV (UTF-8)",
    ),
    (
        rb"(?:\xef\xbb\xbf)?\s*<\?xml\b",
        "XML, such as a flat OpenDocument spreadsheet: save it as .xlsx, or as CSV (UTF-8)",
    ),
)

_NOT_UTF8 = (
    "the file is not UTF-8 from here on (Latin-1 or Windows-1252 look like this): save it as UTF-8"
)
_TRUNCATED = (
    "the file ends in the middle of a character: if it was cut off, take the whole one, else save "
    "it as UTF-8"
)


class CapturedInput(io.BytesIO):
    """Input that can be read only once: what was read of it is kept, and can be read again.

    Nothing after the first fatal problem is read: a device may never end.

    Raises:
        OSError: it cannot be read.
    """

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._rest: BinaryIO | None = stream
        self.read(_PIECE)
        self.seek(0)

    def read(self, size: int | None = -1) -> bytes:
        missing = self.tell() + (size or 0) - self.getbuffer().nbytes
        if self._rest and missing > 0:
            position = self.tell()
            piece = self._rest.read(missing)
            super().seek(0, io.SEEK_END)
            self.write(piece)
            super().seek(position)
            if len(piece) < missing:  # a terminal would wait for more after its end
                self._rest = None
        return super().read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; read up to the end of the input if the place is counted from there."""
        if whence == io.SEEK_END and self._rest:
            position = super().seek(0, io.SEEK_END)
            while self.read(_PIECE):
                pass
            super().seek(position)
        return super().seek(offset, whence)

    def close(self) -> None:
        if self._rest:
            self._rest.close()
        super().close()


class Fatal(Exception):
    """The file cannot be read from the place of the problem on."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class InputStream:
    """Reads a binary stream as UTF-8, and stops at the first place that cannot be read.

    The text before that place is returned first, so that its own problems are found too.

    Args:
        stream: at its beginning.
        entries: returns the number of entries that were read so far. With it, an entry longer than
            `MAX_ENTRY` stops the reading, which limits the memory of a parser.
        yaml: whether to stop at the characters that YAML forbids, and at too many directives.
        cells: whether places are rows and columns of a spreadsheet.
        encoding: of the text, by Python's name; None for UTF-8.
    """

    def __init__(
        self,
        stream: BinaryIO,
        name: str,
        entries: Callable[[], int] | None = None,
        *,
        yaml: bool = False,
        cells: bool = False,
        encoding: str | None = None,
    ) -> None:
        self.name = name
        #: for a reader of other files than texts
        self.stream: Final = stream
        #: bytes read so far
        self.total: int = 0
        #: whether the last piece was too short for another one after it
        self.is_last_piece: bool = False
        #: whether the last line that was read has an end
        self.is_terminated: bool = True
        self._has_cells = cells
        self._entries = entries
        self._is_yaml = yaml
        self._directives = 0
        self._forbidden = _forbidden_in_yaml if yaml else re.compile("\x00").search
        # YAML takes CR for a line end too, and its parser counts it as one.
        self._encoding = encoding
        decoder = getincrementaldecoder(encoding or "utf-8")()
        self._decoder = IncrementalNewlineDecoder(decoder, translate=True) if yaml else decoder
        #: tells whether a text that is to be read otherwise is UTF-8; None once it is not
        self._utf8 = getincrementaldecoder("utf-8")() if encoding else None
        self._line = 1
        self._column = 1
        self._last_entry = 0
        self._since_entry = 0
        self._fatal: Fatal | None = None

    def read_text(self) -> str:
        """Return the next piece of text; an empty one at the end.

        Raises:
            Fatal: the file cannot be read from here on.
        """
        if self._fatal:
            raise self._fatal
        text = ""
        while not text and not self._fatal:
            piece = self._read_piece()
            if self.total == 0:
                piece = self._without_bom(piece)
            self.total += len(piece)
            self._check_entry_size(self._weight(piece))
            text = self._checked(piece)
            if not piece:
                break
        self._line, self._column = _after(text, self._line, self._column)
        if self._fatal and not text:
            raise self._fatal
        return text

    def note_entries(self) -> None:
        """Count the size of the next entry from the last piece on.

        The piece was read ahead, before the entries above it were counted.
        """
        if self._entries is not None:
            self._last_entry = self._entries()

    def fatal(self, code: str, detail: str, line: int, column: int) -> Fatal:
        """Return the error that ends the reading at a place."""
        cell = cell_name(line, column) if self._has_cells else None
        return Fatal(
            Problem(code=code, detail=detail, file=self.name, line=line, column=column, cell=cell)
        )

    def _read_piece(self) -> bytes:
        # Always a full one, even if the stream returns less at a time: the limits below count
        # whole pieces, and the same bytes must always give the same result.
        parts, size = [], 0
        while size < _PIECE and (part := self.stream.read(_PIECE - size)):
            parts.append(part)
            size += len(part)
        self.is_last_piece = size < _PIECE
        return b"".join(parts)

    def _without_bom(self, piece: bytes) -> bytes:
        for beginning, mend in (*(() if _is_wide(self._encoding) else _UTF), *_FOREIGN):
            if re.match(beginning, piece):
                raise self.fatal("encoding", f"the file is {mend}", 1, 1)
        bom = b"" if self._encoding else BOM_UTF8
        self.total = len(piece) - len(piece.removeprefix(bom))
        return piece.removeprefix(bom)

    def _weight(self, piece: bytes) -> int:
        """Return how much a piece counts: its size, or a part of it for blank lines and comments.

        Blank lines count, since YAML's parser stores a line end for each of them after a text.
        """
        first_end = piece.find(b"\n")
        if not self._is_yaml or first_end < 0 or _CONTENT.search(piece, first_end):
            return len(piece)
        return len(piece) // _BLANKS_PER_ENTRY

    def _check_entry_size(self, size: int) -> None:
        if self._entries is None:
            return
        if (entries := self._entries()) != self._last_entry:
            self._last_entry, self._since_entry = entries, 0
        self._since_entry += size
        if self._since_entry > MAX_ENTRY + _PIECE:
            detail = (
                f"no entry ends in the {MAX_ENTRY >> 20} MiB before this place: "
                "it is too long, as one of a directory with a photo, or a quote is never closed"
            )
            raise self.fatal("too_long", detail, self._line, self._column)

    def _checked(self, piece: bytes) -> str:
        if self._utf8:
            self._check_not_utf8(self._utf8, piece)
        _, state = self._decoder.getstate()
        try:
            text = self._decoder.decode(piece, final=not piece)
        except UnicodeError as error:
            # The decoder may still have the start of a character from the piece before.
            self._decoder.setstate((b"", state))
            # UTF-16 without a byte order mark is an error without a place.
            right = error.object[: error.start] if isinstance(error, UnicodeDecodeError) else b""
            text = self._decoder.decode(right, final=True)
            self._stop_at(text, "encoding", self._not_in_encoding(is_end=not piece))
        if match := self._forbidden(text):
            text = text[: match.start()]
            self._stop_at(text, "character", _character_detail(match[0]))
        if self._is_yaml and ("\n%" in text or text.startswith("%")):
            text = self._before_directives(text)
        if text:
            self.is_terminated = text.endswith(("\n", "\r"))
        return text

    def _before_directives(self, text: str) -> str:
        """Return a text up to the first directive that is too many, where reading stops."""
        for match in _directives(text):
            at = match.start()
            self._directives += at > 0 or self.is_terminated
            if self._directives > _MAX_DIRECTIVES:
                detail = f"more than {_MAX_DIRECTIVES} lines begin with %: remove those lines"
                self._stop_at(text[:at], "syntax", detail)
                return text[:at]
        return text

    def _check_not_utf8(self, decoder: IncrementalDecoder, piece: bytes) -> None:
        """Raise `Fatal` if a text that is to be read otherwise is UTF-8: letters would change."""
        try:
            is_ascii = decoder.decode(piece, final=not piece).isascii()
        except UnicodeDecodeError:
            self._utf8 = None
            return
        if not is_ascii:
            detail = f"the file is UTF-8, and not {self._encoding}: read it without an encoding"
            raise self.fatal("encoding", detail, self._line, self._column)

    def _not_in_encoding(self, *, is_end: bool) -> str:
        if self._encoding:
            return f"the file is not {self._encoding} from here on: name another encoding"
        return _TRUNCATED if is_end else _NOT_UTF8

    def _stop_at(self, text: str, code: str, detail: str) -> None:
        line, column = _after(text, self._line, self._column)
        self._fatal = self.fatal(code, detail, line, column)


def is_other_file(octets: bytes) -> bool:
    """Whether a file begins as a workbook, an archive or a document, which are not texts."""
    return any(re.match(beginning, octets) for beginning, _ in _FOREIGN)


def _is_wide(encoding: str | None) -> bool:
    return encoding is not None and len(" ".encode(encoding)) > 1


def _forbidden_in_yaml(text: str) -> re.Match[str] | None:
    return _NOT_IN_YAML.search(text) if text.encode().translate(None, _HARMLESS) else None


def _after(text: str, line: int, column: int) -> tuple[int, int]:
    ends = text.count("\n")
    if not ends:
        return line, column + len(text)
    return line + ends, len(text) - text.rfind("\n")


def _character_detail(character: str) -> str:
    if character == "\x00":
        return "the file is binary from here on (it has a NUL byte): users are read from text"
    code = f"U+{ord(character):04X}"
    return f"the file has the character {code}, which YAML does not allow: remove it"
