"""Turn events of a YAML parser into values of a users file."""

from collections.abc import Callable
from typing import Any

from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    ScalarEvent,
    SequenceStartEvent,
)

from anyscale.user.files.entry_collector import Place, Value
from anyscale.user.files.input_stream import InputStream

__all__ = [
    "BOOLEANS",
    "NULLS",
    "NextEvent",
    "is_special",
    "place_of",
    "skip",
    "special",
    "type_fault",
    "value_of",
]

NextEvent = Callable[[], Any]

#: A valid users file has three levels.
_MAX_DEPTH = 16

#: plain scalars that may mean null; those that are not clear are a problem
NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_CLEAR_NULLS = frozenset({"", "~", "null"})
BOOLEANS = {
    spelling: value
    for value, words in ((True, ("true", "yes", "on")), (False, ("false", "no", "off")))
    for word in words
    for spelling in (word, word.capitalize(), word.upper())
}


def value_of(field: str, event: ScalarEvent) -> Value:
    """Return the value of a field whose type is right."""
    if event.implicit[0] and event.value in _CLEAR_NULLS:
        return None
    return BOOLEANS[event.value.lower()] if field == "is_sso_user" else str(event.value)


def type_fault(field: str, event: ScalarEvent) -> str | None:
    """Return what is wrong with the type of a field's value, or None."""
    plain = event.implicit[0]
    if field == "is_sso_user":
        if plain and event.value.lower() in BOOLEANS:
            return None
        return "must be true or false, without quotes"
    if plain and event.value in NULLS - _CLEAR_NULLS:
        return (
            f"{event.value} is unclear: write '{event.value}' in quotes if it is the text, "
            "or null if there is none"
        )
    return None


def skip(event: Event, next_event: NextEvent, source: InputStream) -> str:
    """Skip a value; return what is wrong with it."""
    if not isinstance(event, CollectionStartEvent):
        return special(event) if is_special(event) else "is not a text"
    first, depth = event, 1
    while depth:
        event = next_event()
        if isinstance(event, CollectionStartEvent):
            depth += 1
        elif isinstance(event, CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise source.fatal("depth", "nested too deeply for a users file", *place_of(event))
    if is_special(first):
        return special(first)
    kind = "a list" if isinstance(first, SequenceStartEvent) else "a map"
    return f"must be one value, not {kind}; put a text that begins with [ or {{ in quotes"


def is_special(event: Any) -> bool:
    """Return whether an event is an alias, or has an anchor or a tag."""
    return isinstance(event, AliasEvent) or bool(
        getattr(event, "anchor", None) or getattr(event, "tag", None)
    )


def special(event: Any) -> str:
    """Return the message for one of these. It leaves out the name, which may be a password."""
    if isinstance(event, AliasEvent):
        return "is a YAML alias, which users files do not use; quote a text that begins with *"
    if event.anchor:
        return "has a YAML anchor, which users files do not use; quote a text that begins with &"
    return "has a YAML tag, which users files do not use; quote a text that begins with !"


def place_of(event: Any) -> Place:
    """Return the place where an event begins."""
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1)
