"""Read users from YAML as a stream of events: no tree, every position, scalars as written.

`yaml_plain_entries` has read the entries before the first one that needs the parser.

A YAML loader would convert scalars: `name: No` to False, `password: 042731985` to a number,
`title: 12:30:45` to 45045. Here the fields determine the types.
"""

from collections.abc import Callable, Container, Iterator
from typing import Any, Protocol

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

from anyscale.domain.validation import FIELDS, FLAGS, NAMED_FIELDS, SERVER_FIELDS, CheckedUser
from anyscale.users_file.entry_collector import (
    MAX_FAULTS,
    NOT_A_MAP,
    TOO_MANY,
    EntryCollector,
    Place,
    PlacedFault,
)
from anyscale.users_file.field_words import BOOLEANS, meant_field, unknown_key
from anyscale.users_file.input_stream import Fatal, InputStream
from anyscale.users_file.yaml_errors import TOP, explain, without_key, wrong_key
from anyscale.users_file.yaml_scalars import nulls_of, place_of, special, type_fault, value_of

try:
    from yaml._yaml import CParser as Parser
except ImportError:  # PyYAML was built without libyaml: the same events, about 20 times slower
    from yaml import SafeLoader as Parser  # type: ignore[assignment]  # it has the same methods

_FIELDS = frozenset(FIELDS)

#: A valid users file has three levels.
_MAX_DEPTH = 16

_EMPTY = f"the file has no users: it needs the key '{TOP}' with a list of them"
_WRONG_TOP = f"the file must begin with the key '{TOP}:', and the list of users under it"
_SECOND = "a second document starts here: a users file holds one, so remove the line '---'"
_MERGE = "merge keys (<<) are not used in users files: write the fields of each user out"
_NOT_A_LIST = f"'{TOP}' must hold a list, each user beginning with '- ' ([] is an empty one)"
_NOT_A_MAP = f"{NOT_A_MAP}, with a blank after each ':'"


class Text(Protocol):
    """Octets, which the parser reads piece by piece."""

    def read(self, size: int = ..., /) -> bytes:
        """Return the next octets, at most `size`; none at the end."""


def read_events(text: Text, source: InputStream, entries: EntryCollector) -> Iterator[CheckedUser]:
    """Read the users of a text of `source`, in order; problems go to `entries`.

    Raises:
        Fatal: the file cannot be read from some place on.
    """
    parser = Parser(text)
    try:
        yield from _YamlReader(parser.get_event, source, entries).document()
    except MarkedYAMLError as error:
        what, mark = explain(error)
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        raise source.fatal("syntax", f"not valid YAML: {what}", *place) from None
    finally:
        parser.dispose()


