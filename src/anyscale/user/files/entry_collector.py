"""Collect the result of one reading: the users, the problems, and the place of each email."""

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from anyscale.errors import Problem
from anyscale.user.files.input_stream import Fatal
from anyscale.user.passwords import normalized
from anyscale.user.validation import FIELDS, CheckedUser, Policy, check, find_faults, shown

__all__ = [
    "MAX_FAULTS",
    "NOT_A_MAP",
    "REQUIRED",
    "TOO_MANY",
    "EntryCollector",
    "Place",
    "PlacedFault",
    "unknown_key",
]


class Place(NamedTuple):
    """A position in the file, both counted from 1."""

    line: int
    column: int


class PlacedFault(NamedTuple):
    """A fault and its place; the field is None if the fault is of the entry as a whole."""

    place: Place
    field: str | None
    code: str
    detail: str


REQUIRED = ("name", "email")

#: Faults of one entry, or outside of entries. A file with more is no users file, and listing the
#: 100,000 keys that fit into a MiB would take 100 MiB.
MAX_FAULTS = 100

TOO_MANY = f"more than {MAX_FAULTS} keys or columns are wrong up to here: it is no users file"

NOT_A_MAP = "a user must be a map: name, email and so on"

Value = str | bool | None


class EntryCollector:
    """Collects the entries of a reader, in the same way for every format.

    Args:
        file: the file's name, for messages.
        policy: of the control plane.
        read_again: reads the file once more into another collector, to quote emails that are not
            kept in memory.
    """

    def __init__(
        self, file: str, policy: Policy, read_again: Callable[["EntryCollector"], None]
    ) -> None:
        self.file = file
        self.policy = policy
        self.problems: list[Problem] = []
        #: of valid users, each with the position of its user
        self.passwords: list[tuple[int, str]] = []
        #: entries so far, valid or not
        self.count = 0
        #: position -> email and its key, for the positions in `keep`
        self.kept: dict[int, tuple[str, str]] = {}
        self.keep: frozenset[int] = frozenset()
        self._read_again = read_again
        self._lines = array("I")
        self._columns = array("I")
        self._hashes = _EmailHashes()
        self._file_problems = 0

    def accept(
        self, user: CheckedUser, password: str | None, line: int, column: int
    ) -> CheckedUser:
        """Take a valid entry, its password and the place of its email."""
        if password:
            self.passwords.append((self.count, normalized(password)))
        self._lines.append(line)
        self._columns.append(column)
        self._note(user.email, user.email_key)
        return user

    def finish(
        self,
        start: Place,
        values: Mapping[str, Value],
        places: Mapping[str, Place],
        faults: list[PlacedFault],
    ) -> CheckedUser | None:
        """Take an entry whose values a reader has typed.

        Args:
            start: where the entry begins.
            values: the fields whose type is right.
            places: of the values.
            faults: that the reader has found.

        Returns:
            The user, or None if anything is wrong, which was added to `problems`.
        """
        faulty = {fault.field for fault in faults}
        faults += [
            _required(field, places.get(field, start), field in places)
            for field in REQUIRED
            if values.get(field) is None and field not in faulty
        ]
        user = None if faults else self._check(values)
        if user:
            password = values.get("password")
            assert not isinstance(password, bool)
            return self.accept(user, password, *places["email"])
        faults += [
            PlacedFault(places.get(fault.field, start), *fault)
            for fault in find_faults(values, self.policy)
        ]
        self._refuse(places.get("email", start), values, faults)
        return None

    def refuse(self, place: Place, code: str, detail: str) -> None:
        """Take an entry that cannot be read."""
        self._refuse(place, {}, [PlacedFault(place, None, code, detail)])

    def problem(self, place: Place, code: str, detail: str) -> None:
        """Add a problem of the file as a whole.

        Raises:
            Fatal: there are too many.
        """
        self._file_problems += 1
        if is_over := self._file_problems > MAX_FAULTS:
            code, detail = "too_long", TOO_MANY
        problem = Problem(
            code=code, detail=detail, file=self.file, line=place.line, column=place.column
        )
        if is_over:
            raise Fatal(problem)
        self.problems.append(problem)

    def place_of_email(self, index: int) -> Place:
        """Return the place of the email of an entry."""
        return Place(self._lines[index], self._columns[index])

    def settle(self) -> None:
        """Add the emails that occur twice, after the end of the file, and sort the problems."""
        if suspects := self._hashes.repeated():
            self.problems += self._duplicates(suspects)
        self.problems.sort(key=lambda problem: (problem.line or 0, problem.column or 0))

    def _check(self, values: Mapping[str, Value]) -> CheckedUser | None:
        name, email, password, is_sso_user, lastname, title = map(values.get, FIELDS)
        assert isinstance(name, str)
        assert isinstance(email, str)
        assert not isinstance(password, bool)
        assert not isinstance(lastname, bool)
        assert not isinstance(title, bool)
        return check(name, email, password, is_sso_user is True, lastname, title, self.policy)

    def _refuse(self, place: Place, values: Mapping[str, Value], faults: list[PlacedFault]) -> None:
        self.problems += [
            Problem(
                index=self.count,
                field=fault.field,
                code=fault.code,
                detail=fault.detail,
                file=self.file,
                line=fault.place.line,
                column=fault.place.column,
            )
            for fault in faults
        ]
        self._lines.append(place.line)
        self._columns.append(place.column)
        email = values.get("email")
        if isinstance(email, str) and not find_faults({"email": email}, self.policy):
            from anyscale.user.emails import email_key

            self._note(email, email_key(email))
        else:
            self.count += 1

    def _note(self, email: str, key: str) -> None:
        self._hashes.add(key, self.count)
        if self.count in self.keep:
            self.kept[self.count] = (email, key)
        self.count += 1

    def _duplicates(self, suspects: frozenset[int]) -> Iterator[Problem]:
        again = EntryCollector(self.file, self.policy, self._read_again)
        again.keep = suspects
        self._read_again(again)
        first: dict[str, int] = {}
        for index, (email, key) in sorted(again.kept.items()):
            original = first.setdefault(key, index)
            if original == index:
                continue
            place, other = self.place_of_email(index), self.place_of_email(original)
            yield Problem(
                index=index,
                field="email",
                code="email_duplicate",
                detail=f"{shown(email)} is also the email of create_users[{original}], "
                f"on line {other.line}, column {other.column}",
                file=self.file,
                line=place.line,
                column=place.column,
            )


