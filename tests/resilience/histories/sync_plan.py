"""A model of the plan of a sync, by docs/operations/sync.md and docs/operations/who-is-who.md."""

from collections.abc import Container, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.resilience.histories.model import Account, Expected, Model, Refused, key_of
from tests.resilience.histories.steps import Entry, Sync

#: stops before each moment at which another client may change something
Moments = Generator[None, None, None]

_ENTERED = ("email", "external_id", "name", "lastname", "title")

_NAMES = ("name", "lastname")


class Correction(NamedTuple):
    """New values of an account, and those that it had."""

    at: int
    user_id: str
    changes: Entry
    expected: Expected

    @property
    def new_email(self) -> str:
        return self.changes.get("email") or ""

    @property
    def old_email(self) -> str:
        return str(self.expected["email"])

    @property
    def details(self) -> Entry:
        return {name: value for name, value in self.changes.items() if name != "email"}


@dataclass
class Plan:
    """What a sync would do, in the form to compare."""

    create: list[int] = field(default_factory=list)
    correct: list[Correction] = field(default_factory=list)
    restore: list[tuple[int, Account]] = field(default_factory=list)
    suspend: list[Account] = field(default_factory=list)
    #: accounts and entries that stay as they are
    left: list[tuple[str | None, int | None]] = field(default_factory=list)
    blocked: list[tuple[str | None, int | None]] = field(default_factory=list)
    #: entries in doubt, each with its account
    questions: list[tuple[str | None, int]] = field(default_factory=list)
    is_stopped: bool = False

    def outcome(self, done: object) -> object:
        """Return what a client sees of it."""
        return (
            ("create", frozenset(self.create)),
            (
                "correct",
                frozenset((one.user_id, *sorted(one.changes.items())) for one in self.correct),
            ),
            ("restore", frozenset(account.user_id for _, account in self.restore)),
            ("suspend", frozenset(one.user_id for one in self.suspend)),
            ("left", frozenset(self.left)),
            ("blocked", frozenset(self.blocked)),
            ("questions", frozenset(self.questions)),
            ("stopped", self.is_stopped),
            ("done", done),
        )


