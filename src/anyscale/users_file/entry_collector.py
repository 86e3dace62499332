"""Collect the result of one reading: the users, the problems, and the place of each email."""

from array import array
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from msgspec import UNSET, structs

from anyscale.domain.emails import email_key
from anyscale.domain.external_ids import normalized_external_id
from anyscale.domain.names import full_name
from anyscale.domain.passwords import normalized
from anyscale.domain.spreadsheets import cell_name
from anyscale.domain.user_sources import ProblemList, split_weak_hash
from anyscale.domain.validation import (
    FIELDS,
    IMPORTED_FIELDS,
    CheckedUser,
    Fault,
    check,
    find_faults,
    shown,
)
from anyscale.errors import Problem
from anyscale.users_file.duplicates import ValueHashes, repeated_values
from anyscale.users_file.input_stream import Fatal
from anyscale.users_file.manifest import parse_manifest
from anyscale.users_file.reading_notes import Place, ReadingNotes
from anyscale.users_file.reading_options import REQUIRED, ReadingOptions

__all__ = [
    "MAX_FAULTS",
    "NOT_A_MAP",
    "REQUIRED",
    "TOO_MANY",
    "EntryCollector",
    "Place",
    "PlacedFault",
]


class PlacedFault(NamedTuple):
    """A fault and its place; the field is None if the fault is of the entry as a whole."""

    place: Place
    field: str | None
    code: str
    detail: str
    #: the field that an unknown key probably stands for
    meant: str | None = None


#: Faults of one entry, or outside of entries. A file with more is not a users file, and listing the
#: 100,000 keys that fit into a MiB would take 100 MiB.
MAX_FAULTS = 100

TOO_MANY = f"more than {MAX_FAULTS} keys or columns are wrong up to here: it is not a users file"

_SUSPENDED = (
    "is set: the account was suspended, and a new one would let the user sign in again; remove the "
    "user from the file"
)

#: fields whose faults may mean that columns are swapped, and that a name is the password; an email
#: in another field means it too
_IN_DOUBT = frozenset({"name", "lastname", "password"})

NOT_A_MAP = "a user must be a map: name, email and so on"


