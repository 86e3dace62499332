"""JSON and JSON Lines, an entry at a time, with every position and duplicate key."""

import re
from collections.abc import Callable, Iterator
from json import JSONDecodeError, JSONDecoder
from json.decoder import scanstring  # type: ignore[attr-defined]  # typeshed leaves it out
from typing import Any, cast

from anyscale.errors import Problem
from anyscale.user.files.entries import NOT_A_MAP, Entries, Place, PlacedFault, Value, unknown_key
from anyscale.user.files.source import MAX_ENTRY, Fatal, Source
from anyscale.user.validate import FIELDS, CheckedUser, check, shown

__all__ = ["read_json", "read_jsonl"]

_TOP = "create_users"
_LINE = '{"name": "Jane", "email": "jane@example.com"}'
_EXAMPLE = f'{{"create_users": [{_LINE}]}}'

_blank = cast("Callable[[str, int], re.Match[str]]", re.compile(r"[ \t\n\r]*").match)
_line_is_over = re.compile(r"[ \t\r]*(?:\n|\Z)").match

# Nearly every field is a text without escapes, true, false or null: one match takes all of it.
_S = r"[ \t\n\r]*"
_TEXT = r'"([^"\\\x00-\x1f]*)"'
_plain_pair = re.compile(
    rf"{_S}{_TEXT}{_S}:{_S}(?:{_TEXT}|(true|false|null)){_S}(\}}|,(?!{_S}\}}))"
).match
_WORDS = {"true": True, "false": False, "null": None}

_FIELD_SET = frozenset(FIELDS)


class _Number:
    """A number, which no field holds. It is not computed: one of a million digits takes minutes."""


_NUMBER = _Number()


def _number(_text: str) -> _Number:
    return _NUMBER


_decode_value = JSONDecoder(
    parse_int=_number, parse_float=_number, parse_constant=_number
).raw_decode


