"""An office, month by month: people with hidden identities, and the files that it exports."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

__all__ = ["Columns", "Office", "Person", "Row"]

FIRST = ("Anna", "Łukasz", "Jiří", "Zoë", "Thomas", "Ewa", "Andreas", "Σοφία")
LAST = ("Auer", "Huber", "Šťastný", "Weber", "Wałęsa", "Meier", "Klein", "Roe")
_ASCII = str.maketrans("ŁłířëΣοφίαŠťýęáÍ", "LlireSofiaStyeaI")


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
    """What a file has: `names` is `both`, `whole` (one column), `last` or `none`."""

    has_numbers: bool = True
    names: str = "both"
    is_swapped: bool = False
    loses_letters: bool = False


@dataclass(frozen=True)
class Row:
    """A row of a file; `true` has its values before letters were lost."""

    person: int
    values: dict[str, str]
    true: dict[str, str]

    @property
    def email(self) -> str:
        return self.values["email"]

    @property
    def number(self) -> str:
        return self.values.get("external_id", "")

    @property
    def is_damaged(self) -> bool:
        return self.values != self.true


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
        )
        for _ in range(self.chance.randint(1, 4)):
            event = self.chance.choice((*events, *events, *others))
            event()

    def copy(self) -> "Office":
        return Office(self.chance, [replace(one) for one in self.people])

    def columns(self) -> Columns:
        chance = self.chance
        return Columns(
            has_numbers=chance.random() < 0.75,
            names=chance.choice(("both",) * 7 + ("whole", "last", "none")),
            is_swapped=chance.random() < 0.06,
            loses_letters=chance.random() < 0.1,
        )

    def rows(self, columns: Columns) -> list[Row]:
        return [_row(one, columns) for one in self.present()]

    def is_consistent(self) -> bool:
        present = list(self.present())
        emails = {one.email for one in present}
        numbers = {one.external_id for one in present}
        return bool(present) and len(emails) == len(numbers) == len(present)

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
        taken = {one.external_id.lstrip("0") for one in self.people}
        while (number := str(self.chance.randint(1, 400))) in taken:
            pass
        return number.zfill(5) if self.chance.random() < 0.4 else number

    def _new_email(self, person: Person) -> str:
        """Make an email of the name: often one that somebody else had."""
        name, lastname = (text.translate(_ASCII).lower() for text in (person.name, person.lastname))
        forms = (name, f"{name[0]}.{lastname}", f"{name}.{lastname}", f"{name}{len(self.people)}")
        taken = {one.email for one in self.present() if one is not person}
        free = [form for form in forms if f"{form}@example.com" not in taken]
        tail = self.chance.choice(free) if free else f"{name}{self.chance.randint(100, 99999)}"
        return f"{tail}@example.com"


def _row(person: Person, columns: Columns) -> Row:
    name, lastname = person.name, person.lastname
    if columns.is_swapped:
        name, lastname = lastname, name
    true = {"email": person.email}
    if columns.has_numbers:
        true["external_id"] = person.external_id
    if columns.names == "whole":
        true["name"] = f"{name} {lastname}"
    if columns.names == "both":
        true["name"] = name
    if columns.names in {"both", "last"}:
        true["lastname"] = lastname
    values = dict(true)
    if columns.loses_letters:
        values = {
            key: text.encode("windows-1252", "replace").decode("windows-1252")
            for key, text in true.items()
        }
    return Row(person.key, values, true)