class Planning:
    """Makes the plan of a sync.

    Args:
        model: of the control plane, which other clients change too.
        sync: the file and the options.
        lists_in_advance: whether all accounts are listed before those of the file are looked up;
            None if they are listed afterwards, each with all that is known about it.
    """

    def __init__(self, model: Model, sync: Sync, *, lists_in_advance: bool | None) -> None:
        self._model = model
        self._entries = sync.entries
        self._options = sync.options
        self._lists_in_advance = lists_in_advance
        self._numbers = frozenset(entry.get("external_id") for entry in sync.entries) - {None}
        self.plan = Plan()

    def make(self) -> Moments:
        """Make the plan."""
        listed = self._active() if self._lists_in_advance else []
        yield
        matched = self._match_clear()
        yield
        matched |= self._match_depending()
        yield
        if self._lists_in_advance is not True:
            listed = self._active()
        yield
        self._add_matched(matched)
        if self._options.create or self._options.suspend_missing:
            self._add_missing(matched, listed)
        yield
        self._keep_former_holders(matched)
        yield
        if self._options.correct:
            self._block_emails()
            self._block_numbers()
        self._asked_before_names = [index for _, index in self.plan.questions]
        if self._options.create or self._options.suspend_missing:
            self._ask_about_look_alikes()
        self._leave_namesakes()
        self._leave_if_email_is_kept()
        self._block_given_up()
        has_unknown = bool(self.plan.create) and not self._options.create
        self._leave_out()
        self.plan.is_stopped = self._is_too_much() or not self._entries
        self.plan.is_stopped |= has_unknown and bool(self.plan.suspend)
        yield
        self._block_taken()

    def _active(self) -> list[Account]:
        return [one for one in self._model.copy().accounts.values() if not one.suspended]

    def _match_clear(self) -> dict[int, Account | None]:
        """Match the entries whose accounts do not depend on the rest of the file."""
        #: the accounts of entries that have the number of one and the email of another
        self._conflicts = dict[int, list[Account]]()
        self._depending = list[int]()
        matched = dict[int, Account | None]()
        for index, entry in enumerate(self._entries):
            holder = self._model.by_email(entry["email"])
            number = entry.get("external_id")
            if holder and holder.external_id and holder.external_id != number:
                self._depending.append(index)
            else:
                matched |= self._matched(index)
        return matched

    def _match_depending(self) -> dict[int, Account | None]:
        found = dict[int, Account | None]()
        for index in self._depending:
            found |= self._matched(index)
        return found

    def _matched(self, index: int) -> dict[int, Account | None]:
        entry = self._entries[index]
        try:
            account = self._account_of(entry)
        except Refused:
            holders = (
                self._model.by_number(entry.get("external_id")),
                self._model.by_email(entry["email"]),
            )
            self._conflicts[index] = [one for one in holders if one]
            return {}
        return {index: account and self._model.copy().accounts[account.user_id]}

    def _account_of(self, entry: Entry) -> Account | None:
        """Return whose account an entry has: by the number first, and by the email second."""
        number = entry.get("external_id")
        owner_of_number, owner_of_email = (
            self._model.by_number(number),
            self._model.by_email(entry["email"]),
        )
        if owner_of_number is None:
            return self._by_email(owner_of_email)
        if owner_of_email is owner_of_number:
            return owner_of_number
        if owner_of_email and (
            _is_in_wrong_row(entry, owner_of_number, owner_of_email)
            or not self._gives_up_email(owner_of_email)
        ):
            raise Refused("two_accounts")
        return owner_of_number

    def _by_email(self, account: Account | None) -> Account | None:
        if account is None or not account.external_id:
            return account
        if account.external_id in self._numbers:
            if account.is_owner:
                raise Refused("two_accounts")
            return None
        return account

    def _gives_up_email(self, account: Account) -> bool:
        return not account.is_owner and account.external_id in self._numbers

    def _add_matched(self, matched: Mapping[int, Account | None]) -> None:
        self._kept_keys = list[str]()
        for index in sorted(matched):
            account = matched[index]
            if account is None:
                self.plan.create.append(index)
            elif not account.is_owner and _is_in_doubt(self._entries[index], account):
                self._ask(index, account)
            elif account.suspended:
                self._add_suspended(index, account)
            else:
                self._add_different(index, account)
        for index, accounts in self._conflicts.items():
            self._ask(index, *accounts)

    def _ask(self, index: int, account: Account, *others: Account) -> None:
        self.plan.questions.append((account.user_id, index))
        self._kept_keys += [one.key for one in (account, *others)]

    def _add_suspended(self, index: int, account: Account) -> None:
        if account.is_owner or account.suspended == "hand" or not self._options.restore:
            self._leave(index, account)
            return
        self.plan.restore.append((index, account))
        self._add_different(index, account)

    def _add_different(self, index: int, account: Account) -> None:
        entry = self._entries[index]
        details = {k: v for k, v in entry.items() if k != "email"}
        if not entry.get("external_id"):
            details.pop("external_id", None)  # no number is cleared
        changes = account.changed(details)
        if entry.get("external_id") and key_of(entry["email"]) != account.key:
            changes["email"] = entry["email"]
        if changes and account.is_owner:
            self._leave(index, account)
        elif changes:
            expected = all_of(account, is_suspended=False)
            self.plan.correct.append(Correction(index, account.user_id, changes, expected))

    def _leave(self, index: int, account: Account) -> None:
        self.plan.left.append((account.user_id, index))
        self._kept_keys.append(account.key)

    def _add_missing(
        self, matched: Mapping[int, Account | None], listed: Sequence[Account]
    ) -> None:
        seen = {account.user_id for account in matched.values() if account}
        seen |= {one.user_id for accounts in self._conflicts.values() for one in accounts}
        missing = [one for one in listed if one.user_id not in seen]
        if self._lists_in_advance is not None:  # they are looked up once more, by their emails
            now = [self._model.by_email(one.email) for one in missing]
            missing = [
                self._model.copy().accounts[one.user_id]
                for one in now
                if one and not one.suspended and one.user_id not in seen
            ]
        keys = {key_of(entry["email"]) for entry in self._entries}
        for account in missing:
            if account.is_owner:
                self.plan.left.append((account.user_id, None))
            elif account.key in keys or account.external_id in self._numbers:
                # It got them since the entries were matched.
                self.plan.blocked.append((account.user_id, None))
                self._kept_keys.append(account.key)
            else:
                self.plan.suspend.append(account)

    def _keep_former_holders(self, matched: Mapping[int, Account | None]) -> None:
        """Suspend nobody whose former email the file has, and create nobody with it.

        The file is older than the change.
        """
        former = dict[str | None, Entry]()
        for index, account in sorted(matched.items()):
            entry = self._entries[index]
            if account is None and self._model.conflict({"email": entry["email"]}) == "email_freed":
                former[self._model.freed(entry["email"])] = entry
        kept = [
            one
            for one in self.plan.suspend
            if one.user_id in former
            and not _are_two(one.external_id, former[one.user_id].get("external_id"))
        ]
        self.plan.suspend = [one for one in self.plan.suspend if one not in kept]
        self.plan.left += [(one.user_id, None) for one in kept]
        self._block_with_email_of({key_of(former[one.user_id]["email"]) for one in kept})

    def _ask_about_look_alikes(self) -> None:
        """Leave entries and accounts that the file lacks which have the same name."""
        alike = {index: self._look_alikes(index) for index in self.plan.create}
        for index, accounts in alike.items():
            if accounts:
                only = accounts[0].user_id if len(accounts) == 1 else None
                self.plan.questions.append((only, index))
        left = {one.user_id: one for accounts in alike.values() for one in accounts}
        self._kept_keys += (one.key for one in left.values())
        self.plan.suspend = [one for one in self.plan.suspend if one.user_id not in left]
        self.plan.create = [index for index in self.plan.create if not alike[index]]

    def _leave_namesakes(self) -> None:
        """Leave accounts that have the whole name of an entry that is in question or waits."""
        waiting = [at for user_id, at in self.plan.blocked if user_id is None]
        indexes = [*self._asked_before_names, *(at for at in waiting if at is not None)]
        names = {_full_name(self._entries[index]) for index in indexes} - {""}
        left = [one for one in self.plan.suspend if _full_name(vars(one)) in names]
        self._kept_keys += (one.key for one in left)
        self.plan.suspend = [one for one in self.plan.suspend if one not in left]
        self.plan.left += [(one.user_id, None) for one in left]

    def _look_alikes(self, index: int) -> list[Account]:
        """Return the accounts that may be the person of an entry."""
        entry = self._entries[index]
        return [
            account
            for account in self.plan.suspend
            if _full_name(entry) == _full_name(vars(account))
            and not _are_two(account.external_id, entry.get("external_id"))
        ]

    def _block_emails(self) -> None:
        """Leave the emails that accounts cannot get yet, and correct all else of these."""
        for one in [one for one in self.plan.correct if one.new_email]:
            code = self._model.conflict({"email": one.new_email})
            is_freed = code == "email_freed" and self._model.freed(one.new_email) != one.user_id
            if is_freed or code == "email_reserved":
                self._kept_keys.append(key_of(one.old_email))
                self._block_field(one, "email")

    def _block_numbers(self) -> None:
        for one in [one for one in self.plan.correct if one.changes.get("external_id")]:
            number = {"email": "-@number.invalid", "external_id": one.changes["external_id"]}
            if self._model.conflict(number) == "external_id_reserved":
                self._block_field(one, "external_id")

    def _block_field(self, one: Correction, field: str) -> None:
        self.plan.blocked.append((one.user_id, one.at))
        rest = {name: value for name, value in one.changes.items() if name != field}
        at = self.plan.correct.index(one)
        self.plan.correct[at : at + 1] = [one._replace(changes=rest)] if rest else []

    def _leave_if_email_is_kept(self) -> None:
        """Leave each account that would get the email of one that stays, and so on."""
        kept, waiting = set[str](), list(self._kept_keys)
        while waiting:
            key = waiting.pop()
            kept.add(key)
            for one in self.plan.correct:
                if one.new_email and key_of(one.new_email) == key:
                    self.plan.correct.remove(one)
                    stays = (pair for pair in self.plan.restore if pair[1].user_id != one.user_id)
                    self.plan.restore = list(stays)
                    self.plan.left.append((one.user_id, one.at))
                    waiting.append(key_of(one.old_email))
                    break
        self._block_with_email_of(kept)

    def _block_given_up(self) -> None:
        self._block_with_email_of(
            {key_of(one.old_email) for one in self.plan.correct if one.new_email}
        )

    def _block_with_email_of(self, keys: Container[str]) -> None:
        self._block(at for at in self.plan.create if key_of(self._entries[at]["email"]) in keys)

    def _leave_out(self) -> None:
        options = self._options
        if not options.create:
            self.plan.create.clear()
            self.plan.blocked = [place for place in self.plan.blocked if place[0]]
        if not options.correct:
            self.plan.correct.clear()
        if not options.suspend_missing:
            self.plan.suspend.clear()

    def _is_too_much(self) -> bool:
        return any(
            limit is not None and len(steps) > limit
            for steps, limit in (
                (self.plan.create, self._options.at_most_create),
                (self.plan.correct, self._options.at_most_correct),
                (self.plan.suspend, self._options.at_most_suspend),
            )
        )

    def _block_taken(self) -> None:
        conflicts = {at: self._model.conflict(self._entries[at]) for at in self.plan.create}
        self._block([at for at, code in conflicts.items() if code and "_exists" not in code])

    def _block(self, indexes: Iterable[int]) -> None:
        blocked = list(indexes)
        self.plan.blocked += [(None, at) for at in blocked]
        self.plan.create = [at for at in self.plan.create if at not in blocked]


