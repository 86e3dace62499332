"""Read users from YAML as a stream of events: no tree, every position, scalars as written.

A YAML loader would convert scalars: `name: No` to False, `password: 012345678` to a number,
`title: 12:30:45` to 45045. Here the fields determine the types.
"""

from collections.abc import Iterator
from typing import Any

from yaml.error import MarkedYAMLError
from yaml.events import (
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from anyscale.user.files.entry_collector import (
    MAX_FAULTS,
    NOT_A_MAP,
    TOO_MANY,
    EntryCollector,
    Place,
    PlacedFault,
    Value,
    unknown_key,
)
from anyscale.user.files.input_stream import InputStream
from anyscale.user.files.yaml_errors import explain
from anyscale.user.files.yaml_scalars import (
    BOOLEANS,
    NULLS,
    NextEvent,
    is_special,
    place_of,
    skip,
    special,
    type_fault,
    value_of,
)
from anyscale.user.validation import FIELDS, CheckedUser, check, shown

try:
    from yaml._yaml import CParser as Parser
except ImportError:  # PyYAML was built without libyaml: the same events, about 20 times slower
    from yaml import SafeLoader as Parser  # type: ignore[assignment]

__all__ = ["read_yaml"]

_TOP = "create_users"

_FIELDS = frozenset(FIELDS)


def read_yaml(source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    """Read the users of a YAML file, in order; problems go to `entries`.

    Raises:
        Fatal: the file cannot be read from some place on.
    """
    parser = Parser(source)
    try:
        yield from _document(parser.get_event, source, entries)
    except MarkedYAMLError as error:
        what, mark = explain(error)
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        raise source.fatal("syntax", f"not valid YAML: {what}", *place) from None
    finally:
        if hasattr(parser, "dispose"):
            parser.dispose()


def _document(
    next_event: NextEvent, source: InputStream, entries: EntryCollector
) -> Iterator[CheckedUser]:
    next_event()  # the start of the stream
    start = next_event()
    if not isinstance(start, DocumentStartEvent):
        raise source.fatal("empty", _EMPTY, 1, 1)
    top = next_event()
    if isinstance(top, ScalarEvent) and not top.value and top.implicit[0]:
        raise source.fatal("empty", _EMPTY, *place_of(top))
    if not isinstance(top, MappingStartEvent):
        raise source.fatal("top", _WRONG_TOP, *place_of(top))
    yield from _top(top, next_event, source, entries)
    next_event()  # the end of the document
    end = next_event()
    if not isinstance(end, StreamEndEvent):
        detail = "a second document starts here: a users file holds one, so remove the line '---'"
        raise source.fatal("documents", detail, *place_of(end))


_EMPTY = f"the file has no users: it needs the key '{_TOP}' with a list of them"
_WRONG_TOP = f"the file must begin with the key '{_TOP}:', and the list of users under it"


def _top(
    top: MappingStartEvent, next_event: NextEvent, source: InputStream, entries: EntryCollector
) -> Iterator[CheckedUser]:
    has_users = False
    _check_plain_collection(top, source)
    while isinstance(key := next_event(), ScalarEvent):
        place = place_of(key)
        if is_special(key):
            entries.problem(place, "type", special(key))
            skip(next_event(), next_event, source)
        elif key.value != _TOP:
            detail = f"unknown key {shown(key.value)}: the file holds one key, '{_TOP}'"
            entries.problem(place, "unknown_key", detail)
            skip(next_event(), next_event, source)
        elif has_users:
            entries.problem(place, "duplicate_key", f"the key '{_TOP}' is there a second time")
            skip(next_event(), next_event, source)
        else:
            has_users = True
            yield from _list(next_event(), next_event, source, entries)
    if not isinstance(key, CollectionEndEvent):
        raise source.fatal("top", _WRONG_TOP, *place_of(key))
    if not has_users and not entries.problems:
        raise source.fatal("empty", _EMPTY, *place_of(top))


def _list(
    value: Event, next_event: NextEvent, source: InputStream, entries: EntryCollector
) -> Iterator[CheckedUser]:
    if not isinstance(value, SequenceStartEvent):
        detail = f"'{_TOP}' must hold a list, each user beginning with '- ' ([] is an empty one)"
        entries.problem(place_of(value), "type", detail)
        skip(value, next_event, source)
        return
    _check_plain_collection(value, source)
    while not isinstance(start := next_event(), CollectionEndEvent):
        if isinstance(start, MappingStartEvent) and not start.anchor and not start.tag:
            user = _user(start, next_event, source, entries)
        else:
            user = None
            _refuse_entry(start, next_event, source, entries)
        if user is not None:
            yield user


def _user(
    start: MappingStartEvent, next_event: NextEvent, source: InputStream, entries: EntryCollector
) -> CheckedUser | None:
    events: dict[str, Any] = {}
    faults: list[PlacedFault] = []
    # The hot loop: two events per field, about half a million per second.
    while (key := next_event()).__class__ is not MappingEndEvent:
        if key.__class__ is not ScalarEvent:
            _add(faults, [_key_fault(key, next_event, source)], source)
            continue
        value = next_event()
        name = key.value
        if (
            value.__class__ is ScalarEvent
            and name in _FIELDS
            and name not in events
            and value.anchor is value.tag is key.anchor is key.tag is None
        ):
            events[name] = value
        else:
            wrong = _pair_faults(key, value, events, next_event, source)
            hidden = start.flow_style and key.implicit[0]
            _add(faults, [*map(_hidden, wrong)] if hidden else wrong, source)
    if not faults and (user := _plain_user(events, entries)):
        return user
    return _typed_user(start, events, faults, entries)


def _add(faults: list[PlacedFault], more: list[PlacedFault], source: InputStream) -> None:
    faults += more
    if len(faults) > MAX_FAULTS:
        raise source.fatal("too_long", TOO_MANY, *faults[-1].place)


def _plain_user(events: dict[str, Any], entries: EntryCollector) -> CheckedUser | None:
    """Return the user of an entry without anything unusual; `_typed_user` handles all others."""
    get = events.get
    if (name := get("name")) is None or (email := get("email")) is None:
        return None
    if name.value in NULLS or email.value in NULLS:
        return None
    sso = get("is_sso_user")
    is_sso_user = False if sso is None else BOOLEANS.get(sso.value) if sso.implicit[0] else None
    if is_sso_user is None:
        return None
    password = get("password")
    lastname = get("lastname")
    title = get("title")
    if (
        (password is not None and password.implicit[0] and password.value in NULLS)
        or (lastname is not None and lastname.implicit[0] and lastname.value in NULLS)
        or (title is not None and title.implicit[0] and title.value in NULLS)
    ):
        return None
    user = check(
        name.value,
        email.value,
        None if password is None else password.value,
        is_sso_user,
        None if lastname is None else lastname.value,
        None if title is None else title.value,
        entries.policy,
    )
    if user is None:
        return None
    mark = email.start_mark
    password_text = None if password is None else password.value
    return entries.accept(user, password_text, mark.line + 1, mark.column + 1)


def _typed_user(
    start: Event, events: dict[str, Any], faults: list[PlacedFault], entries: EntryCollector
) -> CheckedUser | None:
    values: dict[str, Value] = {}
    places: dict[str, Place] = {}
    for field, event in events.items():
        places[field] = place_of(event)
        if wrong := type_fault(field, event):
            faults.append(PlacedFault(places[field], field, "type", wrong))
        else:
            values[field] = value_of(field, event)
    return entries.finish(place_of(start), values, places, faults)


_MERGE = "merge keys (<<) are not used in users files: write the fields of each user out"


def _pair_faults(
    key: ScalarEvent,
    value: Event,
    events: dict[str, Any],
    next_event: NextEvent,
    source: InputStream,
) -> list[PlacedFault]:
    """Return what is wrong with a key or its value; skip the value."""
    what = skip(value, next_event, source)
    place = place_of(key)
    if key.anchor or key.tag:
        return [PlacedFault(place, None, "type", special(key))]
    if key.value == "<<":
        return [PlacedFault(place, None, "unknown_key", _MERGE)]
    if key.value not in _FIELDS:
        return [PlacedFault(place, None, "unknown_key", unknown_key(key.value))]
    if key.value in events:
        line = events[key.value].start_mark.line + 1
        detail = f"is there a second time: the first is on line {line}"
        return [PlacedFault(place, key.value, "duplicate_key", detail)]
    return [PlacedFault(place_of(value), key.value, "type", what)]


def _hidden(fault: PlacedFault) -> PlacedFault:
    """Hide a plain key in braces: it may be the end of a password with a comma, without quotes."""
    if not fault.detail.startswith("unknown key") or "did you mean" in fault.detail:
        return fault
    keys = ", ".join(FIELDS)
    return fault._replace(
        detail=f"unknown key: the keys are {keys}; put a text that holds ', ' in quotes"
    )


def _key_fault(key: Event, next_event: NextEvent, source: InputStream) -> PlacedFault:
    """Return the fault of a key that is not a text; skip it and its value."""
    skip(key, next_event, source)
    skip(next_event(), next_event, source)
    return PlacedFault(place_of(key), None, "type", f"a key must be one of {', '.join(FIELDS)}")


_NOT_A_MAP = f"{NOT_A_MAP}, with a blank after each ':'"


def _refuse_entry(
    start: Event, next_event: NextEvent, source: InputStream, entries: EntryCollector
) -> None:
    what = skip(start, next_event, source)
    entries.refuse(place_of(start), "type", what if is_special(start) else _NOT_A_MAP)


def _check_plain_collection(event: CollectionStartEvent, source: InputStream) -> None:
    if is_special(event):
        raise source.fatal("type", special(event), *place_of(event))
