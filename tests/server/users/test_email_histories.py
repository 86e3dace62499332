"""Random histories of emails, compared with a model: no email has two accounts."""

from collections.abc import Mapping
from itertools import count
from typing import NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.server.users.test_email_changes import change_several
from tests.support.callers import OPERATOR
from tests.support.users import checked_user

from anyscale.errors import BatchRefused, EmailFreed, EmailTaken
from anyscale.server.control_plane import ControlPlane


class Change(NamedTuple):
    """Accounts get other emails in one go. Accounts and emails are numbers."""

    emails: dict[int, int]
    reuse: bool


class Create(NamedTuple):
    """A new account with an email, or a batch that is left open."""

    email: int
    is_left_open: bool


class Delete(NamedTuple):
    """The end of an account."""

    account: int


NUMBER_OF_HISTORY = count()

NUMBERS = st.integers(0, 5)
STEPS = st.one_of(
    st.builds(Change, st.dictionaries(NUMBERS, NUMBERS, min_size=1, max_size=3), st.booleans()),
    st.builds(Create, NUMBERS, st.booleans()),
    st.builds(Delete, NUMBERS),
)


class Model:
    """Which account has which email, and which had it before."""

    def __init__(self) -> None:
        self.current: dict[int, int] = {}
        self.reserved: set[int] = set()
        #: email -> the accounts that had it before, the last one last
        self.former: dict[int, dict[int, None]] = {}

    def outcome(self, wanted: Mapping[int, int], *, reuse: bool) -> str:
        """Return why accounts, new ones too, cannot get emails; an empty text if they can."""
        emails = list(wanted.values())
        others = {email for account, email in self.current.items() if account not in wanted}
        if len(set(emails)) < len(emails) or (others | self.reserved) & set(emails):
            return "taken"
        passed_on = {self.current.get(account) for account in wanted}
        freed = any(
            list(self.former[email])[-1] != account
            for account, email in wanted.items()
            if self.former.get(email) and email not in passed_on
        )
        return "freed" if freed and not reuse else ""

    def change(self, wanted: Mapping[int, int]) -> None:
        for account in wanted:
            if account in self.current:
                self.former.setdefault(self.current[account], {})[account] = None
        for account, email in wanted.items():
            self.current[account] = email
            self.former.get(email, {}).pop(account, None)

    def delete(self, account: int) -> None:
        del self.current[account]
        for had in self.former.values():
            had.pop(account, None)


class History:
    """Steps on a control plane and on the model of it."""

    def __init__(self, control_plane: ControlPlane, name: str) -> None:
        self._control_plane = control_plane
        self._name = name
        self._steps = 0
        self._ids: dict[int, str] = {}
        self.model = Model()

    def take(self, step: Change | Create | Delete) -> None:
        self._steps += 1
        match step:
            case Change(emails, reuse):
                known = {one: email for one, email in emails.items() if one in self.model.current}
                self._change(known, reuse=reuse)
            case Create(email, is_left_open):
                self._create(email, is_left_open=is_left_open)
            case Delete(account) if account in self.model.current:
                self._control_plane.lifecycle.delete(OPERATOR, self._ids[account])
                self.model.delete(account)

    def _change(self, wanted: Mapping[int, int], *, reuse: bool) -> None:
        if not wanted:
            return
        emails = {self._ids[one]: self._email(email) for one, email in wanted.items()}
        outcome = ""
        try:
            change_several(self._control_plane, emails, reuse_email=reuse)
        except EmailFreed:
            outcome = "freed"
        except EmailTaken:
            outcome = "taken"
        assert outcome == self.model.outcome(wanted, reuse=reuse)
        if not outcome:
            self.model.change(wanted)

    def _create(self, email: int, *, is_left_open: bool) -> None:
        account, users = len(self._ids), [checked_user(self._email(email))]
        expected = self.model.outcome({account: email}, reuse=False)
        key, batches = f"{self._name}-{self._steps}", self._control_plane.batches
        if is_left_open:
            batch = batches.open(OPERATOR, key, "fail")
            assert batches.reserve(OPERATOR, batch.batch_id, 0, users).users == (not expected)
            self.model.reserved |= set() if expected else {email}
            return
        outcome = ""
        try:
            created = batches.create(OPERATOR, key, users, "fail")
        except BatchRefused as error:
            outcome = "freed" if error.problems[0].code == "email_freed" else "taken"
        else:
            self._ids[account] = created.users[0].user_id
            self.model.change({account: email})
        assert outcome == expected

    def check(self) -> None:
        """Compare all emails with those of the model."""
        with self._control_plane.store.read() as tx:
            found = {one: tx.accounts.get(self._ids[one]) for one in self.model.current}
        assert {one: account and account.email for one, account in found.items()} == {
            one: self._email(email) for one, email in self.model.current.items()
        }

    def _email(self, number: int) -> str:
        return f"e{number}@{self._name}.example"


# Each history has emails of its own, so all of them can share the control plane.
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=14))
def test_no_history_gives_an_email_to_two_or_a_freed_one_to_another(
    control_plane: ControlPlane, steps: list[Change | Create | Delete]
) -> None:
    history = History(control_plane, f"h{next(NUMBER_OF_HISTORY)}")
    for email in range(4):
        history.take(Create(email, is_left_open=False))
    for step in steps:
        history.take(step)
        history.check()
