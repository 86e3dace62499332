"""Read users from JSON and JSON Lines, an entry at a time, with positions and duplicate keys."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from anyscale.domain.validation import FIELDS, FLAGS, SERVER_FIELDS, CheckedUser, shown
from anyscale.errors import Problem
from anyscale.users_file.entry_collector import (
    MAX_FAULTS,
    NOT_A_MAP,
    REQUIRED,
    TOO_MANY,
    EntryCollector,
    Place,
    PlacedFault,
)
from anyscale.users_file.field_words import boolean_fault, meant_field, unknown_key
from anyscale.users_file.input_stream import Fatal, InputStream
from anyscale.users_file.json_scanner import JsonText, members
from anyscale.users_file.manifest import KEY

_TOP = "create_users"
_LINE = '{"name": "Jane", "email": "jane@example.com"}'
_EXAMPLE = f'{{"create_users": [{_LINE}]}}'

_FOLLOWS = "something follows the end of the users: remove it"
_USE_JSONL = "if the file has one object a line, use --format jsonl"

_line_is_over = re.compile(r"[ \t\r]*(?:\n|\Z)").match

# Nearly every field is a text without escapes, true, false or null: one match reads key and value.
_S = r"[ \t\n\r]*"
_TEXT = r'"([^"\\\x00-\x1f]*)"'
_plain_pair = re.compile(
    rf"{_S}{_TEXT}{_S}:{_S}(?:{_TEXT}|(true|false|null)){_S}(\}}|,(?!{_S}\}}))"
).match
_WORDS = {"true": True, "false": False, "null": None}

#: how the last line of an export begins
_MANIFEST = f'{{"{KEY}":'

_FIELD_SET = frozenset(FIELDS)


def read_json(source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    """Read the users of a JSON file, in order; problems go to `entries`.

    Raises:
        Fatal: the file cannot be read from some place on.
    """
    text = JsonText(source)
    if not text.peek_far():
        raise text.fatal("empty", f"the file has no users: it needs {_EXAMPLE}")
    if text.peek() == "[":
        yield from _list(text, entries)
    elif text.peek() == "{":
        yield from _top(text, entries)
    else:
        detail = f"the file must hold a list of users, or a map with one: {_EXAMPLE}"
        raise text.fatal("top", detail)
    if follows := text.peek_far():
        detail = f"an object follows: {_USE_JSONL}" if follows == "{" else _FOLLOWS
        raise text.fatal("documents", detail)


def _top(text: JsonText, entries: EntryCollector) -> Iterator[CheckedUser]:
    start = text.place(text.at)
    has_users = False
    for _ in members(text, "}"):
        key, offset = text.take_key()
        if key == _TOP and not has_users:
            has_users = True
            yield from _list(text, entries)
        else:
            entries.problem(text.place(offset), *_wrong_key(key))
            text.take_value()
    if not has_users and not entries.problems:
        raise text.source.fatal("empty", f"the file has no users: it needs {_EXAMPLE}", *start)


def _wrong_key(key: str) -> tuple[str, str]:
    if key == _TOP:
        return "duplicate_key", f"the key {_TOP!r} is there a second time"
    mend = f"; {_USE_JSONL}" if key in REQUIRED else ""
    return "unknown_key", f"unknown key {shown(key)}: the file holds one key, {_TOP!r}{mend}"


def _list(text: JsonText, entries: EntryCollector) -> Iterator[CheckedUser]:
    if text.peek_far() != "[":
        detail = f"{_TOP!r} must hold a list ([] is an empty one)"
        entries.problem(text.place(text.at), "type", detail)
        text.take_value()
        return
    for _ in members(text, "]"):
        if user := _entry(text).finish(text, entries):
            yield user


def read_jsonl(source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    """Read the users of a JSON Lines file: one map per line; blank lines are skipped.

    A line that is not JSON is one problem; reading continues after it.

    Raises:
        Fatal: the file cannot be read from some place on.
    """
    text = JsonText(source, lines=True)
    while text.peek_far():
        end = text.end_of_line()
        if text.text.startswith(_MANIFEST, text.at):
            line = text.text[text.at + len(_MANIFEST) : end].rstrip()
            entries.take_manifest(line.removesuffix("}"), text.place(text.at))
            text.skip_line()
            continue
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


def _refuse_line(problem: Problem, end: int, text: JsonText, entries: EntryCollector) -> None:
    if text.at > end:  # The error is on a later line, which may be valid by itself.
        text.at = end
        problem = text.syntax("the line ends before its user does: one line, one user").problem
    place = Place(problem.line or 1, problem.column or 1)
    entries.refuse(place, problem.code, problem.detail)
    text.skip_line()


class _Fault(NamedTuple):
    """A fault at an offset: see `PlacedFault`."""

    offset: int
    field: str | None
    code: str
    detail: str
    meant: str | None = None


class _Entry:
    """One entry of the file: the values of its fields, and their offsets."""

    def __init__(self, offset: int, *, is_map: bool) -> None:
        self.offset = offset
        self.is_map = is_map
        self.values: dict[str, Any] = {}
        #: those of a wrong type
        self.wrong: dict[str, Any] = {}
        self.offsets: dict[str, int] = {}
        #: fields that only the server sets -> the offset, and whether there is a value
        self.server_fields: dict[str, tuple[int, bool]] = {}
        self.faults: list[_Fault] = []

    def take(self, key: str, key_offset: int, value: Any, offset: int) -> None:
        if key in SERVER_FIELDS:
            self.server_fields[key] = offset, bool(value)
        elif key not in _FIELD_SET:
            meant = meant_field(key)
            self.faults.append(_Fault(key_offset, None, "unknown_key", unknown_key(key), meant))
        elif key in self.offsets:
            self.faults.append(_Fault(key_offset, key, "duplicate_key", "is there a second time"))
        else:
            self.offsets[key] = offset
            values = self.values if _has_right_type(key, value) else self.wrong
            values[key] = value

    def finish(self, text: JsonText, entries: EntryCollector) -> CheckedUser | None:
        """Pass the entry on. A valid one needs only the place of its email, which saves time."""
        if not self.is_map:
            entries.refuse(text.place(self.offset), "type", NOT_A_MAP)
            return None
        self._add_wrong_types()
        self._pass_over(entries)
        get = self.values.get
        name = get("name", entries.default_text)
        is_complete = not self.faults and None not in (name, get("email"))
        if is_complete and (user := entries.check(self.values)):
            return entries.accept(user, get("password"), *text.place(self.offsets["email"]))
        offsets = {*self.offsets.values(), self.offset, *(fault.offset for fault in self.faults)}
        places = {offset: text.place(offset) for offset in sorted(offsets)}
        faults = [PlacedFault(places[fault.offset], *fault[1:]) for fault in self.faults]
        of_fields = {field: places[offset] for field, offset in self.offsets.items()}
        return entries.finish(places[self.offset], self.values, of_fields, faults)

    def _pass_over(self, entries: EntryCollector) -> None:
        for field, (offset, is_set) in self.server_fields.items():
            for fault in entries.pass_over(field, Place(0, 0), is_set=is_set):
                self.faults.append(_Fault(offset, *fault[1:]))

    def _add_wrong_types(self) -> None:
        for field, value in self.wrong.items():
            detail = _type_fault(field, value, self.values.get("password"))
            self.faults.append(_Fault(self.offsets[field], field, "type", detail))


def _entry(text: JsonText) -> _Entry:
    """Read one entry, which is completely in memory, or too long."""
    entry = _Entry(text.at, is_map=text.peek() == "{")
    if not entry.is_map:
        text.take_value()
        return entry
    text.at += 1
    more = text.peek() != "}"
    if not more:
        text.at += 1
    while more:
        if match := _plain_pair(text.text, text.at):
            key, value, word, end = match.groups()
            if word:
                entry.take(key, match.start(1) - 1, _WORDS[word], match.start(3))
            else:
                entry.take(key, match.start(1) - 1, value, match.start(2) - 1)
            text.at = match.end()
            more = end == ","
        else:
            entry.take(*text.take_key(), *text.take_value())
            more = text.more("}")
        if len(entry.faults) > MAX_FAULTS:
            raise text.fatal("too_long", TOO_MANY)
    return entry


def _has_right_type(field: str, value: Any) -> bool:
    if field in FLAGS:
        return isinstance(value, bool)
    return value is None or isinstance(value, str)


def _type_fault(field: str, value: Any, password: str | None) -> str:
    if field in FLAGS:
        text = value if isinstance(value, str) else ""
        return boolean_fault(text, "write true or false, without quotes", password)
    kinds = {int: "a number", bool: "true or false", list: "a list", dict: "a map"}
    return f"must be a text in double quotes, not {kinds[type(value)]}"
