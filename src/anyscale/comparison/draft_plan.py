"""A plan while its rules are applied: rules add steps, and leave steps out again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

from msgspec import structs

from anyscale.comparison.lost_letters import lost_letters
from anyscale.comparison.questions import change_id, question_of
from anyscale.comparison.sync_options import Answer, SyncOptions
from anyscale.comparison.sync_steps import step_of_account
from anyscale.domain.emails import email_key_or_empty
from anyscale.domain.models.sync import QuestionKind, StepKind, SyncPlan, SyncStep
from anyscale.domain.models.users import User
from anyscale.domain.validation import CheckedUser, Fault

#: a field whose value only one account has
Unique = Literal["email", "external_id"]


class DraftPlan:
    """A plan, and what its rules have to know of each other.

    Args:
        options: of the caller.
    """

    def __init__(self, options: SyncOptions) -> None:
        self.options = options
        self.plan: SyncPlan = SyncPlan()
        #: the entries without an account
        self.new: list[CheckedUser] = []
        #: the keys of the emails of accounts that have an entry and stay as they are
        self.kept_emails: list[str] = []
        #: the ids of the accounts of questions
        self.asked: set[str] = set()
        #: see the functions of `former_emails` with these names
        self.former_holders: Mapping[str, CheckedUser] = {}
        self.refused_emails: Mapping[str, str] = {}
        self.refused_numbers: Mapping[str, str] = {}
        #: values that are damaged, each with the position of its entry
        self.damaged: list[tuple[int, Fault]] = []

    def add_damage(self, index: int, user: CheckedUser, account: User | None) -> bool:
        """Add the damaged values of an entry; return whether there are any."""
        faults = list(lost_letters(user, account))
        self.damaged += ((index, fault) for fault in faults)
        return bool(faults)

    def ask(
        self,
        index: int,
        user: CheckedUser,
        kind: QuestionKind,
        reason: str,
        accounts: Sequence[User] = (),
    ) -> None:
        """Leave an entry and its accounts: they are in doubt."""
        self.keep_emails(account.email for account in accounts)
        self.asked.update(account.user_id for account in accounts)
        self.plan.questions.append(question_of(index, user, kind, reason, *accounts[:1]))

    def answer_to(self, user: CheckedUser, account: User | None) -> Answer | None:
        """Return the answer of the caller: whether an account is that of an entry."""
        answers = self.options.answers
        return answers.get(change_id(user, account)) if answers else None

    def keep_emails(self, emails: Iterable[str]) -> None:
        """Note emails of accounts that stay as they are: no other account gets them."""
        self.kept_emails += map(email_key_or_empty, emails)

    def leave_account(self, account: User, reason: str, index: int | None = None) -> None:
        """Leave an account as it is, by the position of its entry if it has one."""
        self.plan.left.append(step_of_account("leave", account, reason, index))
        if index is not None:
            self.keep_emails([account.email])

    def leave_steps(
        self, kind: StepKind, reason_of: Callable[[SyncStep], str | None], *, blocked: bool = False
    ) -> list[SyncStep]:
        """Leave out the steps of a kind that have a reason for it; return them.

        Args:
            kind: of the steps.
            reason_of: returns why a step is left, or None if it is done.
            blocked: whether the office has to do something before they can be done.
        """
        done, left = list[SyncStep](), list[SyncStep]()
        place = self.plan.blocked if blocked else self.plan.left
        for step in getattr(self.plan, kind):
            reason = reason_of(step)
            if reason is None:
                done.append(step)
            else:
                left.append(step)
                place.append(structs.replace(step, kind="leave", reason=reason))
        setattr(self.plan, kind, done)
        return left

    def corrections_of(self, field: Unique) -> list[SyncStep]:
        """Return those that give an account another email or number."""
        return [one for one in self.plan.correct if one.changes and getattr(one.changes, field)]