class _YamlReader:
    def __init__(
        self, next_event: Callable[[], Any], source: InputStream, entries: EntryCollector
    ) -> None:
        self._next_event = next_event
        self._source = source
        self._entries = entries
        #: where the last user begins, and its fields
        self._last_user: tuple[Place, Container[str]] | None = None

    def document(self) -> Iterator[CheckedUser]:
        self._next_event()  # the start of the stream
        if not isinstance(self._next_event(), DocumentStartEvent):
            raise self._source.fatal("empty", _EMPTY, 1, 1)
        top = self._next_event()
        if isinstance(top, ScalarEvent) and not top.value and top.implicit[0]:
            raise self._source.fatal("empty", _EMPTY, *place_of(top))
        if isinstance(top, SequenceStartEvent):
            yield from self._export(top)
        elif isinstance(top, MappingStartEvent):
            yield from self._top(top)
        else:
            raise self._source.fatal("top", _WRONG_TOP, *place_of(top))
        self._next_event()  # the end of the document
        end = self._next_event()
        if not isinstance(end, StreamEndEvent):
            raise self._source.fatal("documents", _SECOND, *place_of(end))

    def _export(self, top: SequenceStartEvent) -> Iterator[CheckedUser]:
        """Read a list without the key, as `anyscale user list -o yaml` writes it."""
        yield from self._list(top)
        if not self._entries.notes.passed_over:
            self._entries.problems.clear()
            raise self._source.fatal("top", _WRONG_TOP, *place_of(top))

    def _top(self, top: MappingStartEvent) -> Iterator[CheckedUser]:
        has_users = False
        self._check_plain_collection(top)
        while isinstance(key := self._next_event(), ScalarEvent):
            if key.value == TOP and not has_users and not special(key):
                has_users = True
                yield from self._list(self._next_event())
            elif key.value in _FIELDS and self._last_user and key.value not in self._last_user[1]:
                raise self._not_indented(key, self._last_user[0])
            else:
                self._entries.problem(place_of(key), *wrong_key(key))
                self._skip(self._next_event())
        if not isinstance(key, CollectionEndEvent):
            raise self._source.fatal("top", _WRONG_TOP, *place_of(key))
        if not has_users and not self._entries.problems:
            raise self._source.fatal("empty", _EMPTY, *place_of(top))

    def _not_indented(self, key: ScalarEvent, user: Place) -> Fatal:
        """Return the only problem of a user whose fields are at the margin, as if it had ended."""
        self._entries.forget_last()
        detail = f"indent {key.value!r} under the user of line {user.line}"
        return self._source.fatal("syntax", detail, *place_of(key))

    def _list(self, value: Event) -> Iterator[CheckedUser]:
        if not isinstance(value, SequenceStartEvent):
            self._entries.problem(place_of(value), "type", _NOT_A_LIST)
            self._skip(value)
            return
        self._check_plain_collection(value)
        while not isinstance(start := self._next_event(), CollectionEndEvent):
            if isinstance(start, MappingStartEvent) and not start.anchor and not start.tag:
                if user := self._user(start):
                    yield user
            else:
                self._skip(start)
                self._entries.refuse(place_of(start), "type", special(start) or _NOT_A_MAP)

    def _user(self, start: MappingStartEvent) -> CheckedUser | None:
        next_event = self._next_event
        events: dict[str, Any] = {}
        self._last_user = place_of(start), events
        faults: list[PlacedFault] = []
        # The hot loop: two events per field, about half a million per second.
        while (key := next_event()).__class__ is not MappingEndEvent:
            if key.__class__ is not ScalarEvent:
                self._add(faults, self._key_fault(key))
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
            elif name in SERVER_FIELDS:
                faults += self._pass_over(name, value)
            else:
                fault = self._pair_fault(key, value, events)
                is_alone = value.__class__ is ScalarEvent and not value.value
                hidden = key.implicit[0] and (start.flow_style or is_alone)
                self._add(faults, without_key(fault) if hidden else fault)
        if not faults and (user := self._plain_user(events)):
            return user
        return self._typed_user(start, events, faults)

    def _add(self, faults: list[PlacedFault], fault: PlacedFault) -> None:
        faults.append(fault)
        if len(faults) > MAX_FAULTS:
            raise self._source.fatal("too_long", TOO_MANY, *fault.place)

    def _pass_over(self, field: str, value: Event) -> list[PlacedFault]:
        self._skip(value)
        is_null = isinstance(value, ScalarEvent) and (not value.value or nulls_of(value))
        return self._entries.pass_over(field, place_of(value), is_set=not is_null)

    def _plain_user(self, events: dict[str, Any]) -> CheckedUser | None:
        """Return the user of a valid entry without nulls; else None: see `_typed_user`."""
        entries = self._entries
        values: dict[str, Any] = {field: event.value for field, event in events.items()}
        if not all(map(values.get, entries.options.required)) or nulls_of(*events.values()):
            return None
        for field in FLAGS.intersection(events):
            flag = events[field]
            values[field] = BOOLEANS.get(flag.value.lower()) if flag.implicit[0] else None
            if values[field] is None:
                return None
        if (user := entries.check(values)) is None:
            return None
        mark = events["email"].start_mark
        return entries.accept(user, values.get("password"), mark.line + 1, mark.column + 1)

    def _typed_user(
        self, start: Event, events: dict[str, Any], faults: list[PlacedFault]
    ) -> CheckedUser | None:
        values: dict[str, Any] = {}
        places = {field: place_of(event) for field, event in events.items()}
        for field, event in events.items():
            if wrong := type_fault(field, event, events.get("password")):
                faults.append(PlacedFault(places[field], field, "type", wrong))
            else:
                values[field] = value_of(field, event)
        return self._entries.finish(place_of(start), values, places, faults)

    def _pair_fault(self, key: ScalarEvent, value: Event, events: dict[str, Any]) -> PlacedFault:
        """Return what is wrong with a key or its value; skip the value."""
        what = self._skip(value)
        place = place_of(key)
        if of_key := special(key):
            return PlacedFault(place, None, "type", of_key)
        if key.value == "<<":
            return PlacedFault(place, None, "unknown_key", _MERGE)
        if key.value not in _FIELDS:
            meant = meant_field(key.value)
            return PlacedFault(place, None, "unknown_key", unknown_key(key.value), meant)
        if key.value in events:
            line = events[key.value].start_mark.line + 1
            detail = f"is there a second time: the first is on line {line}"
            return PlacedFault(place, key.value, "duplicate_key", detail)
        return PlacedFault(place_of(value), key.value, "type", what)

    def _key_fault(self, key: Event) -> PlacedFault:
        """Return the fault of a key that is not a text; skip it and its value."""
        self._skip(key)
        self._skip(self._next_event())
        detail = f"a key must be one of {', '.join(NAMED_FIELDS)}"
        return PlacedFault(place_of(key), None, "type", detail)

    def _skip(self, event: Event) -> str:
        """Skip a value; return what is wrong with it."""
        if not isinstance(event, CollectionStartEvent):
            return special(event) or "is not a text"
        first, depth = event, 1
        while depth:
            event = self._next_event()
            if isinstance(event, CollectionStartEvent):
                depth += 1
            elif isinstance(event, CollectionEndEvent):
                depth -= 1
            if depth > _MAX_DEPTH:
                detail = "nested too deeply for a users file"
                raise self._source.fatal("depth", detail, *place_of(event))
        kind = "a list" if isinstance(first, SequenceStartEvent) else "a map"
        wrong = f"must be one value, not {kind}; put a text that begins with [ or {{ in quotes"
        return special(first) or wrong

    def _check_plain_collection(self, event: CollectionStartEvent) -> None:
        if what := special(event):
            raise self._source.fatal("type", what, *place_of(event))
