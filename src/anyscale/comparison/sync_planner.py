"""Decide what a sync does: entries and accounts in, a plan out. It calls no control plane."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from msgspec import UNSET, UnsetType, structs

from anyscale.comparison.differences import (
    different_fields,
    gets_email,
    shown_change,
    values_to_compare,
)
from anyscale.comparison.id_hashes import IdHashes
from anyscale.comparison.matched_users import MatchedUser
from anyscale.comparison.sync_options import SyncOptions, choose_kinds, stop_reasons
from anyscale.domain.conflicts import FREED_DAYS
from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.matching import folded, is_other_name
from anyscale.domain.models.sync import LookAlike, StepKind, SyncPlan, SyncStep
from anyscale.domain.models.users import ExpectedUser, User, UserChanges
from anyscale.domain.names import full_name
from anyscale.domain.validation import CheckedUser, shown
from anyscale.errors import TooLarge

__all__ = ["Planner", "are_different"]

_ONLY_IN_FILE = "it is suspended in the file, but a sync suspends only users who are missing there"
_GOT_SINCE = "it got an email or a number of the file while the plan was made: sync again"


#: a field whose value only one account has
Unique = Literal["email", "external_id"]


class Planner:
    """Collects the entries with their accounts, then the accounts that no entry has, and plans.

    It keeps what the plan has, 8 bytes for each account that an entry has, and 8 for each email and
    each number of an entry.
    """

    def __init__(self, options: SyncOptions) -> None:
        self._options = options
        self._plan = SyncPlan()
        #: the accounts of the entries, sorted by `end_entries`
        self.seen: IdHashes = IdHashes()
        #: of all entries
        self._email_keys = IdHashes()
        self._numbers = IdHashes()
        #: the entries without an account
        self.new: list[CheckedUser] = []
        #: the keys of the emails of accounts that have an entry and stay as they are
        self._kept_emails: list[str] = []
        self._differing = frozenset(map(email_key_or_empty, options.they_differ))

    def add_entries(self, matched: Sequence[MatchedUser]) -> None:
        """Add entries, each with its account if it has one.

        Raises:
            TooLarge: the plan has more steps than the options allow.
        """
        self._plan.checked += len(matched)
        values = values_to_compare([user for _, user, _ in matched])
        for index, user, account in matched:
            self._email_keys.add(user.email_key)
            if user.external_id:
                self._numbers.add(user.external_id)
            if account is None:
                self._add_new(index, user)
                continue
            self.seen.add(account.user_id)
            if account.suspended_at is not None:
                self._add_suspended(index, user, account)
                continue
            if user.suspended:
                self._plan.left.append(_of_account("leave", account, _ONLY_IN_FILE, index))
            if values(user) != values(account):
                self._add_different(index, user, account)
        self._refuse_if_too_large()

    def end_entries(self) -> None:
        """Prepare for `add_missing`, after the last entry."""
        for hashes in (self.seen, self._email_keys, self._numbers):
            hashes.sort()

    def add_missing(self, account: User) -> None:
        """Add an account that no entry has and that is not suspended; raise as `add_entries`.

        One with the email or the number of an entry has got it since the entries were looked up: it
        may be that user's. So it waits, and nobody else is created with its email.
        """
        if account.permission_level == "owner":
            self._leave(account, "it is not in the file, and an owner's: owners are kept")
            return
        key = email_key_or_empty(account.email)
        if key in self._email_keys or (account.external_id or "") in self._numbers:
            self._plan.blocked.append(_of_account("leave", account, _GOT_SINCE))
            self._kept_emails.append(key)
            return
        self._plan.suspend.append(_of_account("suspend", account, "it is not in the file"))
        self._refuse_if_too_large()

    @property
    def suspends(self) -> bool:
        """Whether it would suspend accounts, of those that were added so far."""
        return bool(self._plan.suspend)

    def keep(self, users: Mapping[str, CheckedUser]) -> None:
        """Suspend no account of these: the file has an email that it had before.

        An entry with another number is of somebody else. Any other creates no account.
        """
        reason = "its email was changed, and the file has the former one"
        suspend, reasons = list[SyncStep](), dict[str, str]()
        for step in self._plan.suspend:
            assert step.expected
            user = users.get(step.user_id or "")
            if user is None or are_different(user.external_id, step.expected.external_id):
                suspend.append(step)
            else:
                self._plan.left.append(structs.replace(step, kind="leave", reason=reason))
                reasons[user.email_key] = _is_former(step)
        self._plan.suspend = suspend
        self._block_entries(reasons)

    def corrections_of(self, field: Unique) -> list[SyncStep]:
        """Return those that give an account another email or number, of what was added so far."""
        return [one for one in self._plan.correct if one.changes and getattr(one.changes, field)]

    def block(self, field: Unique, reasons: Mapping[str, str]) -> None:
        """Leave this field of these accounts, by the `user_id`, and correct all else of them."""
        correct = list[SyncStep]()
        for step in self._plan.correct:
            reason = reasons.get(step.user_id or "")
            if reason is None:
                correct.append(step)
                continue
            self._plan.blocked.append(structs.replace(step, kind="leave", reason=reason))
            if field == "email":
                self._kept_emails.append(email_key_or_empty(step.email))
            assert step.changes
            assert step.replaced
            changes = structs.replace(step.changes, **{field: UNSET})
            if changes.to_dict():
                reason = _difference(changes, step.replaced)
                correct.append(structs.replace(step, changes=changes, reason=reason))
        self._plan.correct = correct

    def plan(self, accounts: int) -> SyncPlan:
        """Return the plan, after the last account, of so many that are not suspended."""
        plan, options = self._plan, self._options
        plan.accounts = accounts
        for steps in (plan.create, plan.correct, plan.restore):
            steps.sort(key=lambda step: step.index or 0)
        plan.look_alikes = list(self._look_alikes())
        self._leave_if_email_is_kept()
        self._block_freed()
        # Whatever the options leave out, an email that looks mistyped is found.
        choose_kinds(plan, options)
        plan.stops = list(stop_reasons(plan, options))
        return plan

    def _refuse_if_too_large(self) -> None:
        most = self._options.most_steps
        if most is not None and self._plan.steps + len(self._plan.left) > most:
            raise TooLarge(f"the file changes more than {most:,} accounts")

    def _add_new(self, index: int, user: CheckedUser) -> None:
        self.new.append(user)
        reason = "no account has this email"
        if user.external_id:
            reason += " or this number"
        if not user.name:
            reason += ", and without a name none can be created"
        elif user.suspended:
            reason += ", and the file says that it is suspended"
        is_created = user.name and not user.suspended
        values = {field: getattr(user, field) for field in UserChanges.__struct_fields__}
        step = SyncStep(
            kind="create" if is_created else "leave",
            email=user.email,
            name=_name(user),
            reason=reason,
            index=index,
            changes=UserChanges(**values),
        )
        (self._plan.create if is_created else self._plan.left).append(step)

    def _add_different(self, index: int, user: CheckedUser, account: User) -> None:
        email = ["email"] if gets_email(user, account) else []
        fields = [*email, *different_fields(user, account)]
        if not fields:
            return
        changes = UserChanges(**{field: getattr(user, field) for field in fields})
        replaced = UserChanges(**{field: getattr(account, field) for field in fields})
        reason = _difference(changes, replaced)
        if account.permission_level == "owner":
            self._leave(account, f"it is an owner's, which no file changes: {reason}", index)
            return
        step = _of_account("correct", account, reason, index, changes, replaced)
        self._plan.correct.append(step)

    def _add_suspended(self, index: int, user: CheckedUser, account: User) -> None:
        """Restore the account of an entry, if a sync has suspended it.

        A suspended account is corrected only if it is restored: else an email that was given to
        another person would first rename the account of the person who left, and then open it.
        """
        if account.permission_level == "owner":
            self._leave(account, "it is suspended, and an owner's: owners are kept", index)
        elif not account.suspended_by_sync:
            self._leave(account, "it was suspended by hand, and stays so", index)
        elif user.suspended:
            self._leave(account, "a sync suspended it, and the file says so too", index)
        elif not self._options.restore:
            reason = "a sync suspended it, and it is in the file again: `--restore` restores it"
            self._leave(account, reason, index)
        elif self._may_be_another_person(user, account):
            reason = (
                f"a sync suspended it, and the file has its email or its number for "
                f"{shown(_name(user))}: if that is the same person, restore it by hand"
            )
            self._leave(account, reason, index)
        else:
            reason = "a sync suspended it, and it is in the file again"
            self._plan.restore.append(_of_account("restore", account, reason, index))
            self._add_different(index, user, account)

    def _may_be_another_person(self, user: CheckedUser, account: User) -> bool:
        """Return whether no name of an entry is that of its account. Emails say nothing."""
        is_confirmed = user.external_id in self._options.same_person
        return bool(user.name) and is_other_name(user, account) and not is_confirmed

    def _leave(self, account: User, reason: str, index: int | None = None) -> None:
        self._plan.left.append(_of_account("leave", account, reason, index))
        if index is not None:
            self._kept_emails.append(email_key_or_empty(account.email))

    def _look_alikes(self) -> Iterator[LookAlike]:
        """Iterate over the entries to create that may be the person of an account to suspend."""
        by_name = dict[str, SyncStep]()
        # By number as well: else a file with new numbers would compare each two of one name.
        by_number = dict[tuple[str, str | None], tuple[int, SyncStep]]()
        for at, step in enumerate(self._plan.suspend):
            assert step.expected
            if not self._is_said_to_differ(step):
                name = folded(step.name)
                by_name.setdefault(name, step)
                by_number.setdefault((name, _significant(step.expected.external_id)), (at, step))
        for entry in self._plan.create:
            assert entry.changes
            if self._is_said_to_differ(entry):
                continue
            name, number = folded(entry.name), _significant(entry.changes.external_id)
            if number is None:
                leaver = by_name.get(name)
            else:
                alike = [by_number.get((name, one)) for one in (number, None)]
                _, leaver = min(filter(None, alike), default=(0, None))
            if leaver:
                yield LookAlike(leaver, entry)

    def _leave_if_email_is_kept(self) -> None:
        """Leave each account that would get the email of one that is left, and so on.

        Nobody is created with such an email either.
        """
        plan, kept = self._plan, set[str]()
        waiting = {
            email_key_or_empty(str(step.changes.email)): step
            for step in self.corrections_of("email")
            if step.changes
        }
        left = set[str | None]()
        while self._kept_emails:
            key = self._kept_emails.pop()
            kept.add(key)
            if step := waiting.pop(key, None):
                assert step.changes
                reason = _is_kept(str(step.changes.email))
                plan.left.append(structs.replace(step, kind="leave", reason=reason))
                left.add(step.user_id)
                self._kept_emails.append(email_key_or_empty(step.email))
        plan.correct = [step for step in plan.correct if step.user_id not in left]
        emails = {email_key_or_empty(step.email): step.email for step in plan.create}
        self._block_entries({key: _is_kept(email) for key, email in emails.items() if key in kept})

    def _block_freed(self) -> None:
        """Create nobody with an email that an account gives up: see `FREED_DAYS`."""
        self._block_entries(
            {
                email_key_or_empty(former.email): (
                    f"it is the email of {former.name} ({former.user_id}), who gets another one: "
                    f"no other account gets it for {FREED_DAYS} days"
                )
                for former in self.corrections_of("email")
            }
        )

    def _block_entries(self, reasons: Mapping[str, str]) -> None:
        """Create nobody with these emails, by their keys."""
        create = list[SyncStep]()
        for step in self._plan.create:
            if reason := reasons.get(email_key_or_empty(step.email)):
                self._plan.blocked.append(structs.replace(step, kind="leave", reason=reason))
            else:
                create.append(step)
        self._plan.create = create

    def _is_said_to_differ(self, step: SyncStep) -> bool:
        return email_key_or_empty(step.email) in self._differing


def _of_account(
    kind: StepKind,
    account: User,
    reason: str,
    index: int | None = None,
    changes: UserChanges | None = None,
    replaced: UserChanges | None = None,
) -> SyncStep:
    return SyncStep(
        kind=kind,
        email=account.email,
        name=full_name(account.name, account.lastname),
        reason=reason,
        user_id=account.user_id,
        index=index,
        changes=changes,
        replaced=replaced,
        expected=None if kind == "leave" else _expected(kind, account),
    )


def _is_former(account: SyncStep) -> str:
    return (
        f"{account.name} had this email, and has {account.email} now: if it is the same person, "
        f"write that email into the file; if not, nobody else gets it for {FREED_DAYS} days"
    )


def _expected(kind: StepKind, account: User) -> ExpectedUser:
    """Return all that a plan knows of an account: what is decided is about this."""
    fields = {field: getattr(account, field) for field in UserChanges.__struct_fields__}
    return ExpectedUser(
        **fields, permission_level=account.permission_level, suspended=kind == "restore"
    )


def are_different(number: str | UnsetType | None, other: str | UnsetType | None) -> bool:
    """Return whether two numbers are known, and of two people."""
    return bool(number and other) and _significant(number) != _significant(other)


def _significant(number: str | UnsetType | None) -> str | None:
    """Return a number without the zeros at its start, which a spreadsheet drops; None for none."""
    return number.lstrip("0") if number else None


def _is_kept(email: str) -> str:
    return f"{shown(email)} is the email of an account that stays"


def _difference(changes: UserChanges, replaced: UserChanges) -> str:
    old, new = replaced.to_dict(), changes.to_dict()
    fields = sorted(new, key=lambda field: field != "email")
    return "; ".join(shown_change(field, old[field], new[field]) for field in fields)


def _name(user: CheckedUser) -> str:
    return full_name(user.name or "", user.lastname or None)
