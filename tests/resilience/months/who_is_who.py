"""The rule of who is who, written from `docs/operations/who-is-who.md` alone.

What the page leaves open is `loose`: the model then checks only that no account changes its person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.resilience.months.office import Row

__all__ = ["Account", "Verdict", "judge"]


@dataclass(frozen=True)
class Account:
    """An account as `user list` shows it."""

    user_id: str
    email: str
    name: str
    lastname: str
    number: str
    is_owner: bool
    is_suspended: bool
    by_sync: bool

    @property
    def value_of(self) -> dict[str, str]:
        return {
            "email": self.email,
            "name": self.name,
            "lastname": self.lastname,
            "external_id": self.number,
        }


@dataclass
class Verdict:
    """What the documents say of a month without answers.

    Attributes:
        correct: the rows that are surely an account's.
        restore, suspend: accounts.
        create: emails of rows without an account.
        stay: accounts that stay as they are, and emails of rows that get no account.
        loose: accounts and emails of rows of which the documents leave something open.
        questions: pairs of a row and an account, or of a row and nothing.
        is_damaged: whether the file is refused; None if the documents leave it open.
        unseen: whether some row is another person's than the rule can see.
    """

    correct: dict[str, Row] = field(default_factory=dict)
    restore: set[str] = field(default_factory=set)
    suspend: set[str] = field(default_factory=set)
    create: set[str] = field(default_factory=set)
    stay: set[str] = field(default_factory=set)
    loose: set[str] = field(default_factory=set)
    questions: list[tuple[Row, str]] = field(default_factory=list)
    is_damaged: bool | None = False
    unseen: bool = False


def _plain(text: str) -> str:
    return "".join(text.split()).casefold()


def _names(name: str, lastname: str) -> tuple[str, str] | None:
    """Give the first and the last name, also of one column; None if they are unclear."""
    words = name.split()
    if len(words) == 2:
        if lastname:
            return None
        return _plain(words[0]), _plain(words[1])
    return _plain(name), _plain(lastname)


def _names_of(row: Row) -> tuple[str, str] | None:
    return _names(row.values.get("name", ""), row.values.get("lastname", ""))


def _shares_a_name(row: Row, account: Account) -> bool | None:
    ours, theirs = _names_of(row), _names(account.name, account.lastname)
    if ours is None or theirs is None:
        return None
    return any(one and one == other for one, other in zip(ours, theirs, strict=True))


def _has_whole_name(row: Row, account: Account) -> bool | None:
    if "name" not in row.values:
        return None if "lastname" in row.values else False
    ours, theirs = _names_of(row), _names(account.name, account.lastname)
    if ours is None or theirs is None:
        return None
    return ours == theirs and all(ours)


def judge_pair(row: Row, account: Account) -> str:
    """Say what a row and the account that it finds are: `same`, `question` or `loose`."""
    shares, is_whole = _shares_a_name(row, account), _has_whole_name(row, account)
    if row.number and row.number == account.number:
        if row.email == account.email or shares:
            return "same"
        return "loose" if shares is None else "question"
    if row.number and account.number:
        return "question"
    has_names = "name" in row.values or "lastname" in row.values
    if not has_names or shares or "name" not in row.values:
        return "same"
    if shares is None or not all(_names(account.name, account.lastname) or ("",)):
        return "loose"
    return "question" if not is_whole else "same"


def judge(
    rows: Sequence[Row],
    accounts: Mapping[str, Account],
    persons: Mapping[str, int],
    former: Mapping[str, set[str]],
    *,
    restores: bool,
) -> Verdict:
    """Say what a month does, without an answer.

    Args:
        rows: of the file.
        accounts, persons: by id.
        former: the accounts that had an email.
        restores: whether `--restore` is given.
    """
    return _Judge(rows, accounts, persons, former, restores).verdict()


class _Judge:
    def __init__(
        self,
        rows: Sequence[Row],
        accounts: Mapping[str, Account],
        persons: Mapping[str, int],
        former: Mapping[str, set[str]],
        restores: bool,
    ) -> None:
        self.rows, self.accounts, self.persons = rows, accounts, persons
        self.former, self.restores = former, restores
        self.by_email = {one.email: one for one in accounts.values()}
        self.by_number = {one.number: one for one in accounts.values() if one.number}
        self.row_of_number = {row.number: row for row in rows if row.number}
        self.found: set[str] = set()
        self.out = Verdict()

    def verdict(self) -> Verdict:
        alone = [row for row in self.rows if not self._pair(row)]
        for row in alone:
            self._judge_alone(row)
        self._withhold()
        present, unpaired = ({row.email for row in some} for some in (self.rows, alone))
        for account in self.accounts.values():
            if account.user_id in self.found | self.out.stay:
                continue
            had = {email for email, ids in self.former.items() if account.user_id in ids}
            if had & present - unpaired:
                self.out.loose.add(account.user_id)  # another account has that email now
            elif account.is_owner or account.is_suspended or had & unpaired:
                self.out.stay.add(account.user_id)
            else:
                self.out.suspend.add(account.user_id)
        self.out.suspend -= self.out.loose
        return self.out

    def _pair(self, row: Row) -> bool:
        """Judge a row that finds an account; return False if it finds none."""
        by_number, by_email = self.by_number.get(row.number), self.by_email.get(row.email)
        is_in_wrong_row = self._is_in_wrong_row(row, by_number, by_email)
        if is_in_wrong_row is None and by_number and by_email:
            for account in (by_number, by_email):
                self._loosen(row, account)
            return True
        if by_email and not is_in_wrong_row and self._leaves_its_email(by_email, row):
            if not by_number:
                self._loosen(row, by_email)
                return True
            by_email = None
        if by_number and by_email and by_number is not by_email:
            self.found |= {by_number.user_id, by_email.user_id}
            for account in (by_number, by_email):
                self._ask(row, account)
            return True
        found = by_number or by_email
        if not found:
            return False
        self.found.add(found.user_id)
        self._judge_pair(row, found)
        return True

    @staticmethod
    def _is_in_wrong_row(
        row: Row, by_number: Account | None, by_email: Account | None
    ) -> bool | None:
        if not by_number or not by_email or by_number is by_email:
            return False
        is_of_email, is_of_number = (_has_whole_name(row, one) for one in (by_email, by_number))
        if is_of_email is False or is_of_number:
            return False
        return True if is_of_email and is_of_number is False else None

    def _leaves_its_email(self, account: Account, row: Row) -> bool:
        other = self.row_of_number.get(account.number)
        return bool(other and other is not row and other.email != account.email)

    def _judge_pair(self, row: Row, account: Account) -> None:
        kind = judge_pair(row, account)
        is_other = self.persons[account.user_id] != row.person
        if account.is_owner:
            self.out.stay.add(account.user_id)
            if kind != "same":
                self.out.loose.add(row.email)
            self._judge_damage(row, account, is_sure=False)
        elif account.is_suspended:
            self._judge_suspended(row, account, kind)
            self._judge_damage(row, account, is_sure=False)
        elif kind == "question":
            self._ask(row, account)
            self._judge_damage(row, account, is_sure=False)
        elif kind == "loose":
            self._loosen(row, account)
            self._judge_damage(row, account, is_sure=False)
        else:
            self.out.unseen |= is_other
            self.out.correct[account.user_id] = row
            self._judge_damage(row, account, is_sure=row.email == account.email)
        if kind != "question" and is_other:
            self.out.unseen = True

    def _judge_suspended(self, row: Row, account: Account, kind: str) -> None:
        is_whole = _has_whole_name(row, account)
        if not account.by_sync:
            is_equal = row.values.items() <= account.value_of.items()
            place = self.out.stay if is_equal else self.out.loose
            place |= {row.email, account.user_id}
        elif row.email == account.email and row.number == account.number and is_whole is not False:
            if is_whole is None or kind == "loose":
                self._loosen(row, account)
            elif self.restores:
                self.out.restore.add(account.user_id)
                self.out.correct[account.user_id] = row
            else:
                self.out.stay |= {account.user_id, row.email}
                self.out.loose.add(row.email)
        else:
            self._ask(row, account)

    def _judge_damage(self, row: Row, account: Account, *, is_sure: bool) -> None:
        for key, value in row.values.items():
            old = account.value_of[key]
            if value == row.true[key] or value == old:
                continue
            if is_sure and old == row.true[key] and self.out.is_damaged is not None:
                self.out.is_damaged = True
            else:
                self.out.is_damaged = None

    def _judge_alone(self, row: Row) -> None:
        alike, unclear = [], []
        for account in self.accounts.values():
            is_whole = account.user_id not in self.found and self._may_be(row, account)
            # The page does not say whether an account that is suspended already asks.
            if is_whole is None or (is_whole and account.is_suspended):
                unclear.append(account)
            elif is_whole:
                alike.append(account)
        for account in alike:
            self._ask(row, account)
        for account in unclear:
            self.out.loose |= {row.email, account.user_id}
        if any("?" in text for text in row.values.values()):
            self._ask(row, None)
        elif self.former.get(row.email):
            self.out.stay.add(row.email)
            self.out.loose |= {row.email, *(one.user_id for one in alike)}
        elif not alike:
            self.out.create.add(row.email)

    def _may_be(self, row: Row, account: Account) -> bool | None:
        differ = row.number and account.number
        if differ and row.number.lstrip("0") != account.number.lstrip("0"):
            return False
        return _has_whole_name(row, account)

    def _ask(self, row: Row, account: Account | None) -> None:
        self.out.questions.append((row, account.user_id if account else ""))
        self.out.stay |= {row.email, account.user_id if account else row.email}
        if account and account.is_owner:
            self.out.loose.add(row.email)

    def _loosen(self, row: Row, account: Account) -> None:
        self.found.add(account.user_id)
        self.out.loose |= {row.email, account.user_id}

    def _withhold(self) -> None:
        """Leave what is sure, but needs an email or number that is in doubt, or its account."""
        asked = {user_id for _, user_id in self.out.questions}
        for user_id in asked & set(self.out.correct):
            del self.out.correct[user_id]
            self.out.restore.discard(user_id)
        is_changed = True
        while is_changed:
            is_changed = False
            for user_id, row in list(self.out.correct.items()):
                account = self.accounts[user_id]
                email, number = self.by_email.get(row.email), self.by_number.get(row.number)
                holders = {one.user_id for one in (email, number) if one} - {user_id}
                blocked = self.former.get(row.email, set()) - {user_id}
                is_free = holders <= set(self.out.correct) and not (
                    blocked and row.email != account.email
                )
                if not is_free:
                    del self.out.correct[user_id]
                    self.out.restore.discard(user_id)
                    self.out.loose |= {user_id, row.email}
                    is_changed = True
