"""What a month does, written from `docs/operations/who-is-who.md` and `sync.md` alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.resilience.months.office import Row
from tests.resilience.months.who_is_who import (
    Account,
    Kind,
    compare_names,
    is_damaged,
    judge_pair,
    may_have_name,
)

#: a question, with all values that it is about
Change = tuple[object, ...]


@dataclass(frozen=True)
class Asked:
    """A question about a row, and the accounts that it may be the person of."""

    kind: Kind
    row: Row
    accounts: tuple[Account, ...]

    @property
    def change(self) -> Change:
        accounts = sorted((one.user_id, *one.value_of.values()) for one in self.accounts)
        return (*accounts, tuple(one for one in self.row.values.items() if one[1]))

    @property
    def account(self) -> Account | None:
        """The account that it names."""
        is_about_many = self.kind == "alike" and len(self.accounts) > 1
        return None if is_about_many or not self.accounts else self.accounts[0]


@dataclass(frozen=True)
class Choice:
    """What is chosen for a month."""

    restores: bool
    creates: bool = True
    corrects: bool = True
    suspends: bool = True


@dataclass
class Plan:
    """What the documents say of a month.

    Attributes:
        correct: new values of accounts, by id.
        restore, suspend: accounts.
        create: rows, by email.
        waits: whether somebody has to wait for an email or a number.
        is_stopped: whether nothing is done: somebody would be suspended, and has maybe a row.
        is_damaged: whether the file is refused; None if the documents leave it open.
        has_nameless: whether a row has neither an account nor a name.
        unseen: rows of another person than the rule can see.
    """

    correct: dict[str, dict[str, str]] = field(default_factory=dict)
    restore: set[str] = field(default_factory=set)
    suspend: dict[str, Account] = field(default_factory=dict)
    create: dict[str, Row] = field(default_factory=dict)
    questions: list[Asked] = field(default_factory=list)
    waits: bool = False
    is_stopped: bool = False
    has_nameless: bool = False
    is_damaged: bool | None = False
    unseen: list[Row] = field(default_factory=list)

    def after(self, accounts: Mapping[str, Account]) -> dict[str, Account]:
        """Return the accounts that there were, as they are after the month."""
        if self.is_stopped:
            return dict(accounts)
        return {user_id: self._after(one) for user_id, one in accounts.items()}

    def _after(self, one: Account) -> Account:
        new = one.value_of | self.correct.get(one.user_id, {})
        is_suspended = one.user_id in self.suspend or (
            one.is_suspended and one.user_id not in self.restore
        )
        return replace(
            one,
            email=new["email"],
            name=new["name"],
            lastname=new["lastname"],
            number=new["external_id"],
            is_suspended=is_suspended,
            by_sync=is_suspended and (one.by_sync or not one.is_suspended),
        )


class PlanMaker:
    """Says what a month does.

    Args:
        rows: of the file.
        accounts, persons: by id.
        former: the accounts that had an email, the last one last.
        choice: of the month.
        answers: to questions: whether it is the same person.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        accounts: Mapping[str, Account],
        persons: Mapping[str, int],
        former: Mapping[str, Sequence[str]],
        choice: Choice,
        answers: Mapping[Change, bool],
    ) -> None:
        self.rows, self.accounts, self.persons = rows, accounts, persons
        self.former, self.choice, self.answers = former, choice, answers
        self.by_email = {one.email: one for one in accounts.values()}
        self.by_number = {one.number: one for one in accounts.values() if one.number}
        self.numbers = {row.number for row in rows if row.number}
        #: accounts that have a row
        self.found: set[str] = set()
        #: emails of accounts that stay as they are
        self.kept: set[str] = set()
        self.alone: list[Row] = []
        #: rows of two people, whose email or number another account has
        self.waiting: list[Row] = []
        self.plan = Plan()

    def make(self) -> Plan:
        for row in self.rows:
            self._find(row)
        self._leave_who_is_asked_about()
        for account in self.accounts.values():
            is_missing = account.user_id not in self.found
            if is_missing and not account.is_owner and not account.is_suspended:
                self.plan.suspend[account.user_id] = account
        self._keep_former_holders()
        if self.choice.corrects:
            self._block_former_emails()
        if self.choice.creates or self.choice.suspends:
            self._ask_about_names()
        self._leave_namesakes()
        self._leave_emails_that_are_kept()
        self._choose()
        return self.plan

    def _find(self, row: Row) -> None:
        """Find the account of a row: by the number first, and the email second."""
        holder, other = self.by_number.get(row.number), self.by_email.get(row.email)
        if holder and other and holder is not other and _is_in_wrong_row(row, holder, other):
            self._ask("two", row, holder, other)
            return
        if other and other is not holder and self._has_other_row(other, row):
            if other.is_owner:  # whose email no file changes
                self._ask("two", row, *filter(None, (holder, other)))
                return
            other = None
        if holder and other and holder is not other:
            self._ask("two", row, holder, other)
        elif account := holder or other:
            self._judge(row, account)
        else:
            self._add_alone(row)

    def _leave_who_is_asked_about(self) -> None:
        """Leave accounts of questions, also if another row is surely theirs."""
        for one in self.plan.questions:
            for account in one.accounts:
                self.plan.correct.pop(account.user_id, None)
                self.plan.restore.discard(account.user_id)
                self.plan.suspend.pop(account.user_id, None)

    def _has_other_row(self, account: Account, row: Row) -> bool:
        return bool(account.number) and account.number in self.numbers - {row.number}

    def _judge(self, row: Row, account: Account) -> None:
        self.found.add(account.user_id)
        self._note_damage(is_damaged(row, account))
        changes = _changes(row, account)
        if account.is_owner:
            self.kept.add(account.email)
            return
        kind = judge_pair(row, account)
        asked = Asked(kind, row, (account,))
        answer = True if kind == "same" else self.answers.get(asked.change)
        if answer is None:
            self._ask(kind, row, account)
        elif not answer:
            self.kept.add(account.email)
            self.plan.waits |= self.choice.creates
            self.waiting.append(row)
            if not account.is_suspended:
                self.plan.suspend[account.user_id] = account
        elif account.is_suspended and not (account.by_sync and self.choice.restores):
            self.kept.add(account.email)
        else:
            if self.persons[account.user_id] != row.person:
                self.plan.unseen.append(row)
            if account.is_suspended:
                self.plan.restore.add(account.user_id)
            if changes:
                self.plan.correct[account.user_id] = changes

    def _add_alone(self, row: Row) -> None:
        names = row.values.get("name", ""), row.values.get("lastname", "")
        if any("\ufffd" in name for name in names):
            self._note_damage(is_sure=True)
        elif row.is_misread:
            self._note_damage(is_sure=None)
        self.alone.append(row)
        asked = Asked("letters", row, ())
        is_asked = self.choice.creates or self.choice.suspends
        if (
            is_asked
            and any("?" in name for name in names)
            and self.answers.get(asked.change) is not False
        ):
            self.plan.questions.append(asked)
        elif names[0]:
            self.plan.create[row.email] = row
        else:
            self.plan.has_nameless = True

    def _note_damage(self, is_sure: bool | None) -> None:
        if is_sure or (is_sure is None and not self.plan.is_damaged):
            self.plan.is_damaged = is_sure

    def _ask(self, kind: Kind, row: Row, *accounts: Account) -> None:
        if kind == "two":
            self._note_damage(is_damaged(row, accounts[0]))
        self.plan.questions.append(Asked(kind, row, accounts))
        self.found |= {one.user_id for one in accounts}
        self.kept |= {one.email for one in accounts}

    def _former_holder(self, email: str) -> str | None:
        """Return the account that had an email, if nobody has it now."""
        had = self.former.get(email)
        return had[-1] if had and email not in self.by_email else None

    def _keep_former_holders(self) -> None:
        """Suspend nobody whose former email the file has, unless it has another number."""
        for row in self.alone:
            account = self.plan.suspend.get(self._former_holder(row.email) or "")
            if account and not _are_two_numbers(row.number, account.number):
                del self.plan.suspend[account.user_id]
                self._wait(row.email)

    def _wait(self, email: str) -> None:
        if row := self.plan.create.pop(email, None):
            self.waiting.append(row)
            self.plan.waits |= self.choice.creates

    def _block_former_emails(self) -> None:
        """Give nobody an email that another account had."""
        for user_id, changes in list(self.plan.correct.items()):
            if self._former_holder(changes.get("email", "")) not in {None, user_id}:
                del changes["email"]
                self.kept.add(self.accounts[user_id].email)
                self.plan.waits = True

    def _ask_about_names(self) -> None:
        """Ask about rows with the whole name of accounts that have none."""
        asked = set[str]()
        suspend = dict(self.plan.suspend)
        for row in list(self.plan.create.values()):
            accounts = tuple(self._namesakes(row, suspend))
            question = Asked("alike", row, accounts)
            if not accounts or self.answers.get(question.change) is False:
                continue
            self.plan.questions.append(question)
            del self.plan.create[row.email]
            asked |= {one.user_id for one in accounts}
        for user_id in asked:
            self.kept.add(self.plan.suspend.pop(user_id).email)

    def _namesakes(self, row: Row, suspend: Mapping[str, Account]) -> Iterator[Account]:
        for account in suspend.values():
            is_same = compare_names(row, account) == "whole"
            if is_same and not _are_two_numbers(row.number, account.number):
                yield account

    def _leave_namesakes(self) -> None:
        """Suspend nobody with the whole name of a row that is in question or waits."""
        rows = [one.row for one in self.plan.questions if one.kind != "alike"] + self.waiting
        for account in list(self.plan.suspend.values()):
            if any(may_have_name(row, account) for row in rows):
                self.kept.add(self.plan.suspend.pop(account.user_id).email)

    def _leave_emails_that_are_kept(self) -> None:
        """Drop changes and new accounts whose email an account keeps, until none is left."""
        is_changed = True
        while is_changed:
            is_changed = False
            for user_id, changes in list(self.plan.correct.items()):
                if changes.get("email") in self.kept:
                    del self.plan.correct[user_id]
                    self.plan.restore.discard(user_id)
                    self.kept.add(self.accounts[user_id].email)
                    is_changed = True
        given_up = {
            self.accounts[user_id].email
            for user_id, changes in self.plan.correct.items()
            if "email" in changes
        }
        for email in list(self.plan.create):
            if email in self.kept | given_up or self._former_holder(email):
                self._wait(email)

    def _choose(self) -> None:
        plan, choice = self.plan, self.choice
        if not choice.creates:
            plan.is_stopped = choice.suspends and bool(plan.suspend and plan.create)
            plan.create.clear()
        if not choice.corrects:
            plan.correct.clear()
        if not choice.suspends:
            plan.suspend.clear()
        plan.correct = {user_id: changes for user_id, changes in plan.correct.items() if changes}


def _changes(row: Row, account: Account) -> dict[str, str]:
    """Return what the file has otherwise: an email only beside a number."""
    old = account.value_of
    return {
        key: value
        for key, value in row.values.items()
        if value != old[key] and (row.number or key not in {"email", "external_id"})
    }


def _is_in_wrong_row(row: Row, of_number: Account, of_email: Account) -> bool:
    """Return whether only the number is of the one account, and all else of the other one."""
    is_of_email = compare_names(row, of_email) == "whole"
    return is_of_email and compare_names(row, of_number) != "whole"


def _are_two_numbers(number: str, other: str) -> bool:
    return bool(number and other) and number.lstrip("0") != other.lstrip("0")
