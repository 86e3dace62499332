"""An office, month by month: people with hidden identities, and the files that it exports."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

FIRST = ("Anna", "Łukasz", "Jiří", "Zoë", "Thomas", "Ewa", "Andreas", "Σοφία")
#: some people have one name
LAST = ("Auer", "Huber", "Šťastný", "Weber", "Wałęsa", "Meier", "Klein", "Roe", "Ρωμανού", "")
_ASCII = str.maketrans("ŁłířëΣοφίαŠťýęáÍΡωμανού", "LlireSofiaStyeaIRomanou")
_LOSSES = (*("windows-1252",) * 6, "utf-8", "replaced")


@dataclass
class Person:
    """Somebody, and what the office says of them now."""

    key: int
    name: str
    lastname: str
    external_id: str
    email: str
    is_present: bool = True


@dataclass(frozen=True)
class Columns:
    """What a file has: `names` is `both`, `whole` (one column), `last` or `none`.

    A file that `loses_letters` was written or read in another encoding: `windows-1252` has `?` in
    their place, `utf-8` two others, and `replaced` U+FFFD.
    """

    has_numbers: bool = True
    names: str = "both"
    is_swapped: bool = False
    #: an encoding
    loses_letters: str = ""
    #: whether somebody has sorted the column of numbers by itself
    is_sorted: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a file."""

    person: int
    values: dict[str, str]
    #: whether its letters are those of another encoding
    is_misread: bool = False

    @property
    def email(self) -> str:
        return self.values["email"]

    @property
    def number(self) -> str:
        return self.values.get("external_id", "")


