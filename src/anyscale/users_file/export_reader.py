"""Read users from JSON that another system has exported: each system maps its entries.

The place of an entry is enough: no person writes such a file.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from anyscale.domain.validation import CheckedUser
from anyscale.users_file.entry_collector import EntryCollector
from anyscale.users_file.input_stream import InputStream
from anyscale.users_file.json_scanner import JsonText, members

#: of the list of users, in a map
_KEY = "users"

_EMPTY = f"the file has no users: it needs a list of them, or a map with the list {_KEY!r}"
_SECOND = "something follows the export: move it to a file of its own"
_JSON_LINES = (
    "the file has an object in each line (JSON Lines): export it as JSON, of Django by `dumpdata`"
    " without --format jsonl"
)


class Mapped(NamedTuple):
    """What a mapping makes of an entry."""

    #: the fields of the user, and `suspended`; None if the entry is none
    values: dict[str, Any] | None
    #: why it is none, in the plural
    kind: str = ""
    is_administrator: bool = False
    #: kind -> how many of what belongs to the user are passed over
    left_out: Mapping[str, int] = {}

    def __repr__(self) -> str:
        return f"Mapped({self.kind!r})"


def read_export(
    source: InputStream,
    entries: EntryCollector,
    map_entry: Callable[[dict[str, Any]], Mapped],
    counted: Mapping[str, str],
) -> Iterator[CheckedUser]:
    """Read the users of a list of entries, or of a map with such a list, in order.

    Args:
        source: the file.
        entries: receives the entries.
        map_entry: returns what an entry is, or raises `msgspec.DecodeError`.
        counted: other keys of the map -> the kind of the entries of their lists.

    Raises:
        Fatal: the file cannot be read from some place on.
    """
    text = JsonText(source, numbers=True)
    character = text.peek_far()
    has_list = character == "["
    if character == "[":
        yield from _list(text, entries, map_entry)
    elif character == "{":
        for _ in members(text, "}"):
            name, _ = text.take_key()
            if name == _KEY and text.peek_far() == "[":
                has_list = True
                yield from _list(text, entries, map_entry)
            else:
                _skip(text, entries, counted.get(name, ""))
    else:
        raise text.fatal("top", "the file must hold a list, or a map with one: export it as JSON")
    if text.peek_far():  # such as a second export, whose users would be lost
        raise text.fatal("documents", _SECOND if has_list else _JSON_LINES)
    if not entries.count and not entries.notes.left_out:
        raise source.fatal("empty", _EMPTY, 1, 1)


def _list(
    text: JsonText, entries: EntryCollector, map_entry: Callable[[dict[str, Any]], Mapped]
) -> Iterator[CheckedUser]:
    for _ in members(text, "]"):
        value, offset = text.take_value()
        place = text.place(offset)
        if not isinstance(value, dict):
            entries.refuse(place, "type", "an entry must be a map")
            continue
        try:
            mapped = map_entry(value)
        except (msgspec.DecodeError, RecursionError) as error:  # its message has no value
            entries.refuse(place, "type", f"the entry is not as its system exports it: {error}")
            continue
        for kind, number in mapped.left_out.items():
            entries.notes.belongings[kind] += number
        entries.notes.administrators += mapped.is_administrator
        if mapped.values is None:
            entries.notes.left_out[mapped.kind] += 1
            continue
        values = {name: one for name, one in mapped.values.items() if one not in (None, "")}
        if user := entries.finish(place, values, dict.fromkeys(values, place), []):
            yield user


def _skip(text: JsonText, entries: EntryCollector, kind: str) -> None:
    """Skip a value, of which each member must fit into memory; count those of a kind."""
    end = {"[": "]", "{": "}"}.get(text.peek_far(), "")
    if not end:
        text.take_value()
        return
    for _ in members(text, end):
        if end == "}":
            text.take_key()
        text.take_value()
        if kind:
            entries.notes.belongings[kind] += 1