def all_of(account: Account, *, is_suspended: bool) -> Expected:
    """Return what the plan knows of an account, which has to be so when its step is done."""
    return {
        **{name: getattr(account, name) for name in _ENTERED},
        "permission_level": "collaborator",
        "suspended": is_suspended,
    }


def _is_in_doubt(entry: Entry, account: Account) -> bool:
    """Return whether the account may be another person's."""
    ours, theirs = entry.get("external_id"), account.external_id
    is_whole_name = _full_name(entry) == _full_name(vars(account))
    is_same_email = key_of(entry["email"]) == account.key
    if ours and theirs and ours != theirs:
        return True
    if account.suspended == "sync":
        return not (is_whole_name and is_same_email and bool(ours) == bool(theirs))
    if ours and theirs:
        return not is_same_email and _is_stranger(entry, account)
    is_other_last = (entry.get("lastname") or None) != (account.lastname or None)
    return _is_stranger(entry, account) and is_other_last


def _is_in_wrong_row(entry: Entry, of_number: Account, of_email: Account) -> bool:
    """Return whether the email and the whole name are those of another account than the number."""
    name = _full_name(entry)
    return name == _full_name(vars(of_email)) and name != _full_name(vars(of_number))


def _is_stranger(entry: Entry, account: Account) -> bool:
    """Return whether neither name is the same."""
    pairs = [(entry.get(name), getattr(account, name)) for name in _NAMES]
    return not any(ours and ours == theirs for ours, theirs in pairs)


def _are_two(number: str | None, other: str | None) -> bool:
    # Spreadsheets drop zeros.
    return bool(number and other and number.lstrip("0") != other.lstrip("0"))


def _full_name(values: Mapping[str, object]) -> str:
    return " ".join(str(values[name]) for name in _NAMES if values.get(name))