class EntryCollector:
    """Collects the entries of a reader, in the same way for every format.

    Args:
        options: of the reading.
        keep: the positions of the entries whose email is kept.
    """

    def __init__(self, options: ReadingOptions, keep: frozenset[int] = frozenset()) -> None:
        self.options: Final = options
        self.notes: ReadingNotes = ReadingNotes()
        self.problems: ProblemList = ProblemList()
        #: of valid users, each with the position of its user
        self.passwords: list[tuple[int, str]] = []
        #: entries so far, valid or not
        self.count: int = 0
        #: rows without an entry so far
        self.blank_rows = 0
        #: position -> email and its key
        self.kept: dict[int, tuple[str, str]] = {}
        #: position -> external id
        self.kept_external_ids: dict[int, str] = {}
        #: position -> full name, of entries to keep that have problems
        self.refused_names: dict[int, str] = {}
        #: position -> full name, of the other entries to keep
        self.kept_names: dict[int, str] = {}
        #: what `is_sso_user`, and the other texts than the email, are in an entry that lacks them
        self.default_sso: Any = UNSET if options.verify else False
        self.default_text: Any = UNSET if options.verify else None
        self._defaults = dict.fromkeys(FIELDS, self.default_text)
        self._defaults |= {
            "is_sso_user": self.default_sso,
            "password": None,
            "password_hash": None,
            "suspended": False,
            "password_initial": False,
            "sub": None,
        }
        self._verify = options.verify
        self._required = options.required
        self._has_cells = options.format.is_workbook
        self._names_people = not options.format.has_key
        self._keep = keep
        self._lines = array("I")
        self._columns: array[int] = array("I")
        self._email_keys = ValueHashes()
        self._external_ids = ValueHashes()
        self._file_problems = 0

    @property
    def all_entries(self) -> int:
        """The entries and rows so far, also those that are not users."""
        return self.count + self.blank_rows + self.notes.left_out.total()

    def pass_over(self, field: str, place: Place, *, is_set: bool) -> list[PlacedFault]:
        """Pass over a field that only the server sets; return the fault of a suspended user."""
        self.notes.passed_over[field] = None
        if self._verify or not is_set or field != "suspended_at":
            return []
        return [PlacedFault(place, field, "suspended", _SUSPENDED)]

    def take_manifest(self, text: str, place: Place) -> None:
        """Take the manifest of an export, as JSON: see `UsersFile.users`."""
        try:
            self.notes.manifest = parse_manifest(text), place
        except ValueError as error:
            self.problem(place, "manifest_wrong", f"the manifest {error}")

    def accept(
        self, user: CheckedUser, password: str | None, line: int, column: int
    ) -> CheckedUser:
        """Take a valid entry, its password and the place of its email."""
        is_padded = False
        if password and not self._verify:
            self.passwords.append((self.count, normalized(password)))
            is_padded = password != password.strip()
        if user.password_hash:
            user, weak = split_weak_hash(user, self.count)
            self.passwords += [weak] if weak else []
        if user.sub:
            self.notes.is_exported = True
        if user.suspended:
            self.notes.suspended += 1
        name, lastname, title = user.name, user.lastname, user.title  # UNSET is false
        if self._keep and self.count in self._keep and name:
            self.kept_names[self.count] = full_name(name, lastname or None)
        # Inline and without a loop, since a call or a loop takes twice as long.
        if (
            is_padded
            or (name and name != name.strip())
            or (lastname and lastname != lastname.strip())
            or (title and title != title.strip())
        ):
            self.notes.first_padded = self.notes.first_padded or line
            self.notes.padded += 1
        self._count(line, column, user.email, user.email_key, user.external_id)
        return user

    def check(self, values: dict[str, Any]) -> CheckedUser | None:
        """Check an entry that has all required fields, each of the right type."""
        fields = self._defaults | values
        if self._verify:
            fields["password"] = fields["password_hash"] = None
        imported = {field: fields.pop(field) for field in IMPORTED_FIELDS}
        return check(self.options.policy, **fields, imported=imported)

    def finish(
        self,
        start: Place,
        values: dict[str, Any],
        places: Mapping[str, Place],
        faults: list[PlacedFault],
    ) -> CheckedUser | None:
        """Take an entry; return its user, or add what is wrong to `problems`.

        Args:
            start: where the entry begins.
            values: the fields whose type is right.
            places: of all fields.
            faults: that the reader has found.
        """
        faulty = {fault.field or fault.meant for fault in faults}
        for field in REQUIRED:
            is_needed = field in places or field in self._required
            if is_needed and values.get(field) is None and field not in faulty:
                detail = f"is {'empty' if field in places else 'missing'}: every user has one"
                faults.append(PlacedFault(places.get(field, start), field, "required", detail))
        if not faults and (user := self.check(values)):
            return self.accept(user, values.get("password"), *places["email"])
        if not self._verify and "is_sso_user" not in faulty:
            # The default, False, is a fault where SSO is the only sign-in method.
            values = {"is_sso_user": False, **values}
        faults += [
            PlacedFault(places.get(fault.field, start), *fault)
            for fault in find_faults(values, self.options.policy, verify=self._verify)
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
        if self._file_problems > MAX_FAULTS:
            raise Fatal(self._problem(PlacedFault(place, None, "too_long", TOO_MANY)))
        self.problems.add(self._problem(PlacedFault(place, None, code, detail)))

    def forget_last(self) -> None:
        """Remove the problems of the last entry: they have a cause that follows it."""
        last = self.count - 1
        self.problems[:] = [problem for problem in self.problems if problem.index != last]

    def place_of_email(self, index: int) -> Place:
        return Place(self._lines[index], self._columns[index])

    def suspects(self) -> frozenset[int]:
        """Return the positions of the entries whose email or external id may occur twice."""
        return self._email_keys.repeated() | self._external_ids.repeated()

    def add_duplicates(self, again: "EntryCollector") -> None:
        """Add the emails and external ids that occur twice to the problems.

        `again` kept those of the entries that `suspects` names.
        """
        same_ids = {index: (one, one) for index, one in again.kept_external_ids.items()}
        names = again.refused_names | again.kept_names
        for index, original, email in repeated_values(again.kept):
            detail = f"{shown(email)} is also the email of {self._in_words(original, names)}"
            fault = Fault("email", "email_duplicate", detail)
            self._add_duplicate(index, original, fault, names)
        for index, original, one in repeated_values(same_ids):
            detail = f"{shown(one)} is also the external_id of {self._in_words(original, names)}"
            fault = Fault("external_id", "external_id_duplicate", detail)
            self._add_duplicate(index, original, fault, names)

    def _add_duplicate(
        self, index: int, original: int, fault: Fault, names: Mapping[int, str]
    ) -> None:
        placed = PlacedFault(self.place_of_email(index), *fault)
        problem = self._problem(placed, index, names.get(index, ""))
        self.problems.add(structs.replace(problem, other=original))

    def _in_words(self, index: int, names: Mapping[int, str]) -> str:
        """Return the place of an entry, and its name: `line 23 (Nils Meyer)`."""
        place = self.place_of_email(index)
        words = f"line {place.line}" if self._names_people else "line {}, column {}".format(*place)
        words = cell_name(*place) if self._has_cells else words
        return f"{words} ({_unquoted(names[index])})" if names.get(index) else words

    def _problem(self, fault: PlacedFault, index: int | None = None, person: str = "") -> Problem:
        (line, column), field, code, detail, _ = fault
        return Problem(
            index=index,
            field=field,
            code=code,
            detail=detail,
            file=self.options.file,
            line=line,
            column=column,
            cell=cell_name(line, column) if self._has_cells else None,
            person=_unquoted(person) if self._names_people and index is not None else None,
        )

    def _refuse(self, place: Place, values: Mapping[str, Any], faults: list[PlacedFault]) -> None:
        assert faults, "an entry without a problem would be lost"
        self.problems.refused.append(self.count)
        others = (str(value) for field, value in values.items() if field != "email")
        is_in_doubt = any(fault.field in _IN_DOUBT for fault in faults) or "@" in "".join(others)
        name = "" if is_in_doubt else full_name(values.get("name") or "", values.get("lastname"))
        if self.count in self._keep and name:
            self.refused_names[self.count] = name
        valid = {
            field: value
            for field in ("email", "external_id")
            if isinstance(value := values.get(field), str)
            and not find_faults({field: value}, self.options.policy)
        }
        email, external_id = valid.get("email"), valid.get("external_id")
        for fault in faults:
            self.problems.add(self._problem(fault, self.count, name or email or ""))
        self._count(
            *place,
            email or "",
            email_key(email) if email else None,
            normalized_external_id(external_id) if external_id else None,
        )

    def _count(
        self, line: int, column: int, email: str, key: str | None, external_id: str | None
    ) -> None:
        """Count an entry, and store the place of its email; `key` is None for a wrong email."""
        self._lines.append(line)
        try:
            self._columns.append(column)
        except OverflowError:  # a line of more than 4 GiB, as of minified JSON
            self._columns = array("Q", self._columns)
            self._columns.append(column)
        if key is not None:
            self._email_keys.add(key, self.count)
            if self.count in self._keep:
                self.kept[self.count] = (email, key)
        if external_id:  # a comparison has UNSET for a missing one
            self._external_ids.add(external_id, self.count)
            if self.count in self._keep:
                self.kept_external_ids[self.count] = external_id
        self.count += 1


def _unquoted(name: str) -> str:
    return shown(name)[1:-1]