class _Text:
    """The part of the file that is being read, and how far it was taken."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.text = ""
        self.at = 0
        self._ended = False
        self._line = 1
        self._known = 0  # the offset whose line is `_line`
        self._cut = 0  # characters of that line that are no longer in `text`
        self._first_cut = 0  # the same for the first line of `text`
        self._begin = 0  # where the current entry begins, or the blanks before it

    def fill(self) -> None:
        """Have as much ahead as one entry may take. What was taken is let go of."""
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
        """Skip blanks and give the next character without taking it; nothing at the end."""
        self.at = _blank(self.text, self.at).end()
        return self.text[self.at : self.at + 1]

    def peek_far(self) -> str:
        """Do the same between two entries, where blanks may go on for long."""
        while True:
            self.fill()
            if (character := self.peek()) or self._ended:
                return character

    def take_key(self) -> tuple[str, int]:
        """Take a key and the colon after it; give it and its offset."""
        if self.peek() != '"':
            raise self.syntax("a key in double quotes is missing here")
        offset = self.at
        key = self._string()
        if self.peek() != ":":
            raise self.syntax("':' is missing after a key")
        self.at += 1
        return key, offset

    def take_value(self) -> tuple[Any, int]:
        """Take a value, whatever it is; give it and its offset."""
        character, offset = self.peek(), self.at
        if character == '"':
            return self._string(), offset
        try:
            value, self.at = _decode_value(self.text, offset)
        except JSONDecodeError as error:
            raise self._broken(error) from None
        except RecursionError:
            raise self.fatal("depth", "nested too deeply for a users file") from None
        return value, offset

    def more(self, end: str) -> bool:
        """Take what follows a member: whether it is a comma and not the end."""
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
        """Give the offset at which this line ends, as far as it is in memory."""
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def skip_line(self) -> None:
        """Go on after the end of this line."""
        while (end := self.text.find("\n", self.at)) < 0:
            self.at = len(self.text)
            if self._ended:
                return
            self.fill()
        self.at = end + 1

    def place(self, offset: int) -> Place:
        """Turn an offset into a line and a column: quickly if it follows the last asked for."""
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
        """Make the error that ends the reading at this place."""
        return self.source.fatal(code, detail, *self.place(self.at))

    def syntax(self, detail: str) -> Fatal:
        """Make the error of a text that is not JSON, or of an entry that does not end."""
        if self.at >= len(self.text) and not self._ended:
            self.at = _blank(self.text, self._begin).end()
            return self.fatal("too_long", f"what begins here takes more than {MAX_ENTRY >> 20} MiB")
        return self.fatal("syntax", f"not valid JSON: {detail}")

    def _string(self) -> str:
        try:
            value, self.at = scanstring(self.text, self.at + 1, True)
        except JSONDecodeError as error:
            raise self._broken(error) from None
        return str(value)

    def _broken(self, error: JSONDecodeError) -> Fatal:
        if "Unterminated" in error.msg and not self._ended:
            self.at = len(self.text)
        else:
            self.at = error.pos
        reason = _SYNTAX.get(error.msg, error.msg[:1].lower() + error.msg[1:])
        return self.syntax(reason)


_SYNTAX = {
    "Expecting value": "a value is missing here: a text in double quotes, true, false or null",
    "Invalid control character at": "a line break or a control character inside a text: "
    "remove it, or close the quote before it",
    "Unterminated string starting at": "the double quote that opens here is never closed",
    "Invalid \\escape": r"an unknown escape: write \\ for a backslash",
}


def read_json(source: Source, entries: Entries) -> Iterator[CheckedUser]:
    """Read the users of a JSON file, in order; what is wrong goes to `entries`.

    Raises:
        Fatal: nothing after some place can be read.
    """
    text = _Text(source)
    if not text.peek_far():
        raise text.fatal("empty", f"the file has no users: it needs {_EXAMPLE}")
    if text.peek() != "{":
        raise text.fatal("top", f"the file must hold a map with a list: {_EXAMPLE}")
    start = text.place(text.at)
    text.at += 1
    seen = False
    more = text.peek_far() != "}"
    text.at += not more
    while more:
        text.fill()
        key, offset = text.take_key()
        if key == _TOP and not seen:
            seen = True
            yield from _list(text, entries)
        else:
            entries.problem(text.place(offset), *_wrong_key(key))
            text.take_value()
        text.peek_far()
        more = text.more("}")
    if not seen and not entries.problems:
        raise source.fatal("empty", f"the file has no users: it needs {_EXAMPLE}", *start)
    if text.peek_far():
        raise text.fatal("documents", "something follows the end of the users: remove it")


def _wrong_key(key: str) -> tuple[str, str]:
    if key == _TOP:
        return "duplicate_key", f"the key {_TOP!r} is there a second time"
    return "unknown_key", f"unknown key {shown(key)}: the file holds one key, {_TOP!r}"


def _list(text: _Text, entries: Entries) -> Iterator[CheckedUser]:
    if text.peek_far() != "[":
        detail = f"{_TOP!r} must hold a list ([] is an empty one)"
        entries.problem(text.place(text.at), "type", detail)
        text.take_value()
        return
    text.at += 1
    more = text.peek_far() != "]"
    text.at += not more
    while more:
        text.fill()
        entry = _entry(text)
        if user := entry.finish(text, entries):
            yield user
        text.peek_far()
        more = text.more("]")


def read_jsonl(source: Source, entries: Entries) -> Iterator[CheckedUser]:
    """Read the users of a JSON Lines file: one map a line, blank lines passed over.

    A line that is not JSON is a problem of its own, and reading goes on after it.

    Raises:
        Fatal: nothing after some place can be read.
    """
    text = _Text(source)
    while text.peek_far():
        end = text.end_of_line()
        try:
            entry = _entry(text)
            if text.at > end or not _line_is_over(text.text, text.at):
                raise text.syntax("something follows the user on its line: one line, one user")
        except Fatal as error:
            if error.problem.code == "too_long":
                raise
            _refuse_line(error.problem, end, text, entries)
        else:
            if user := entry.finish(text, entries):
                yield user
    if not entries.count:
        raise source.fatal("empty", f"the file has no users: it needs lines like {_LINE}", 1, 1)


def _refuse_line(problem: Problem, end: int, text: _Text, entries: Entries) -> None:
    if text.at > end:  # It was noticed on a later line, which may be right by itself.
        text.at = end
        problem = text.syntax("the line ends before its user does: one line, one user").problem
    place = Place(problem.line or 1, problem.column or 1)
    entries.refuse(place, problem.code, problem.detail)
    text.skip_line()


class _Entry:
    """One entry as it stands in the file: what its fields hold, and their offsets."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.values: dict[str, Value] = {}
        self.offsets: dict[str, int] = {}
        #: offset, field, code, detail
        self.faults: list[tuple[int, str | None, str, str]] = []

    def take(self, key: str, key_offset: int, value: Any, offset: int) -> None:
        """Take one field."""
        if key not in _FIELD_SET:
            self.faults.append((key_offset, None, "unknown_key", unknown_key(key)))
        elif key in self.offsets:
            self.faults.append((key_offset, key, "duplicate_key", "is there a second time"))
        else:
            self.offsets[key] = offset
            if wrong := _type_fault(key, value):
                self.faults.append((offset, key, "type", wrong))
            else:
                self.values[key] = value

    def finish(self, text: _Text, entries: Entries) -> CheckedUser | None:
        """Hand the entry over, with the places that are needed: those of a right one are few."""
        if self.faults and self.faults[0][3] is NOT_A_MAP:
            entries.refuse(text.place(self.offset), "type", NOT_A_MAP)
            return None
        get = self.values.get
        name, email, offset = get("name"), get("email"), self.offsets.get("email")
        if not self.faults and offset and isinstance(name, str) and isinstance(email, str):
            values = cast(
                "tuple[str | None, bool, str | None, str | None]",
                (
                    get("password"),
                    get("is_sso_user") is True,
                    get("lastname"),
                    get("title"),
                ),
            )
            if user := check(name, email, *values, entries.policy):
                return entries.accept(user, *text.place(offset))
        known = {*self.offsets.values(), self.offset, *(fault[0] for fault in self.faults)}
        places = {offset: text.place(offset) for offset in sorted(known)}
        faults = [
            PlacedFault(places[offset], field, code, detail)
            for offset, field, code, detail in self.faults
        ]
        own = {field: places[offset] for field, offset in self.offsets.items()}
        return entries.finish(places[self.offset], self.values, own, faults)


def _entry(text: _Text) -> _Entry:
    """Take one entry; it is whole in memory, or too long."""
    entry = _Entry(text.at)
    if text.peek() != "{":
        text.take_value()
        entry.faults.append((entry.offset, None, "type", NOT_A_MAP))
        return entry
    text.at += 1
    more = text.peek() != "}"
    text.at += not more
    while more:
        if found := _plain_pair(text.text, text.at):
            key, value, word, end = found.groups()
            if word:
                entry.take(key, found.start(1) - 1, _WORDS[word], found.start(3))
            else:
                entry.take(key, found.start(1) - 1, value, found.start(2) - 1)
            text.at = found.end()
            more = end == ","
        else:
            entry.take(*text.take_key(), *text.take_value())
            more = text.more("}")
    return entry


def _type_fault(field: str, value: Any) -> str | None:
    if field == "is_sso_user":
        return None if isinstance(value, bool) else "must be true or false, without quotes"
    if value is None or isinstance(value, str):
        return None
    kinds = {_Number: "a number", bool: "true or false", list: "a list", dict: "a map"}
    return f"must be a text in double quotes, not {kinds[type(value)]}"
