"""A model of the control plane in plain Python: what each call does to the accounts, by the docs.

It has no transactions and no SQL. Each call is done as a whole, or refused and changes nothing.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

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
    Undo,
    Update,
)

from anyscale.domain.models.users import EmailChange

#: days for which no account gets the former email of another one
FREED_DAYS = 30

#: whose an email was that a deleted account had
_DELETED = ""

#: what an account must be before a change: its fields, `permission_level`, `suspended`
Expected = Mapping[str, object]

_FIELDS = ("email", "external_id", "name", "lastname", "title")


def key_of(email: str | None) -> str:
    """Return the form of an email that is unique: all of ours are ASCII."""
    return (email or "").lower()


class Refused(Exception):
    """A call is refused, with the code of the error."""

    def __init__(self, code: str, problems: Iterable[tuple[int, str]] = ()) -> None:
        self.problems: frozenset[tuple[int, str]] = frozenset(problems)
        super().__init__(code)

    @property
    def outcome(self) -> object:
        return (str(self), self.problems) if self.problems else str(self)


@dataclass
class Account:
    """An account, or a user of an open batch."""

    user_id: str
    email: str
    external_id: str | None
    name: str
    lastname: str | None
    title: str | None
    batch: str
    is_owner: bool = False
    #: `hand`, `sync`, or empty if it is not suspended
    suspended: str = ""
    #: whether an undo keeps it: here only a change of the role uses an account
    is_used: bool = False

    @property
    def key(self) -> str:
        return key_of(self.email)

    @property
    def permission_level(self) -> str:
        return "owner" if self.is_owner else "collaborator"

    def require(self, expected: Expected, changes: Entry | None = None) -> None:
        """Refuse a change if it is neither as expected nor as it is changed to."""
        for name, value in expected.items():
            found = bool(self.suspended) if name == "suspended" else getattr(self, name)
            if found not in (value, (changes or {}).get(name, value)):
                raise Refused("account_edited")

    def changed(self, changes: Mapping[str, str | None]) -> dict[str, str | None]:
        """Return those of some new values that it does not have."""
        return {name: new for name, new in changes.items() if getattr(self, name) != new}


@dataclass
class Model:
    """All that a history changes.

    Args:
        is_operator: whether the clients are on the machine of the control plane, and so may change
            the email of an owner.
    """

    is_operator: bool
    #: by `user_id`, in the order in which they are listed
    accounts: dict[str, Account] = field(default_factory=dict)
    #: (key of an email, `user_id` of who had it) -> days since; the last one last
    former: dict[tuple[str, str], int] = field(default_factory=dict)
    #: the users of open batches, by batch
    reserved: dict[str, list[Account]] = field(default_factory=dict)
    #: open batches that have all of their entries
    whole: set[str] = field(default_factory=set)
    #: batches that have accounts, or had some
    published: set[str] = field(default_factory=set)
    #: new batches so far, which have names of their own here
    new: int = 0

    def copy(self) -> "Model":
        return replace(
            self,
            accounts={one.user_id: copy(one) for one in self.accounts.values()},
            former=dict(self.former),
            reserved={batch: list(map(copy, rows)) for batch, rows in self.reserved.items()},
            whole=set(self.whole),
            published=set(self.published),
        )

    def take(self, step: Step) -> object:
        """Take a step that is one call; return its outcome, as `Client.take` does."""
        before = self.copy()
        try:
            return self._take(step) or "done"
        except Refused as error:
            vars(self).update(vars(before))
            return error.outcome

    def _take(self, step: Step) -> object:  # noqa: C901 - a case for each kind of step
        match step:
            case Create(entries, if_exists):
                return f"{self.create(entries, if_exists)[0]} created"
            case Reserve(entries):
                return f"{self.reserve(entries)} reserved"
            case Undo(batch, force):
                return f"{self.undo(batch, force=force)} deleted"
            case Finish(batch, publish, _):
                self.finish(batch, publish=publish)
            case Update(user_id, changes, reuse_email):
                self.update(user_id, changes, reuse_email=reuse_email)
            case ChangeEmails(emails):
                self.change_emails(emails)
            case Suspend(user_id):
                self.suspend(user_id, "hand")
            case Restore(user_id):
                self.restore(user_id, "hand")
            case SetRole(user_id, is_owner):
                self.set_role(user_id, is_owner=is_owner)
            case Delete(user_id):
                self.delete(user_id)
            case _:
                raise AssertionError(step)
        return None

    # Who has an email or a number

    def by_email(self, email: str | None) -> Account | None:
        found = [one for one in self.accounts.values() if one.key == key_of(email)]
        return found[0] if found else None

    def by_number(self, number: str | None) -> Account | None:
        found = [one for one in self.accounts.values() if number and one.external_id == number]
        return found[0] if found else None

    def _reserved(self) -> Iterator[Account]:
        for rows in self.reserved.values():
            yield from rows

    def freed(self, email: str | None) -> str | None:
        """Return the last account that had an email until less than 30 days ago; None for none."""
        last = None
        for (key, user_id), days in self.former.items():
            if key == key_of(email) and days < FREED_DAYS:
                last = user_id
        return last

    def conflict(self, entry: Entry) -> str:
        """Return the code of the problem of a new user; an empty text if there is none."""
        email, number = entry["email"], entry.get("external_id")
        if self.by_email(email):
            return "email_exists"
        if self.by_number(number):
            return "external_id_exists"
        if any(one.key == key_of(email) for one in self._reserved()):
            return "email_reserved"
        if any(number and one.external_id == number for one in self._reserved()):
            return "external_id_reserved"
        return "" if self.freed(email) is None else "email_freed"

    # Batches

    def create(self, entries: Sequence[Entry], if_exists: str) -> tuple[int, list[int]]:
        """Create a batch; return how many accounts it has, and the entries that were skipped."""
        conflicts = [(at, self.conflict(entry)) for at, entry in enumerate(entries)]
        skipped = [at for at, code in conflicts if code.endswith("_exists") and if_exists == "skip"]
        problems = [(at, code) for at, code in conflicts if code and at not in skipped]
        if problems:
            raise Refused("batch_refused", problems)
        batch = self._new_batch()
        created = [at for at in range(len(entries)) if at not in skipped]
        self._publish(batch, [_account(batch, at, entries[at]) for at in created])
        return len(created), skipped

    def reserve(self, entries: Sequence[Entry]) -> int:
        batch = self._new_batch()
        free = [at for at, entry in enumerate(entries) if not self.conflict(entry)]
        self.reserved[batch] = [_account(batch, at, entries[at]) for at in free]
        if len(free) == len(entries):
            self.whole.add(batch)
        return len(free)

    def finish(self, batch: str, *, publish: bool) -> None:
        if batch not in self.reserved:
            if publish != (batch in self.published):
                raise Refused("batch_gone")
            return
        rows = self.reserved.pop(batch)
        if publish:
            self._publish(batch, rows)

    def undo(self, batch: str, *, force: bool) -> int:
        """Delete the accounts of a batch that were not used, but never the last owner."""
        owners = sorted(self._active_owners())
        mine = [one.user_id for one in self.accounts.values() if one.batch == batch]
        spared = owners[-1] if owners and set(owners) <= set(mine) else ""
        gone = [
            user_id
            for user_id in mine
            if user_id != spared and (force or not self.accounts[user_id].is_used)
        ]
        for user_id in gone:
            self._remove(user_id)
        return len(gone)

    def _new_batch(self) -> str:
        self.new += 1
        return f"new batch {self.new}"

    def _publish(self, batch: str, rows: Iterable[Account]) -> None:
        self.published.add(batch)
        self.accounts |= {one.user_id: one for one in rows}

    # Accounts

    def update(
        self,
        user_id: str,
        changes: Entry,
        expected: Expected | None = None,
        *,
        reuse_email: bool = False,
    ) -> None:
        account = self._account(user_id)
        changed = account.changed(changes)
        account.require(expected or {}, changes)
        if number := changed.get("external_id"):
            self._require_free_number(account, number)
        if "email" in changed:
            if account.is_owner and not self.is_operator:
                raise Refused("not_permitted")
            self._change_emails({user_id: str(changed["email"])}, reuse_email=reuse_email)
        for name, value in changed.items():
            setattr(account, name, value)

    def change_emails(self, changes: Sequence[EmailChange]) -> None:
        accounts = [self._account(one.user_id) for one in changes]
        emails = dict[str, str]()
        for account, change in zip(accounts, changes, strict=True):
            if account.email == change.email:
                continue
            if account.is_owner:
                raise Refused("owner_kept")
            account.require(change.expected.to_dict())
            emails[account.user_id] = change.email
        self._change_emails(emails)

    def _change_emails(self, emails: Mapping[str, str], *, reuse_email: bool = False) -> None:
        keys = list(map(key_of, emails.values()))
        others = [one for one in self.accounts.values() if one.user_id not in emails]
        taken = {one.key for one in [*others, *self._reserved()]}
        if len(set(keys)) < len(keys) or taken.intersection(keys):
            raise Refused("email_taken")
        own = {self.accounts[user_id].key for user_id in emails}  # these are passed on
        for user_id, email in emails.items():
            if not (reuse_email or key_of(email) in own or self.freed(email) in (None, user_id)):
                raise Refused("email_freed")
        for user_id in emails:
            self.former[self.accounts[user_id].key, user_id] = 0
        for user_id, email in emails.items():
            self.accounts[user_id].email = email
            self.former.pop((key_of(email), user_id), None)

    def _require_free_number(self, account: Account, number: str) -> None:
        others = [one for one in self.accounts.values() if one is not account]
        if any(one.external_id == number for one in [*others, *self._reserved()]):
            raise Refused("external_id_taken")

    def suspend(
        self, user_id: str, by: str, expected: Expected | None = None, *, keep_owner: bool = False
    ) -> None:
        account = self._account(user_id)
        if account.suspended and (by == "sync" or account.suspended == "hand"):
            return
        if keep_owner and account.is_owner:
            raise Refused("owner_kept")
        account.require(expected or {})
        self._require_another_owner(account)
        account.suspended = by

    def restore(
        self, user_id: str, by: str, expected: Expected | None = None, *, keep_owner: bool = False
    ) -> None:
        account = self._account(user_id)
        if not account.suspended:
            return
        if keep_owner and account.is_owner:
            raise Refused("owner_kept")
        if by == "sync" and account.suspended == "hand":
            raise Refused("account_edited")
        account.require(expected or {})
        account.suspended = ""

    def set_role(self, user_id: str, *, is_owner: bool) -> None:
        account = self._account(user_id)
        if account.is_owner == is_owner:
            return
        self._require_another_owner(account)
        account.is_owner, account.is_used = is_owner, True

    def delete(self, user_id: str) -> None:
        account = self._account(user_id)
        self._require_another_owner(account)
        had = [(key, days) for (key, of), days in self.former.items() if of == user_id]
        self._remove(user_id)
        if account.is_used:  # its emails are kept for a while, but not whose they were
            for key, days in [*had, (account.key, 0)]:
                if days < FREED_DAYS:
                    self.former[key, _DELETED] = days

    def _remove(self, user_id: str) -> None:
        del self.accounts[user_id]
        self.former = {key: days for key, days in self.former.items() if key[1] != user_id}

    def _account(self, user_id: str) -> Account:
        if user_id not in self.accounts:
            raise Refused("not_found")
        return self.accounts[user_id]

    def _active_owners(self) -> list[str]:
        accounts = self.accounts.values()
        return [one.user_id for one in accounts if one.is_owner and not one.suspended]

    def _require_another_owner(self, account: Account) -> None:
        if self._active_owners() == [account.user_id]:
            raise Refused("last_owner")

    # Comparing

    def names(self, known: Container[str]) -> dict[str, str]:
        """Return how to name the accounts to compare: those that are not known have no id yet."""
        return {
            user_id: user_id if user_id in known else f"new {one.key}"
            for user_id, one in self.accounts.items()
        }

    def state(self, names: Mapping[str, str]) -> tuple[frozenset[object], ...]:
        """Return all of it in a form to compare."""
        return (
            frozenset(
                (names[one.user_id], one.is_owner, one.suspended, one.is_used, *_values(one))
                for one in self.accounts.values()
            ),
            frozenset(
                (key, names.get(user_id, user_id), days)
                for (key, user_id), days in self.former.items()
                # Sooner or later these are purged.
                if user_id != _DELETED or days < FREED_DAYS
            ),
            frozenset(map(_values, self._reserved())),
        )


def _account(batch: str, position: int, entry: Entry) -> Account:
    name, email = entry["name"], entry["email"]
    assert name
    assert email
    number, lastname, title = map(entry.get, ("external_id", "lastname", "title"))
    return Account(f"{batch} {position}", email, number, name, lastname, title, batch)


def _values(account: Account) -> tuple[str | None, ...]:
    return tuple(getattr(account, name) for name in _FIELDS)
