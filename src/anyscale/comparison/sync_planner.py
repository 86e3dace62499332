"""Decide what a sync does: entries and accounts in, a plan out. It calls no control plane."""

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import UNSET, structs

from anyscale.comparison.differences import values_to_compare
from anyscale.comparison.id_hashes import IdHashes
from anyscale.comparison.look_alikes import Namesakes, look_alikes
from anyscale.comparison.lost_letters import lacks_letters, lost_letters
from anyscale.comparison.matched_users import MatchedUser
from anyscale.comparison.questions import change_id, question_of, question_of_look_alike
from anyscale.comparison.sync_options import (
    SyncOptions,
    choose_kinds,
    count_unidentified,
    stop_reasons,
)
from anyscale.comparison.sync_steps import (
    are_different,
    changes_of,
    differing_fields,
    name_of,
    shown_changes,
    step_of_account,
)
from anyscale.domain.conflicts import FREED_DAYS
from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.matching import Conflict, doubt_of, has_other_email
from anyscale.domain.models.sync import LookAlike, QuestionKind, SyncPlan, SyncStep
from anyscale.domain.models.users import User, UserChanges
from anyscale.domain.names import full_name
from anyscale.domain.validation import CheckedUser, Fault, shown
from anyscale.errors import TooLarge

__all__ = ["Planner"]