@dataclass
class Office:
    """The people of an office; each month changes some of them."""

    chance: random.Random
    people: list[Person] = field(default_factory=list)

    def begin(self) -> None:
        for _ in range(self.chance.randint(3, 6)):
            self._join()

    def next_month(self) -> None:
        """Let one to four things happen."""
        events = (self._join, self._leave, self._return, self._marry, self._change_email)
        others = (
            self._return,
            self._return,
            self._renumber_one,
            self._renumber_all,
            self._lose_zeros,
            self._swap_emails,
            self._join_as_namesake,
            self._join_as_namesake,
            self._lose_namesakes,
        )
        for _ in range(self.chance.randint(1, 4)):
            event = self.chance.choice((*events, *events, *others))
            event()

    def copy(self) -> "Office":
        return Office(self.chance, [replace(one) for one in self.people])

    def columns(self) -> Columns:
        chance = self.chance
        is_swapped = chance.random() < 0.06
        return Columns(
            has_numbers=chance.random() < 0.75,
            names=chance.choice(("both",) * 7 + ("whole", "last", "none")),
            is_swapped=is_swapped,
            loses_letters=chance.choice(_LOSSES) if chance.random() < 0.1 + is_swapped / 4 else "",
            is_sorted=chance.random() < 0.04,
        )

    def rows(self, columns: Columns) -> list[Row]:
        people = list(self.present())
        if columns.is_sorted:
            numbers = sorted(one.external_id for one in people)
            people = [
                replace(one, external_id=number)
                for one, number in zip(people, numbers, strict=True)
            ]
        return [_row(one, columns) for one in people]

    def is_consistent(self) -> bool:
        present = list(self.present())
        emails = {one.email for one in present}
        numbers = [one.external_id for one in present if one.external_id]
        has_unique = len(emails) == len(present) and len(set(numbers)) == len(numbers)
        return bool(present) and has_unique

    def present(self) -> Iterator[Person]:
        return (one for one in self.people if one.is_present)

    def _join(self) -> None:
        """Take somebody new on, maybe with the number or the email of one who left."""
        chance, left = self.chance, [one for one in self.people if not one.is_present]
        new = Person(
            len(self.people), chance.choice(FIRST), chance.choice(LAST), self._new_number(), ""
        )
        new.email = self._new_email(new)
        if left and chance.random() < 0.3:
            new.external_id = chance.choice(left).external_id
        if left and chance.random() < 0.5:
            new.email = chance.choice(left).email
        self.people.append(new)

    def _join_as_namesake(self) -> None:
        """Take somebody on who has the whole name of another one, or of one who left."""
        other = self.chance.choice(self.people)
        self._join()
        new = self.people[-1]
        new.name, new.lastname = other.name, other.lastname

    def _lose_namesakes(self) -> None:
        """Let two of one name leave, and maybe a third one come."""
        if one := self._somebody():
            same = [x for x in self.present() if (x.name, x.lastname) == (one.name, one.lastname)]
            for other in same:
                other.is_present = False
            if self.chance.random() < 0.6:
                self._join()
                self.people[-1].name, self.people[-1].lastname = one.name, one.lastname

    def _leave(self) -> None:
        if one := self._somebody():
            one.is_present = False
            if self.chance.random() < 0.4:
                self._join()

    def _return(self) -> None:
        left = [one for one in self.people if not one.is_present]
        if left:
            one = self.chance.choice(left)
            one.is_present = True
            if self.chance.random() < 0.15:
                one.external_id = self._new_number()
            if self.chance.random() < 0.15:
                one.email = self._new_email(one)

    def _marry(self) -> None:
        if one := self._somebody():
            one.lastname = self.chance.choice(LAST)
            if self.chance.random() < 0.6:
                one.email = self._new_email(one)

    def _change_email(self) -> None:
        if one := self._somebody():
            one.email = self._new_email(one)

    def _renumber_one(self) -> None:
        if one := self._somebody():
            one.external_id = self._new_number()

    def _renumber_all(self) -> None:
        for one in self.present():
            one.external_id = self._new_number()

    def _lose_zeros(self) -> None:
        for one in self.present():
            one.external_id = one.external_id.lstrip("0")

    def _swap_emails(self) -> None:
        one, other = self._somebody(), self._somebody()
        if one and other:
            one.email, other.email = other.email, one.email

    def _somebody(self) -> Person | None:
        present = list(self.present())
        return self.chance.choice(present) if present else None

    def _new_number(self) -> str:
        if self.chance.random() < 0.06:
            return ""  # as a trainee
        taken = {one.external_id.lstrip("0") for one in self.people}
        while (number := str(self.chance.randint(1, 400))) in taken:
            pass
        return number.zfill(5) if self.chance.random() < 0.4 else number

    def _new_email(self, person: Person) -> str:
        """Make an email of the name: often one that somebody else had."""
        name, lastname = (text.translate(_ASCII).lower() for text in (person.name, person.lastname))
        tail = lastname or name
        forms = (name, f"{name[0]}.{tail}", f"{name}.{tail}", f"{name}{len(self.people)}")
        taken = {one.email for one in self.present() if one is not person}
        free = [form for form in forms if f"{form}@example.com" not in taken]
        form = self.chance.choice(free) if free else f"{name}{self.chance.randint(100, 99999)}"
        return f"{form}@example.com"


def _row(person: Person, columns: Columns) -> Row:
    name, lastname = person.name, person.lastname
    if columns.is_swapped and lastname:
        name, lastname = lastname, name
    values = {"email": person.email}
    if columns.has_numbers:
        values["external_id"] = person.external_id
    if columns.names == "whole":
        values["name"] = f"{name} {lastname}".strip()
    if columns.names == "both":
        values["name"] = name
    if columns.names in {"both", "last"}:
        values["lastname"] = lastname
    read = {key: _lose_letters(text, columns.loses_letters) for key, text in values.items()}
    return Row(person.key, read, columns.loses_letters == "utf-8" and read != values)


def _lose_letters(text: str, encoding: str) -> str:
    if encoding == "utf-8":
        return text.encode().decode("windows-1252", "replace")
    if encoding == "replaced":
        return "".join(one if one.isascii() else "\ufffd" for one in text)
    return text.encode(encoding, "replace").decode(encoding) if encoding else text
