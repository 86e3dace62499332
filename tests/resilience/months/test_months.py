"""Months of an office, of which no account ever changes its person without an answer.

`--first-month N --months 4` repeats the months that a failure names.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.resilience.months.answers import ABOUT_AN_ACCOUNT, Answers, GivenAnswers, about
from tests.resilience.months.doors import Command, Console, Month, Outcome
from tests.resilience.months.office import Columns, Office, Row
from tests.resilience.months.plan import Asked, Change, Choice, Plan, PlanMaker
from tests.resilience.months.who_is_who import Account
from tests.server.http.pages.requests import create_owner, send
from tests.support.servers.control_planes import HttpDeployment
from tests.support.servers.http_client import HttpClient
from tests.support.users import NEW_PASSWORD, PASSWORD, create_accounts

from anyscale.domain.validation import Policy
from anyscale.server.http.console.syncs import pages

#: months of one office
_CHAIN = 4

_KINDS = ("--create", "--correct", "--suspend-missing")

Doors = tuple[Command, Console | None, Callable[[str], None]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    first, count = (metafunc.config.getoption(name) for name in ("first_month", "months"))
    metafunc.parametrize("first", range(first, first + count, _CHAIN))


@pytest.fixture
def doors(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Doors]:
    """The command embedded, or the command and the console of a server on one of the stores."""
    monkeypatch.setattr(pages, "_WAIT_SECONDS", 60.0)
    lane = request.getfixturevalue("first") // _CHAIN % 3
    with ExitStack() as stack:
        if lane == 0:
            environment = {"HOME": str(tmp_path), "ANYSCALE_HOST": "embedded"}
            command = Command(environment | {"ANYSCALE_DATA_DIR": str(tmp_path)}, tmp_path)
            yield command, None, lambda email: _set_owner(command, email)
            return
        served = stack.enter_context(_served(request, is_postgres=lane == 2))
        control_plane = stack.enter_context(closing(served.control_plane(Policy())))
        create_accounts(control_plane, "jane")
        create_owner(control_plane, "jane")
        environment = {"HOME": str(tmp_path), "ANYSCALE_HOST": served.url(Policy())}
        command = Command(environment | {"ANYSCALE_CLI_TOKEN": served.token}, tmp_path)
        browser = HttpClient(served.url(Policy()))
        send(browser, "/sign-in", email="jane@example.com", password=PASSWORD)
        send(browser, "/password", current=PASSWORD, new=NEW_PASSWORD, again=NEW_PASSWORD)
        yield (
            command,
            Console(browser),
            lambda email: create_owner(control_plane, email.partition("@")[0]),
        )


@contextmanager
def _served(request: pytest.FixtureRequest, *, is_postgres: bool) -> Iterator[HttpDeployment]:
    with ExitStack() as stack:
        database: Path | str = Path(stack.enter_context(TemporaryDirectory())) / "anyscale.db"
        if is_postgres:
            databases = request.getfixturevalue("postgres_databases")
            database = stack.enter_context(databases.empty())
        yield HttpDeployment(database, stack)


def _set_owner(command: Command, email: str) -> None:
    done = command.run("user", "set-role", email, "owner")
    assert done.returncode == 0, done.stderr


def test_no_account_changes_its_person_without_an_answer(
    doors: Doors,
    first: int,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    count = min(_CHAIN, request.config.getoption("months"))
    months = _Months(doors, random.Random(first), tmp_path)
    months.begin()
    for number in range(count):
        months.next(f"month {number + 1} of --first-month {first} --months {_CHAIN}")
    for what, count in months.counts.items():
        record_property(what, count)


class _Months:
    """The office, the accounts, and whose they are."""

    def __init__(self, doors: Doors, chance: random.Random, folder: Path) -> None:
        self._command, self._console, self._set_owner = doors
        self._chance = chance
        self._file = folder / "staff.csv"
        self._office = Office(chance)
        self._persons: dict[str, int] = {}
        self._former: dict[str, list[str]] = {}
        #: words that a script keeps
        self._kept: list[str] = []
        self._given = GivenAnswers()
        self._accounts: dict[str, Account] = {}
        self._said = ""
        self.counts = Counter[str]()

    def begin(self) -> None:
        """Create the accounts of the first month; the first person is an owner."""
        self._office.begin()
        rows = self._office.rows(Columns(has_numbers=self._chance.random() < 0.8))
        write_file(self._file, rows)
        done = self._command.month(Month(self._file))
        assert done.status == 0, done.text
        self._set_owner(rows[0].email)
        self._accounts = self._command.accounts()
        self._own(rows)

    def next(self, said: str) -> None:
        """Let a month pass, do its file, and answer its questions truly."""
        self._suspend_by_hand()
        restores = self._chance.random() < 0.5
        columns, rows = self._draw(Choice(restores))
        write_file(self._file, rows)
        uses_console = self._console is not None and self._chance.random() < 0.5
        door: Command | Console = self._console if uses_console else self._command  # type: ignore[assignment]  # it is there if it is used
        kinds = [] if uses_console or self._chance.random() < 0.7 else self._some_kinds()
        month = Month(self._file, kinds, restores)
        kept = [] if uses_console or self._chance.random() < 0.4 else list(self._kept)
        self._said = "\n".join(
            [said, type(door).__name__, f"{month} {columns}", *map(str, rows), "accounts before:"]
            + [f"{one} of {self._persons[one.user_id]}" for one in self._accounts.values()]
            + [f"former: {self._former}"]
        )
        self.counts["months"] += 1
        done = self._do(door, month, rows, Answers(kept))
        if done.status == 2:
            self.counts["refused for damage"] += 1
        else:
            self._answer(door, month, rows, done)

    def _draw(self, choice: Choice) -> tuple[Columns, list[Row]]:
        """Draw a month in which the rule can see who is who."""
        while True:
            office = self._office.copy()
            office.next_month()
            columns = office.columns()
            rows = office.rows(columns)
            if not office.is_consistent():
                continue
            plan = self._plan(rows, choice, {})
            if plan.has_nameless:
                continue  # the command stops
            if plan.unseen and not plan.is_damaged:
                self.counts["drawn again: the rule cannot see that it is another person"] += 1
                continue
            self._office = office
            return columns, rows

    def _plan(self, rows: Sequence[Row], choice: Choice, answers: Mapping[Change, bool]) -> Plan:
        state = (self._accounts, self._persons, self._former)
        return PlanMaker(rows, *state, choice, answers).make()

    def _do(
        self,
        door: Command | Console,
        month: Month,
        rows: Sequence[Row],
        answers: Answers,
    ) -> Outcome:
        """Do a month with answers, and compare it with what the documents say."""
        before, choice, words = self._accounts, _choice(month), answers.words
        first = self._plan(rows, choice, answers.marked)
        holding = self._given.holding(words, first.questions)
        plan = self._plan(rows, choice, {**answers.marked, **holding})
        self._said += f"\n{plan}\n{answers}"
        done = door.month(month, [*words, *answers.fields])
        self._said += f"\n{done.text}"
        self._accounts = self._command.accounts()
        self._own(rows)
        self._keeps_its_people(before, rows)
        if done.status in {1, 2}:
            self._require(self._accounts == before, "refused, and changed")
        if done.status in {0, 3} or (done.status is None and self._accounts != before):
            held = [word for word in words if self._given.holds(word, first.questions)]
            self._given.store(held, first.questions)
        if plan.is_damaged is None:
            self.counts["open"] += 1
        else:
            self.counts["compared whole"] += 1
            self._is_as_planned(before, plan, done)
            if isinstance(door, Command) and done.status != 2:
                self._has_its_answers(plan.questions, done)
        return done

    def _some_kinds(self) -> list[str]:
        return [kind for kind in _KINDS if self._chance.random() < 0.6] or ["--correct"]

    def _suspend_by_hand(self) -> None:
        if self._chance.random() > 0.2:
            return
        one = self._chance.choice([one for one in self._accounts.values() if not one.is_owner])
        done = self._command.run("user", "suspend", one.email, "--yes")
        assert done.returncode == 0, done.stderr
        self._accounts = self._command.accounts()

    def _own(self, rows: Sequence[Row]) -> None:
        """Note whose the new accounts are."""
        person_of = {row.email: row.person for row in rows}
        for user_id, account in self._accounts.items():
            if user_id not in self._persons:
                self._persons[user_id] = person_of.get(account.email, -1)

    def _keeps_its_people(self, before: Mapping[str, Account], rows: Sequence[Row]) -> None:
        row_of = {row.email: row for row in rows}
        row_of_number = {row.number: row for row in rows if row.number}
        for user_id, old in before.items():
            self._require(user_id in self._accounts, "an account is gone", old)
            new = self._accounts[user_id]
            if new.email != old.email:
                self._former.setdefault(old.email, []).append(user_id)
                had = self._former.get(new.email, [])
                self._former[new.email] = [one for one in had if one != user_id]
            is_restored = old.is_suspended and not new.is_suspended
            if old.is_owner:
                self._require(new == old, "an owner is changed", new)
            if old.is_suspended and not old.by_sync:
                self._require(new.is_suspended, "a manual suspension is lifted", new)
            if new.value_of != old.value_of or is_restored:
                row = row_of.get(new.email) or row_of_number.get(new.number)
                self._require(row, "changed, and not in the file", new)
                is_same = row is not None and row.person == self._persons[user_id]
                self._require(is_same, "an account has another person", old, new)

    def _is_as_planned(self, before: Mapping[str, Account], plan: Plan, done: Outcome) -> None:
        self._require(plan.is_damaged == (done.status == 2), "damage", done.status)
        if plan.is_damaged:
            return
        expected = plan.after(before)
        for user_id, account in expected.items():
            got = self._accounts[user_id]
            self._require(got == account, "an account is not as planned", account, got)
        new = [one.value_of for user_id, one in self._accounts.items() if user_id not in before]
        created = [_NOTHING | row.values for row in plan.create.values()]
        self._require(sorted(map(str, new)) == sorted(map(str, created)), "others are created", new)
        asked = {(one.row.email, one.account and one.account.user_id) for one in plan.questions}
        found = {(one.email, one.user_id) for one in done.questions}
        self._require(found == asked, "other questions", found, asked)
        if done.status is not None:
            status = 1 if plan.is_stopped else 3 if plan.questions or plan.waits else 0
            self._require(done.status == status, "another status", done.status)

    def _has_its_answers(self, questions: Sequence[Asked], done: Outcome) -> None:
        """Require the commands that answer, but with words that were another answer."""
        shown = {one.email: one.answers for one in done.questions}
        count = sum(one.kind == "renumbered" for one in questions)
        by_count = f"--renumbered={count}"
        for one in questions:
            words = {
                True: f"--same-person={one.row.number or one.row.email}",
                False: f"--they-differ={one.row.email}",
            }
            if one.kind not in ABOUT_AN_ACCOUNT:
                del words[True]
            if one.kind == "two":
                words.clear()
            if one.kind == "renumbered" and self._given.holds(by_count, questions):
                words = {True: by_count}
            held = {key: word for key, word in words.items() if self._given.holds(word, questions)}
            got = shown[one.row.email]
            self._require(got == held, "other answers are shown", one, got, held)

    def _answer(
        self,
        door: Command | Console,
        month: Month,
        rows: Sequence[Row],
        done: Outcome,
    ) -> None:
        """Answer each question truly, and see that nobody else's account opens."""
        now = self._plan(rows, _choice(month), {}).questions
        truth = {
            one.change: one.row.person in {self._persons[x.user_id] for x in one.accounts}
            for one in now
        }
        shown = {one.email: one for one in done.questions}
        are_same = all(truth[one.change] for one in now if one.kind == "renumbered")
        answers = Answers()
        for one in now:
            is_same = truth[one.change]
            question = shown.get(one.row.email)
            word = question and question.answers.get(is_same)
            if not question or not word or (question.is_renumbered and not are_same):
                continue
            if isinstance(door, Console) and not question.is_renumbered:
                answers.marked[one.change] = is_same
                answers.fields.append(word)
                continue
            of_account = f"--they-differ={one.account.email}" if one.account else word
            others = (truth[other.change] for other in about(of_account, now))
            if not is_same and not any(others) and self._chance.random() < 0.3:
                word = of_account
            if word not in answers.words:
                answers.words.append(word)
        if not answers.words and not answers.marked:
            return
        for change, is_same in self._given.holding(answers.words, now).items():
            self._require(truth[change] == is_same, "words answer another question too", change)
        self.counts["times with answers"] += 1
        self._do(door, month, rows, answers)
        if isinstance(door, Command):
            self._keep(answers.words)

    def _require(self, is_right: object, what: object, *values: object) -> None:
        if not is_right:
            pytest.fail("\n".join([self._said, f"{what}:", *map(str, values)]), pytrace=False)

    def _keep(self, answers: Iterable[str]) -> None:
        """Keep the answers as a script does, which can give one count."""
        for word in answers:
            if word.startswith("--renumbered"):
                self._kept = [one for one in self._kept if not one.startswith("--renumbered")]
            if word not in self._kept:
                self._kept.append(word)


#: what an account has that a file says nothing of
_NOTHING = {"email": "", "name": "", "lastname": "", "external_id": ""}


def _choice(month: Month) -> Choice:
    chosen = (not month.kinds or kind in month.kinds for kind in _KINDS)
    return Choice(month.restores, *chosen)


def write_file(file: Path, rows: Sequence[Row]) -> None:
    """Write a file of everybody."""
    columns = list(rows[0].values)
    lines = [columns, *([row.values[key] for key in columns] for row in rows)]
    file.write_text("".join(";".join(line) + "\n" for line in lines), encoding="utf-8")