_ONLY_IN_FILE = "it is suspended in the file, but a sync suspends only users who are missing there"
_GOT_SINCE = "it got an email or a number of the file while the plan was made: sync again"
_LOST_LETTERS = (
    "no account has this email, and the name has `?` where a letter may be lost: write the letters "
    "into the file; save it as an Excel workbook or as CSV UTF-8"
)
_IS_OF_ANOTHER = (
    "it is another person, and the {what} is that of {name}: change the {what} of that account, or "
    "delete it, before this one can be created"
)


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
        #: values that are damaged, each with the position of its entry
        self.damaged: list[tuple[int, Fault]] = []
        #: accounts of entries that are not suspended
        self.active: int = 0

    def add_entries(self, matched: Sequence[MatchedUser]) -> None:
        """Add entries, each with its account if it has one.

        Raises:
            TooLarge: the plan has more steps than the options allow.
        """
        self._plan.checked += len(matched)
        values = values_to_compare([user for _, user, _ in matched])
        for index, user, account in matched:
            self._add_identity(user)
            if account is None:
                self._add_new(index, user)
                continue
            self.seen.add(account.user_id)
            self.active += account.suspended_at is None
            if values(user) != values(account) or account.suspended_at is not None:
                self._add_account(index, user, account)
            elif user.suspended:
                self._plan.left.append(step_of_account("leave", account, _ONLY_IN_FILE, index))
        self._refuse_if_too_large()

    def add_conflicts(self, conflicts: Mapping[int, tuple[CheckedUser, Conflict]]) -> None:
        """Add entries that have the number of one account and the email of another."""
        self._plan.checked += len(conflicts)
        for index, (user, conflict) in conflicts.items():
            self._add_identity(user)
            for account in conflict.accounts:
                self.seen.add(account.user_id)
            self._add_damage(index, user, conflict.accounts[0])
            self._ask(index, user, "two_accounts", conflict.detail, conflict.accounts)

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
            self._plan.blocked.append(step_of_account("leave", account, _GOT_SINCE))
            self._kept_emails.append(key)
            return
        self._plan.suspend.append(step_of_account("suspend", account, "it is not in the file"))
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
                reason = shown_changes(changes, step.replaced)
                correct.append(structs.replace(step, changes=changes, reason=reason))
        self._plan.correct = correct

    def plan(self, accounts: int) -> SyncPlan:
        """Return the plan, after the last account, of so many that are not suspended."""
        plan, options = self._plan, self._options
        plan.accounts = accounts
        for steps in (plan.create, plan.correct, plan.restore):
            steps.sort(key=lambda step: step.index or 0)
        if options.create or options.suspend_missing:
            self._ask_about_look_alikes()
        plan.questions.sort(key=lambda question: question.index or 0)
        self._leave_if_email_is_kept()
        self._block_freed()
        # Whatever the options leave out, an email that looks mistyped is found.
        unidentified = count_unidentified(plan, create=options.create)
        choose_kinds(plan, options)
        plan.stops = list(stop_reasons(plan, options, unidentified))
        return plan

    def _refuse_if_too_large(self) -> None:
        most = self._options.most_steps
        if most is not None and self._plan.steps + len(self._plan.left) > most:
            raise TooLarge(f"the file changes more than {most:,} accounts")

    def _add_identity(self, user: CheckedUser) -> None:
        self._email_keys.add(user.email_key)
        if user.external_id:
            self._numbers.add(user.external_id)

    def _add_damage(self, index: int, user: CheckedUser, account: User | None) -> bool:
        """Add the damaged values of an entry; return whether there are any."""
        faults = list(lost_letters(user, account))
        self.damaged += ((index, fault) for fault in faults)
        return bool(faults)

    def _add_new(self, index: int, user: CheckedUser) -> None:
        self.new.append(user)
        if self._add_damage(index, user, None):
            return
        if lacks_letters(user) and not self._answer_to(user, None):
            self._ask(index, user, "lost_letters", _LOST_LETTERS)
            return
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
            name=name_of(user),
            reason=reason,
            index=index,
            changes=UserChanges(**values),
        )
        (self._plan.create if is_created else self._plan.left).append(step)

    def _add_account(self, index: int, user: CheckedUser, account: User) -> None:
        """Add an entry that is not as its account, or whose account is suspended.

        The first rule that applies decides. A suspended account is corrected only if it is
        restored: else an email that was given to another person would first rename the account of
        the person who left, and then open it.
        """
        if self._add_damage(index, user, account):
            pass  # nothing will be done
        elif account.permission_level == "owner":
            self._add_owner(index, user, account)
        elif account.suspended_at is not None and user.suspended:
            self._leave(account, "it is suspended, and the file says so too", index)
        elif not self._is_sure(index, user, account):
            pass  # it is a question, or two people as the administrator has answered
        elif account.suspended_at is not None:
            self._add_suspended(index, user, account)
        elif user.suspended:
            self._plan.left.append(step_of_account("leave", account, _ONLY_IN_FILE, index))
            self._add_different(index, user, account)
        else:
            self._add_different(index, user, account)

    def _add_owner(self, index: int, user: CheckedUser, account: User) -> None:
        if account.suspended_at is not None:
            self._leave(account, "it is suspended, and an owner's: owners are kept", index)
        elif fields := differing_fields(user, account):
            reason = shown_changes(*changes_of(fields, user, account))
            self._leave(account, f"it is an owner's, which no file changes: {reason}", index)

    def _add_different(self, index: int, user: CheckedUser, account: User) -> None:
        if fields := differing_fields(user, account):
            changes, replaced = changes_of(fields, user, account)
            reason = shown_changes(changes, replaced)
            step = step_of_account("correct", account, reason, index, changes, replaced)
            self._plan.correct.append(step)

    def _add_suspended(self, index: int, user: CheckedUser, account: User) -> None:
        """Restore the account of an entry, if a sync has suspended it."""
        if not account.suspended_by_sync:
            self._leave(account, "it was suspended by hand, and stays so", index)
        elif not self._options.restore:
            reason = "a sync suspended it, and it is in the file again: `--restore` restores it"
            self._leave(account, reason, index)
        else:
            reason = "a sync suspended it, and it is in the file again"
            self._plan.restore.append(step_of_account("restore", account, reason, index))
            self._add_different(index, user, account)

    def _is_sure(self, index: int, user: CheckedUser, account: User) -> bool:
        """Return whether an account is that of its entry; add what follows if it is not."""
        doubt = doubt_of(user, account)
        if doubt is None:
            return True
        answer = self._answer_to(user, account)
        if answer == "differ":
            self._add_two_people(index, user, account)
        elif answer is None:
            self._ask(index, user, doubt.kind, doubt.detail, [account])
        return answer == "same"

    def _add_two_people(self, index: int, user: CheckedUser, account: User) -> None:
        """Add an account that the file lacks, and an entry that waits for its email or number."""
        what = "number" if has_other_email(user, account) else "email"
        reason = _IS_OF_ANOTHER.format(what=what, name=full_name(account.name, account.lastname))
        step = SyncStep(
            kind="leave", email=user.email, name=name_of(user), reason=reason, index=index
        )
        self._plan.blocked.append(step)
        self._kept_emails.append(email_key_or_empty(account.email))
        if account.suspended_at is None:
            self._plan.suspend.append(step_of_account("suspend", account, "it is not in the file"))

    def _ask(
        self,
        index: int,
        user: CheckedUser,
        kind: QuestionKind,
        reason: str,
        accounts: Sequence[User] = (),
    ) -> None:
        """Leave an entry and its accounts: they are in doubt."""
        self._kept_emails += (email_key_or_empty(account.email) for account in accounts)
        self._plan.questions.append(question_of(index, user, kind, reason, *accounts[:1]))

    def _answer_to(self, user: CheckedUser, account: User | None) -> str | None:
        answers = self._options.answers
        return answers.get(change_id(user, account)) if answers else None

    def _leave(self, account: User, reason: str, index: int | None = None) -> None:
        self._plan.left.append(step_of_account("leave", account, reason, index))
        if index is not None:
            self._kept_emails.append(email_key_or_empty(account.email))

    def _ask_about_look_alikes(self) -> None:
        """Neither suspend nor create those who may be one person."""
        plan, namesakes, emails = self._plan, set[Namesakes](), set[str]()
        for entry, groups in look_alikes(plan.suspend, plan.create):
            question = question_of_look_alike(entry, groups)
            if self._options.answers.get(question.change) == "differ":
                continue
            plan.look_alikes.append(LookAlike(groups[0].accounts[0], entry))
            namesakes.update(groups)
            emails.add(entry.email)
            plan.questions.append(question)
        asked = {step.user_id: step for group in namesakes for step in group.accounts}
        self._kept_emails += (email_key_or_empty(step.email) for step in asked.values())
        plan.suspend = [step for step in plan.suspend if step.user_id not in asked]
        plan.create = [step for step in plan.create if step.email not in emails]

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


def _is_former(account: SyncStep) -> str:
    return (
        f"{account.name} had this email, and has {account.email} now: if it is the same person, "
        f"write that email into the file; if not, nobody else gets it for {FREED_DAYS} days"
    )


def _is_kept(email: str) -> str:
    return f"{shown(email)} is the email of an account that stays"
