"""Random steps, from few people, emails and numbers, so that they meet."""

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

from tests.resilience.histories.model import Account, Model, key_of
from tests.resilience.histories.steps import (
    ChangeEmails,
    Create,
    Delete,
    Entry,
    Finish,
    Reserve,
    Restore,
    SetRole,
    Step,
    Suspend,
    Sync,
    Undo,
    Update,
)

from anyscale.comparison.sync_options import SyncOptions
from anyscale.domain.models.users import EmailChange, ExpectedUser

_EMAILS = tuple(f"e{at}@example.com" for at in range(11))
_NUMBERS = (*map(str, range(1, 10)), "07")
_FIRST_NAMES = ("Ann", "Ben", "Cid", "Dan", "Eve", "Fay")
_LAST_NAMES = ("Lee", "Moe", "Noe", "Poe", "Roe", None)
_TITLES = ("Chef", "Koch", None)

_Value = TypeVar("_Value")
_Usual = TypeVar("_Usual")

_Rows = list[dict[str, str | None]]


class RandomSteps:
    """Makes steps for the accounts as they are.

    Args:
        random: makes the choices.
        gone: ids of accounts that were deleted.
    """

    def __init__(self, random: Random, gone: Sequence[str]) -> None:
        self._random = random
        self._gone = gone

    def first(self) -> Step:
        """Create the first people, most of whom have a number."""
        people = [self._person() for _ in range(self._random.randint(5, 9))]
        return Create(_unique(people), "fail")

    def step(self, model: Model) -> Step:
        """Make a step of any kind."""
        if not model.accounts:
            return self.first()
        kinds: dict[Callable[[Model], Step], int] = {
            self.sync: 34,
            self._update: 18,
            self._create: 11,
            self._change_emails: 9,
            self._restore: 7,
            self._suspend: 5,
            self._undo: 5,
            self._reserve: 4,
            self._set_role: 4,
            self._delete: 2,
        }
        if model.reserved:
            kinds[self._finish] = 12
        (kind,) = self._random.choices(list(kinds), list(kinds.values()))
        return kind(model)

    def meeting(self, was: Account, after: Account) -> Step:
        """Make a call about an account that another client changes."""
        random, user_id = self._random, was.user_id
        if was.suspended != after.suspended:
            return random.choice(_about_suspension(user_id))
        changes: list[Entry] = [
            {"email": self._email()},
            {"lastname": random.choice(_LAST_NAMES)},
            {"external_id": random.choice([*_NUMBERS, None])},
        ]
        others: list[Step] = [Update(user_id, one, reuse_email=True) for one in changes]
        others += [SetRole(user_id, is_owner=True), Delete(user_id)]
        return random.choice(others)

    # Calls

    def _create(self, _: Model) -> Step:
        return Create(self._new_people(), self._random.choice(["fail", "skip"]))

    def _reserve(self, _: Model) -> Step:
        return Reserve(self._new_people())

    def _finish(self, model: Model) -> Step:
        batch = self._random.choice(list(model.reserved))
        publish = batch in model.whole and self._random.random() < 0.6
        return Finish(batch, publish, len(model.reserved[batch]))

    def _update(self, model: Model) -> Step:
        random = self._random
        fields = random.sample(
            ["email", "email", "external_id", "lastname", "title"], random.randint(1, 2)
        )
        values = {
            "email": random.choice([self._email(), self._former_email(model)]),
            "external_id": random.choice([*_NUMBERS, None]),
            "lastname": random.choice(_LAST_NAMES),
            "title": random.choice(_TITLES),
        }
        changes = {field: values[field] for field in fields}
        return Update(self._any_id(model), changes, random.random() < 0.25)

    def _change_emails(self, model: Model) -> Step:
        """Make a chain or a circle; at times it expects what is not."""
        random = self._random
        accounts = list(model.accounts.values())
        chain = random.sample(accounts, min(len(accounts), random.randint(1, 4)))
        last = chain[0].email if random.random() < 0.6 else self._email()
        emails = [*(one.email for one in chain[1:]), last]
        return ChangeEmails(
            [
                EmailChange(
                    one.user_id, email, ExpectedUser(email=self._rarely(self._email(), one.email))
                )
                for one, email in zip(chain, emails, strict=True)
            ]
        )

    def _suspend(self, model: Model) -> Step:
        return Suspend(self._any_id(model))

    def _restore(self, model: Model) -> Step:
        suspended = [one.user_id for one in model.accounts.values() if one.suspended]
        return Restore(self._random.choice(suspended) if suspended else self._any_id(model))

    def _set_role(self, model: Model) -> Step:
        return SetRole(self._any_id(model), self._random.random() < 0.6)

    def _delete(self, model: Model) -> Step:
        return Delete(self._any_id(model))

    def _undo(self, model: Model) -> Step:
        return Undo(self._random.choice(sorted(model.published)), self._random.random() < 0.5)

    # Files of a sync

    def sync(self, model: Model) -> Step:
        """Make a file from the accounts that are not suspended, as an office would edit it."""
        random = self._random
        rows = [_row(one) for one in model.accounts.values() if not one.suspended]
        random.shuffle(rows)
        if random.random() < 0.4:
            self._come_back(rows, model)
        edits: list[Callable[[_Rows, Model], None]] = [
            *(self._marry, self._swap, self._promote, self._leave, self._join, self._come_back),
            *(self._take_email, self._take_number, self._take_over, self._empty_column),
            *(self._inherit, self._mistype, self._be_old),
            *(self._marry, self._swap, self._leave, self._join, self._come_back, self._spell),
            *(self._marry, self._swap, self._leave, self._join, self._leave, self._promote),
        ]
        for edit in random.sample(edits, random.randint(1, 3)):
            edit(rows, model)
        if random.random() < 0.15:
            for row in rows:
                row.pop("external_id")
        return Sync(_unique(rows), self._options())

    def _options(self) -> SyncOptions:
        random = self._random
        return SyncOptions(
            create=random.random() < 0.9,
            correct=random.random() < 0.9,
            suspend_missing=random.random() < 0.9,
            restore=random.random() < 0.6,
            at_most_suspend=self._rarely(random.randint(0, 2), None),
            at_most_correct=self._rarely(random.randint(0, 2), None),
            at_most_create=self._rarely(random.randint(0, 1), None),
        )

    def _marry(self, rows: _Rows, _: Model) -> None:
        if rows:
            row = self._random.choice(rows)
            row["email"] = self._email()
            row["lastname"] = self._random.choice(_LAST_NAMES)

    def _swap(self, rows: _Rows, _: Model) -> None:
        """Let up to three people pass on their emails in a circle, or to the end of a chain."""
        chain = self._random.sample(rows, min(len(rows), self._random.randint(2, 3)))
        emails = [row["email"] for row in chain]
        for row, email in zip(chain, [*emails[1:], *emails[:1]], strict=True):
            row["email"] = email
        if chain and self._random.random() < 0.4:
            chain[-1]["email"] = self._email()

    def _promote(self, rows: _Rows, _: Model) -> None:
        if rows:
            self._random.choice(rows)["title"] = self._random.choice(_TITLES)

    def _leave(self, rows: _Rows, _: Model) -> None:
        for _one in range(min(len(rows), self._random.randint(1, 2))):
            rows.pop(self._random.randrange(len(rows)))

    def _join(self, rows: _Rows, _: Model) -> None:
        rows += map(dict, self._new_people())

    def _come_back(self, rows: _Rows, model: Model) -> None:
        rows += [_row(one) for one in model.accounts.values() if one.suspended]

    def _take_email(self, rows: _Rows, model: Model) -> None:
        """Give a new person the email that somebody has, or had."""
        emails = [*(one.email for one in model.accounts.values()), *(k for k, _ in model.former)]
        if emails:
            rows.insert(0, self._person() | {"email": self._random.choice(emails)})

    def _inherit(self, rows: _Rows, _: Model) -> None:
        """Give a new person the email of somebody who gets another one."""
        if rows:
            row = self._random.choice(rows)
            rows.append(self._person() | {"email": row["email"]})
            row["email"] = self._email()

    def _mistype(self, rows: _Rows, _: Model) -> None:
        """Give somebody another email, and no number that says who it is."""
        if rows:
            self._random.choice(rows).update(email=self._email(), external_id=None)

    def _be_old(self, rows: _Rows, model: Model) -> None:
        """Give those their former emails who have others by now, and no number."""
        former = {user_id: key for key, user_id in model.former}
        for one in model.accounts.values():
            for row in rows:
                if row["email"] == one.email and one.user_id in former:
                    row.update(email=former[one.user_id], external_id=None)

    def _take_number(self, rows: _Rows, model: Model) -> None:
        """Give a new person the number of somebody, such as one who left."""
        numbers = [one.external_id for one in model.accounts.values() if one.external_id]
        if numbers:
            rows.insert(0, self._person() | {"external_id": self._random.choice(numbers)})

    def _take_over(self, rows: _Rows, model: Model) -> None:
        """Give somebody the email or the number of an owner, or an owner another one."""
        owners = [one for one in model.accounts.values() if one.is_owner]
        if not owners or not rows:
            return
        owner, field = self._random.choice(owners), self._random.choice(["email", "external_id"])
        own = [row for row in rows if row["email"] == owner.email]
        if own and self._random.random() < 0.5:
            own[0][field] = self._person()[field]
        else:
            rows.insert(0, self._random.choice(rows) | {field: getattr(owner, field)})
            rows.remove(self._random.choice(rows[1:]))

    def _empty_column(self, rows: _Rows, _: Model) -> None:
        field = self._random.choice(["lastname", "title", "external_id"])
        for row in rows:
            row[field] = None

    def _spell(self, rows: _Rows, _: Model) -> None:
        if rows:
            row = self._random.choice(rows)
            row["email"] = str(row["email"]).capitalize()

    # People

    def _new_people(self) -> Sequence[Entry]:
        return _unique([self._person() for _ in range(self._random.randint(1, 3))])

    def _person(self) -> dict[str, str | None]:
        random = self._random
        return {
            "email": self._email(),
            "external_id": random.choice([*_NUMBERS, None]),
            "name": random.choice(_FIRST_NAMES),
            "lastname": random.choice(_LAST_NAMES),
            "title": random.choice(_TITLES),
        }

    def _email(self) -> str:
        email = self._random.choice(_EMAILS)
        return self._rarely(email.capitalize(), email)

    def _former_email(self, model: Model) -> str:
        return self._random.choice([key for key, _ in model.former] or [self._email()])

    def _any_id(self, model: Model) -> str:
        user_id = self._random.choice(list(model.accounts))
        return self._rarely(self._random.choice(self._gone), user_id) if self._gone else user_id

    def _rarely(self, value: _Value, usual: _Usual) -> _Value | _Usual:
        return value if self._random.random() < 0.08 else usual


def _about_suspension(user_id: str) -> list[Step]:
    return [SetRole(user_id, is_owner=True), Suspend(user_id), Restore(user_id), Delete(user_id)]


def _row(account: Account) -> dict[str, str | None]:
    fields = "email", "external_id", "name", "lastname", "title"
    return {field: getattr(account, field) for field in fields}


def _unique(rows: Sequence[Entry]) -> list[Entry]:
    """Return the rows whose emails and numbers no earlier one has: others are refused as wrong."""
    emails, numbers, unique = set[str](), set[str | None](), list[Entry]()
    for row in rows:
        key, number = key_of(row["email"]), row.get("external_id")
        if key not in emails and (not number or number not in numbers):
            unique.append(row)
            emails.add(key)
            numbers.add(number)
    return unique