class _EmailHashes:
    """Finds emails that may occur twice, in 12 bytes each: a million texts would take 100 MB.

    It stores only hashes, so the caller has to compare the texts of what it finds.
    """

    _BUCKETS = 64

    def __init__(self) -> None:
        self._hashes = [array("q") for _ in range(self._BUCKETS)]
        self._indexes = [array("I") for _ in range(self._BUCKETS)]

    def add(self, key: str, index: int) -> None:
        # Python keys the hash of a text by a secret of the process: no file can force collisions.
        value = hash(key)
        bucket = value & 63
        self._hashes[bucket].append(value)
        self._indexes[bucket].append(index)

    def repeated(self) -> frozenset[int]:
        """Return the positions whose hash occurs more than once; unpack one bucket at a time."""
        positions: set[int] = set()
        for hashes, indexes in zip(self._hashes, self._indexes, strict=True):
            if len(set(hashes)) == len(hashes):
                continue
            twice = _repeated(hashes)
            positions.update(
                index for value, index in zip(hashes, indexes, strict=True) if value in twice
            )
        return frozenset(positions)


def _repeated(values: Iterable[int]) -> set[int]:
    once: set[int] = set()
    twice: set[int] = set()
    for value in values:
        (twice if value in once else once).add(value)
    return twice


def _required(field: str, place: Place, is_empty: bool) -> PlacedFault:
    if is_empty:
        return PlacedFault(place, field, "required", "is empty: every user has one")
    return PlacedFault(place, field, "required", "is missing: every user has one")


def unknown_key(key: str) -> str:
    """Return the message for an unknown key, with the field that was probably meant."""
    near = _nearest(key.strip().lower()) if len(key) <= _LONGEST_NEAR else None
    mend = f"did you mean {near!r}?" if near else f"the keys are {', '.join(FIELDS)}"
    return f"unknown key {shown(key)}: {mend}"


#: characters of the longest key that can be a misspelt field
_LONGEST_NEAR = 32


@lru_cache(maxsize=256)  # the same mistake is often in every entry
def _nearest(key: str) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(key, FIELDS, 1)), None)
