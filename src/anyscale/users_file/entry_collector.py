"""Collect the result of one reading: the users, the problems, and the place of each email."""

from array import array
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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
    Policy,
    check,
    find_faults,
    shown,
)
from anyscale.errors import Problem
from anyscale.users_file.duplicates import ValueHashes, repeated_values
from anyscale.users_file.input_stream import Fatal
from anyscale.users_file.manifest import parse_manifest

if TYPE_CHECKING:
    from anyscale.domain.models.exports import Manifest
    from anyscale.users_file.tables.columns import ColumnChoices

__all__ = [
    "MAX_FAULTS",
    "NOT_A_MAP",
    "REQUIRED",
    "TOO_MANY",
    "EntryCollector",
    "Place",
    "PlacedFault",
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
    #: the field that an unknown key probably stands for
    meant: str | None = None


REQUIRED = ("name", "email")

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
        file: the file's name, for messages.
        keep: the positions of the entries whose email is kept.
        chosen_columns: see `UsersFile`.
        chosen_sheet: see `UsersFile`.
        cells: whether places are rows and columns of a spreadsheet.
        column_choices: see `UsersFile`.
        people: whether problems name people, since the file has no key `create_users`.
        verify: see `UserSource.reading`.
    """

    def __init__(
        self,
        file: str,
        policy: Policy,
        keep: frozenset[int] = frozenset(),
        *,
        chosen_columns: Mapping[str, str] | None = None,
        chosen_sheet: str | None = None,
        cells: bool = False,
        column_choices: "ColumnChoices | None" = None,
        people: bool = False,
        verify: bool = False,
    ) -> None:
        self.file = file
        self.policy = policy
        #: what `is_sso_user`, and the other texts than the email, are in an entry that lacks them
        self.default_sso: Any = UNSET if verify else False
        self.default_text: Any = UNSET if verify else None
        self._defaults = dict.fromkeys(FIELDS, self.default_text)
        self._defaults |= {
            "is_sso_user": self.default_sso,
            "password": None,
            "password_hash": None,
            "suspended": False,
            "password_initial": False,
            "sub": None,
        }
        self.verify = verify
        #: the fields that every entry has: an email alone is enough to compare others
        self.required: Final = ("email",) if verify else REQUIRED
        self.problems: ProblemList = ProblemList()
        #: of valid users, each with the position of its user
        self.passwords: list[tuple[int, str]] = []
        #: entries so far, valid or not
        self.count: int = 0
        #: valid users so far with blanks around a text, and the line of the first one's email
        self.padded: int = 0
        self.first_padded: int = 0
        #: rows without an entry so far
        self.blank_rows = 0
        self.chosen_sheet: Final = chosen_sheet
        #: the visible sheets of a workbook; without a chosen one the first is read
        self.sheets: list[str] = []
        self.chosen_columns: Mapping[str, str] = chosen_columns or {}
        #: chooses the fields of all columns of a table in place of the caller; None if none does
        self.column_choices: ColumnChoices | None = column_choices
        #: header -> field, of the columns of a CSV file that are recognized by another name
        self.recognized_columns: dict[str, str] = {}
        #: problems so far of columns without a name
        self.nameless_columns: int = 0
        #: header -> field, or "" to leave it out: the choices that mend the header of a table
        self.proposed_choices: Mapping[str, str] = {}
        #: kind -> entries of another system so far that are not users, and were passed over
        self.left_out: Counter[str] = Counter()
        #: kind -> what belongs to entries so far, and was passed over
        self.belongings: Counter[str] = Counter()
        #: administrators of the other system so far
        self.administrators: int = 0
        #: valid users so far who are suspended
        self.suspended: int = 0
        #: those of them whom a directory has locked out, perhaps for a time that is over
        self.locked_out: int = 0
        #: the fields so far that only the server sets, in order
        self.passed_over: dict[str, None] = {}
        #: position -> email and its key
        self.kept: dict[int, tuple[str, str]] = {}
        #: position -> external id
        self.kept_external_ids: dict[int, str] = {}
        #: position -> full name, of entries to keep that have problems
        self.refused_names: dict[int, str] = {}
        #: position -> full name, of the other entries to keep
        self.kept_names: dict[int, str] = {}
        #: of an export, and its place
        self.manifest: tuple[Manifest, Place] | None = None
        #: whether an entry has a `sub`, as those of exports have
        self.is_exported: bool = False
        self.has_cells: Final = cells
        self._names_people = people
        self._keep = keep
        self._lines = array("I")
        self._columns: array[int] = array("I")
        self._email_keys = ValueHashes()
        self._external_ids = ValueHashes()
        self._file_problems = 0

    def leave_out(self, kind: str) -> None:
        """Pass over an entry of another system that is not a user, and count it by its kind."""
        self.left_out[kind] += 1

    @property
    def all_entries(self) -> int:
        """The entries and rows so far, also those that are not users."""
        return self.count + self.blank_rows + self.left_out.total()

    def pass_over(self, field: str, place: Place, *, is_set: bool) -> list[PlacedFault]:
        """Pass over a field that only the server sets; return the fault of a suspended user."""
        self.passed_over[field] = None
        if self.verify or not is_set or field != "suspended_at":
            return []
        return [PlacedFault(place, field, "suspended", _SUSPENDED)]

    def take_manifest(self, text: str, place: Place) -> None:
        """Take the manifest of an export, as JSON: see `UsersFile.users`."""
        try:
            self.manifest = parse_manifest(text), place
        except ValueError as error:
            self.problem(place, "manifest_wrong", f"the manifest {error}")

    def accept(
        self, user: CheckedUser, password: str | None, line: int, column: int
    ) -> CheckedUser:
        """Take a valid entry, its password and the place of its email."""
        is_padded = False
        if password and not self.verify:
            self.passwords.append((self.count, normalized(password)))
            is_padded = password != password.strip()
        if user.password_hash:
            user, weak = split_weak_hash(user, self.count)
            self.passwords += [weak] if weak else []
        if user.sub:
            self.is_exported = True
        if user.suspended:
            self.suspended += 1
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
            self.first_padded = self.first_padded or line
            self.padded += 1
        self._count(line, column, user.email, user.email_key, user.external_id)
        return user

    def check(self, values: dict[str, Any]) -> CheckedUser | None:
        """Check an entry that has all required fields, each of the right type."""
        fields = self._defaults | values
        if self.verify:
            fields["password"] = fields["password_hash"] = None
        imported = {field: fields.pop(field) for field in IMPORTED_FIELDS}
        return check(self.policy, **fields, imported=imported)

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
            is_needed = field in places or field in self.required
            if is_needed and values.get(field) is None and field not in faulty:
                detail = f"is {'empty' if field in places else 'missing'}: every user has one"
                faults.append(PlacedFault(places.get(field, start), field, "required", detail))
        if not faults and (user := self.check(values)):
            return self.accept(user, values.get("password"), *places["email"])
        if not self.verify and "is_sso_user" not in faulty:
            # The default, False, is a fault where SSO is the only sign-in method.
            values = {"is_sso_user": False, **values}
        faults += [
            PlacedFault(places.get(fault.field, start), *fault)
            for fault in find_faults(values, self.policy, verify=self.verify)
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
        words = cell_name(*place) if self.has_cells else words
        return f"{words} ({_unquoted(names[index])})" if names.get(index) else words

    def _problem(self, fault: PlacedFault, index: int | None = None, person: str = "") -> Problem:
        (line, column), field, code, detail, _ = fault
        return Problem(
            index=index,
            field=field,
            code=code,
            detail=detail,
            file=self.file,
            line=line,
            column=column,
            cell=cell_name(line, column) if self.has_cells else None,
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
            and not find_faults({field: value}, self.policy)
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
