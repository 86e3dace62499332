"""Decide what a sync does: entries and accounts in, a plan out."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from anyscale.comparison.comparison_calls import ComparisonCalls
from anyscale.comparison.differences import values_to_compare
from anyscale.comparison.draft_plan import DraftPlan
from anyscale.comparison.former_emails import former_holders, refused_emails, refused_numbers
from anyscale.comparison.id_hashes import IdHashes
from anyscale.comparison.matched_users import MatchedUser
from anyscale.comparison.rules_of_entries import decide_with_account, decide_without_account
from anyscale.comparison.rules_of_plans import apply_rules
from anyscale.comparison.sync_options import SyncOptions
from anyscale.comparison.sync_steps import step_of_account
from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.matching import Conflict
from anyscale.domain.models.sync import SyncPlan
from anyscale.domain.models.users import User
from anyscale.domain.validation import CheckedUser
from anyscale.errors import TooLarge

#: the age of an account that the file may be too old for
_RECENT = timedelta(days=7)

_GOT_SINCE = "it got an email or a number of the file while the plan was made: sync again"


class Planner:
    """Collects the entries with their accounts, then the accounts that no entry has, and plans.

    It keeps what the plan has, 8 bytes for each account that an entry has, and 8 for each email and
    each number of an entry.
    """

    def __init__(self, options: SyncOptions) -> None:
        self.draft: DraftPlan = DraftPlan(options)
        #: the accounts of the entries, sorted by `end_entries`
        self.seen: IdHashes = IdHashes()
        self._recent_since = datetime.now(UTC) - _RECENT
        #: accounts without an entry that were created since then
        self._recent = set[str | None]()
        #: of all entries
        self._email_keys = IdHashes()
        self._numbers = IdHashes()
        #: accounts of entries that are not suspended
        self.active: int = 0

    def add_entries(self, matched: Sequence[MatchedUser]) -> None:
        """Add entries, each with its account if it has one.

        Raises:
            TooLarge: the plan has more steps than the options allow.
        """
        self.draft.plan.checked += len(matched)
        values = values_to_compare([user for _, user, _ in matched])
        for index, user, account in matched:
            self._add_identity(user)
            if account is None:
                decide_without_account(self.draft, index, user)
                continue
            self.seen.add(account.user_id)
            is_active = account.suspended_at is None
            self.active += is_active
            if not is_active or user.suspended or values(user) != values(account):
                decide_with_account(self.draft, index, user, account)
        self._refuse_if_too_large()

    def add_conflicts(self, conflicts: Mapping[int, tuple[CheckedUser, Conflict]]) -> None:
        """Add entries that have the number of one account and the email of another."""
        self.draft.plan.checked += len(conflicts)
        for index, (user, conflict) in conflicts.items():
            self._add_identity(user)
            for account in conflict.accounts:
                self.seen.add(account.user_id)
            self.draft.add_damage(index, user, conflict.accounts[0])
            self.draft.ask(index, user, "two_accounts", conflict.detail, conflict.accounts)

    def end_entries(self) -> None:
        """Prepare for `add_missing`, after the last entry."""
        for hashes in (self.seen, self._email_keys, self._numbers):
            hashes.sort()

    def add_missing(self, account: User) -> None:
        """Add an account that no entry has and that is not suspended; raise as `add_entries`.

        One with the email or the number of an entry has got it since the entries were looked up: it
        may be that user's. So it waits, and nobody else is created with its email.
        """
        draft = self.draft
        is_of_entry = email_key_or_empty(account.email) in self._email_keys
        if account.permission_level == "owner":
            draft.leave_account(account, "it is not in the file, and an owner's: owners are kept")
        elif is_of_entry or (account.external_id or "") in self._numbers:
            draft.plan.blocked.append(step_of_account("leave", account, _GOT_SINCE))
            draft.keep_emails([account.email])
        else:
            step = step_of_account("suspend", account, "it is not in the file")
            draft.plan.suspend.append(step)
            if account.created_at > self._recent_since:
                self._recent.add(account.user_id)
            self._refuse_if_too_large()

    def look_up(self, calls: ComparisonCalls) -> None:
        """Look up what the control plane would refuse, after the last account."""
        draft = self.draft
        if draft.plan.suspend:
            draft.former_holders = former_holders(calls, draft.new)
        if draft.options.correct:
            draft.refused_emails = refused_emails(calls, draft.corrections_of("email"))
            draft.refused_numbers = refused_numbers(calls, draft.corrections_of("external_id"))

    def plan(self, accounts: int) -> SyncPlan:
        """Return the plan, after the look-ups, of so many accounts that are not suspended."""
        plan = self.draft.plan
        plan.accounts = accounts
        apply_rules(self.draft)
        plan.suspend_recent = sum(step.user_id in self._recent for step in plan.suspend)
        for steps in (plan.create, plan.correct, plan.restore):
            steps.sort(key=lambda step: step.index or 0)
        plan.questions.sort(key=lambda question: question.index or 0)
        plan.look_alikes.sort(key=lambda pair: pair.create.index or 0)
        return plan

    def _refuse_if_too_large(self) -> None:
        plan, most = self.draft.plan, self.draft.options.most_steps
        if most is not None and plan.steps + len(plan.left) > most:
            raise TooLarge(f"the file changes more than {most:,} accounts")

    def _add_identity(self, user: CheckedUser) -> None:
        self._email_keys.add(user.email_key)
        if user.external_id:
            self._numbers.add(user.external_id)
