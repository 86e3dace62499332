"""Scan the text of a JSON file: take keys and values, and turn offsets into lines and columns."""

import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Any

from anyscale.users_file.entry_collector import Place
from anyscale.users_file.input_stream import MAX_ENTRY, Fatal, InputStream

_blank = re.compile(r"[ \t\n\r]*").match


# No field has a number. Its length stands for it: to compute a million digits would take minutes.
_decode_value = JSONDecoder(parse_int=len, parse_float=len, parse_constant=len).raw_decode


def _number(digits: str) -> int:
    return int(digits[:_DIGITS])


# What other systems export has numbers, such as those of iterations.
_DIGITS = 18
_decode_numbers = JSONDecoder(parse_int=_number, parse_float=len, parse_constant=len).raw_decode


class JsonText:
    """The part of the file that is in memory, and the offset up to which it was read.

    With `numbers`, whole numbers in values are read; else their lengths stand for them. With
    `lines`, no list or map goes on after the line where it begins.
    """

    def __init__(self, source: InputStream, *, numbers: bool = False, lines: bool = False) -> None:
        self.source = source
        self._has_lines = lines
        self._decode = _decode_numbers if numbers else _decode_value
        self.text: str = ""
        self.at: int = 0
        self._ended = False
        self._line = 1
        self._known = 0  # the offset whose line is `_line`
        self._cut = 0  # characters of that line before the start of `text`
        self._first_cut = 0  # the same for the first line of `text`
        self._begin = 0  # where the current entry begins, or the blanks before it

    def fill(self) -> None:
        """Read ahead as much as one entry may take; drop the text that was read."""
        self._begin = self.at
        if self._ended or len(self.text) - self.at >= MAX_ENTRY:
            return
        pieces, size = [], 0
        while size < MAX_ENTRY and (piece := self.source.read_text()):
            pieces.append(piece)
            size += len(piece)
        self._ended = size < MAX_ENTRY
        self.place(self.at)
        self._cut += self.at
        self._first_cut = self._cut
        self._known -= self.at
        self.text = self.text[self.at :] + "".join(pieces)
        self.at = self._begin = 0

    def peek(self) -> str:
        """Skip blanks; return the next character without taking it, or an empty text."""
        if match := _blank(self.text, self.at):
            self.at = match.end()
        return self.text[self.at : self.at + 1]

    def peek_far(self) -> str:
        """Skip any number of blanks between two entries; then return as `peek` does."""
        while True:
            self.fill()
            if (character := self.peek()) or self._ended:
                self.fill()  # the blanks may have been most of the text in memory
                return character

    def take_key(self) -> tuple[str, int]:
        """Take a key and the colon after it; return the key and its offset."""
        if self.peek() != '"':
            raise self.syntax("a key in double quotes is missing here")
        offset = self.at
        key = self._string()
        if self.peek() != ":":
            raise self.syntax("':' is missing after a key")
        self.at += 1
        return key, offset

    def take_value(self) -> tuple[Any, int]:
        """Take a value of any type; return it and its offset."""
        character, offset = self.peek(), self.at
        if character == '"':
            return self._string(), offset
        try:
            if self._has_lines and character in ("[", "{"):
                value, self.at = self._decoded_line(offset)
            else:
                value, self.at = self._decode(self.text, offset)
        except JSONDecodeError as error:
            raise self._broken(error) from None
        except RecursionError:
            raise self.fatal("depth", "nested too deeply for a users file") from None
        return value, offset

    def more(self, end: str) -> bool:
        """Take the comma or the end after a member; return whether it was a comma."""
        character = self.peek()
        if character not in (",", end):
            raise self.syntax(f"',' or '{end}' is missing here")
        comma = self.at
        self.at += 1
        if character == "," and self.peek() == end:
            self.at = comma
            raise self.syntax(f"a ',' before the '{end}': remove it")
        return character == ","

    def end_of_line(self) -> int:
        """Return the offset where this line ends, as far as it is in memory."""
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def skip_line(self) -> None:
        while (end := self.text.find("\n", self.at)) < 0:
            self.at = len(self.text)
            if self._ended:
                return
            self.fill()
        self.at = end + 1

    def place(self, offset: int) -> Place:
        """Turn an offset into line and column; this is fast if it follows the offset before."""
        if back := offset < self._known:
            self._line -= self.text.count("\n", offset, self._known)
            self._cut = self._first_cut
        else:
            self._line += self.text.count("\n", self._known, offset)
        start = self.text.rfind("\n", 0 if back else self._known, offset)
        if start >= 0:
            self._cut = -start - 1
        self._known = offset
        return Place(self._line, offset + self._cut + 1)

    def fatal(self, code: str, detail: str) -> Fatal:
        return self.source.fatal(code, detail, *self.place(self.at))

    def syntax(self, detail: str) -> Fatal:
        """Return the error of a text that is not JSON, or of an entry that is too long."""
        if self.at >= len(self.text) and not self._ended:
            self.at = self._begin
            self.peek()
            return self.fatal("too_long", f"this entry is larger than {MAX_ENTRY >> 20} MiB")
        return self.fatal("syntax", f"not valid JSON: {detail}")

    def _decoded_line(self, offset: int) -> tuple[Any, int]:
        """Decode a value that ends on its line; return it and its end."""
        # Else each of a thousand open lists would be read up to the end of the last one.
        line = self.text[offset : self.end_of_line() + 1]
        try:
            value, size = self._decode(line)
        except JSONDecodeError as error:
            error.pos += offset
            raise
        return value, offset + size

    def _string(self) -> str:
        try:
            value, self.at = scanstring(self.text, self.at + 1, True)
        except JSONDecodeError as error:
            raise self._broken(error) from None
        return str(value)

    def _broken(self, error: JSONDecodeError) -> Fatal:
        is_cut = "Unterminated" in error.msg and not self._ended
        self.at = len(self.text) if is_cut else error.pos
        return self.syntax(_SYNTAX.get(error.msg, error.msg[:1].lower() + error.msg[1:]))


_SYNTAX = {
    "Expecting value": "a value is missing here: a text in double quotes, true, false or null",
    "Invalid control character at": "a line break or a control character inside a text: "
    "remove it, or close the quote before it",
    "Unterminated string starting at": "the double quote that opens here is never closed",
    "Invalid \\escape": r"an unknown escape: write \\ for a backslash",
}


def members(text: JsonText, end: str) -> Iterator[None]:
    """Iterate over the members of a map or list; the caller takes each."""
    text.at += 1
    more = text.peek_far() != end
    if not more:
        text.at += 1
    while more:
        text.peek_far()
        yield
        text.peek_far()
        more = text.more(end)
