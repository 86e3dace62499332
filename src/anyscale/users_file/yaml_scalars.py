"""Turn events of a YAML parser into values of a users file."""

from typing import Any

from yaml.events import AliasEvent, ScalarEvent

from anyscale.domain.validation import FLAGS
from anyscale.users_file.entry_collector import Place
from anyscale.users_file.field_words import (
    BOOLEANS,
    CLEAR_NULLS,
    NULLS,
    UNCLEAR_NULLS,
    boolean_fault,
)

_BOOLEANS = "write true, yes or on, or else false, no or off, without quotes"


def value_of(field: str, event: ScalarEvent) -> str | bool | None:
    """Return the value of a field whose type is right."""
    if event.implicit[0] and event.value in CLEAR_NULLS:
        return None
    return BOOLEANS[event.value.lower()] if field in FLAGS else str(event.value)


def type_fault(field: str, event: ScalarEvent, password: ScalarEvent | None) -> str | None:
    """Return what is wrong with the type of a field's value, or None."""
    plain = event.implicit[0]
    if field in FLAGS:
        if plain and event.value.lower() in BOOLEANS:
            return None
        return boolean_fault(event.value, _BOOLEANS, password.value if password else None)
    if plain and event.value in UNCLEAR_NULLS:
        return (
            f"{event.value} is unclear: write '{event.value}' in quotes if it is the text, "
            "or null if there is none"
        )
    return None


def special(event: Any) -> str:
    """Return the message for an alias, an anchor or a tag; an empty text for all else.

    It leaves out the name, which may be a password.
    """
    if isinstance(event, AliasEvent):
        return "is a YAML alias, which users files do not use; quote a text that begins with *"
    if getattr(event, "anchor", None):
        return "has a YAML anchor, which users files do not use; quote a text that begins with &"
    if getattr(event, "tag", None):
        return "has a YAML tag, which users files do not use; quote a text that begins with !"
    return ""


def place_of(event: Any) -> Place:
    """Return the place where an event begins."""
    mark = event.start_mark
    return Place(mark.line + 1, mark.column + 1)


def nulls_of(*events: Any) -> list[Any]:
    """Return those of optional fields that may be a null. In quotes, it is a text."""
    return [event for event in events if event.implicit[0] and event.value in NULLS]
