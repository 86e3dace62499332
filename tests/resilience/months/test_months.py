"""Months of an office, of which no account ever changes its person without an answer.

`--first-month N --months 4` repeats the months that a failure names.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.resilience.months.doors import Command, Console, Month, Outcome
from tests.resilience.months.office import Columns, Office, Row
from tests.resilience.months.who_is_who import Account, Verdict, judge
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
    doors: Doors, first: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    count = min(_CHAIN, request.config.getoption("months"))
    months = _Months(doors, random.Random(first), tmp_path)
    months.begin()
    for number in range(count):
        months.next(f"month {number + 1} of --first-month {first} --months {_CHAIN}")


class _Months:
    """The office, the accounts, and whose they are."""

    def __init__(self, doors: Doors, chance: random.Random, folder: Path) -> None:
        self._command, self._console, self._set_owner = doors
        self._chance = chance
        self._file = folder / "staff.csv"
        self._office = Office(chance)
        self._persons: dict[str, int] = {}
        self._former: dict[str, set[str]] = {}
        self._kept: list[str] = []
        self._answered: list[dict[str, str]] = []
        self._accounts: dict[str, Account] = {}
        self._said = ""

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
        columns, rows, restores, verdict = self._draw()
        self._suspend_by_hand()
        verdict = self._judge(rows, restores)
        write_file(self._file, rows)
        uses_console = self._console is not None and self._chance.random() < 0.5
        door: Command | Console = self._console if uses_console else self._command  # type: ignore[assignment]  # it is there if it is used
        kinds = [] if uses_console or self._chance.random() < 0.7 else self._some_kinds()
        month = Month(self._file, kinds, restores)
        before = self._accounts
        self._said = "\n".join(
            [said, type(door).__name__, f"{month} {columns}", *map(str, rows), "accounts before:"]
            + [f"{one} of {self._persons[one.user_id]}" for one in before.values()]
            + [f"former: {self._former}", str(verdict)]
        )
        kept = [] if uses_console or self._chance.random() < 0.4 else self._kept
        done = door.month(month, kept)
        if kept and done.status == 2 and verdict.is_damaged is False:
            self._require(self._command.accounts() == before, "a refused answer changed")
            done = door.month(month)
        self._said += f"\nkept answers: {kept}\n{done.text}"
        self._accounts = self._command.accounts()
        self._own(rows)
        self._keeps_its_people(before, rows)
        self._is_as_judged(before, verdict, month, columns, done)
        if done.status != 2:
            self._answer(door, month, rows, done)

    def _draw(self) -> tuple[Columns, list[Row], bool, Verdict]:
        """Draw a month in which the rule can see who is who."""
        restores = self._chance.random() < 0.5
        while True:
            office = self._office.copy()
            office.next_month()
            columns = office.columns()
            rows = office.rows(columns)
            if not office.is_consistent():
                continue
            verdict = self._judge(rows, restores)
            has_names = columns.names in {"both", "whole"}
            alone = {row.email for row in rows} - {row.email for row in self._paired(rows)}
            if not verdict.unseen and (has_names or not alone):
                self._office = office
                return columns, rows, restores, verdict

    def _paired(self, rows: Sequence[Row]) -> list[Row]:
        emails = {one.email for one in self._accounts.values()}
        numbers = {one.number for one in self._accounts.values() if one.number}
        return [row for row in rows if row.email in emails or row.number in numbers]

    def _judge(self, rows: Sequence[Row], restores: bool) -> Verdict:
        return judge(rows, self._accounts, self._persons, self._former, restores=restores)

    def _some_kinds(self) -> list[str]:
        kinds = [kind for kind in _KINDS if self._chance.random() < 0.6] or ["--correct"]
        if "--suspend-missing" in kinds and "--create" not in kinds:
            kinds.append("--create")  # without it, a row without an account stops the month
        return kinds

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
                self._former.setdefault(old.email, set()).add(user_id)
            is_restored = old.is_suspended and not new.is_suspended
            if old.is_owner:
                self._require(new == old, "an owner is changed", new)
            if old.is_suspended and not old.by_sync:
                self._require(new.is_suspended, "a suspension by hand is lifted", new)
            if new.value_of != old.value_of or is_restored:
                row = row_of.get(new.email) or row_of_number.get(new.number)
                self._require(row, "changed, and not in the file", new)
                is_same = row is not None and row.person == self._persons[user_id]
                self._require(is_same, "an account has another person", old, new)

    def _is_as_judged(
        self,
        before: Mapping[str, Account],
        verdict: Verdict,
        month: Month,
        columns: Columns,
        done: Outcome,
    ) -> None:
        """Compare what a month did with what the documents say."""
        after = self._accounts
        if done.status == 2:
            self._require(after == before, "refused, and changed")
            self._require(verdict.is_damaged is not False, "refused without damage")
            return
        self._require(verdict.is_damaged is not True, "damage is not refused")
        asked = [row.values for row, _ in verdict.questions]
        if any(values in self._answered for values in asked) or verdict.is_damaged is None:
            return  # the answer to the same question may hold still
        self._require(done.status in {None, 0, 3}, "another status", done.status)
        self._leaves_what_is_in_doubt(before, verdict)
        self._does_what_is_sure(before, verdict, month, columns)
        if not month.kinds:
            self._asks_what_is_in_doubt(before, verdict, done)

    def _leaves_what_is_in_doubt(self, before: Mapping[str, Account], verdict: Verdict) -> None:
        after = self._accounts
        for user_id in verdict.stay & set(before) - verdict.loose:
            self._require(after[user_id] == before[user_id], "does not stay", after[user_id])
        new = {after[user_id].email for user_id in set(after) - set(before)}
        self._require(not new & (verdict.stay - verdict.loose), "created in doubt", new)
        for user_id in set(before) - verdict.suspend - verdict.loose:
            is_newly = after[user_id].is_suspended and not before[user_id].is_suspended
            self._require(not is_newly, "suspended", after[user_id])

    def _does_what_is_sure(
        self, before: Mapping[str, Account], verdict: Verdict, month: Month, columns: Columns
    ) -> None:
        after = self._accounts
        new = {after[user_id].email for user_id in set(after) - set(before)}
        if not month.kinds or "--create" in month.kinds:
            missing = verdict.create - verdict.loose - new
            self._require(not missing, "not created", missing)
        if not month.kinds or "--suspend-missing" in month.kinds:
            for user_id in verdict.suspend - verdict.loose:
                self._require(after[user_id].is_suspended, "not suspended", after[user_id])
        if not month.kinds or "--correct" in month.kinds:
            for user_id, row in verdict.correct.items():
                got = after[user_id].value_of
                names = set() if columns.names == "whole" else {"name", "lastname"}
                for key in row.values.keys() & ({"email", "external_id"} | names):
                    self._require(got[key] == row.values[key], "not corrected", key, got)
        if not month.kinds:
            for user_id in verdict.restore:
                self._require(not after[user_id].is_suspended, "not restored", after[user_id])

    def _asks_what_is_in_doubt(
        self, before: Mapping[str, Account], verdict: Verdict, done: Outcome
    ) -> None:
        if not verdict.loose:
            if verdict.questions:
                self._require(done.questions, "nothing is asked")
                self._require(done.status in {None, 3}, "another status", done.status)
            if not verdict.stay - self._calm(before):
                self._require(not done.questions, "asked without a doubt", done.questions)
                self._require(done.status in {None, 0}, "another status", done.status)

    def _calm(self, before: Mapping[str, Account]) -> set[str]:
        """Return the accounts that stay without a word: owners, and who is suspended already."""
        return {one.user_id for one in before.values() if one.is_owner or one.is_suspended}

    def _answer(
        self, door: Command | Console, month: Month, rows: Sequence[Row], done: Outcome
    ) -> None:
        """Answer what is asked as it truly is, and see that nobody else's account opens."""
        row_of = {row.email: row for row in rows}
        renumbered = [one for one in done.questions if one.is_renumbered]
        are_same = all(self._is_true(row_of[one.email], one.user_id) for one in renumbered)
        answers: dict[str, None] = {}
        same: list[tuple[str, Row]] = []
        for one in done.questions:
            row = row_of[one.email]
            is_true = self._is_true(row, one.user_id)
            if one.is_renumbered and not are_same:
                continue
            if word := one.answers.get(is_true):
                answers[word] = None
                self._answered.append(row.values)
                if is_true and one.user_id:
                    same.append((one.user_id, row))
        if not answers:
            return
        before = self._accounts
        answered = door.month(month, list(answers))
        self._said += f"\nanswers: {list(answers)}\n{answered.text}"
        self._require(answered.status in {None, 0, 3}, "an answer is refused", answered.status)
        self._accounts = self._command.accounts()
        self._own(rows)
        self._keeps_its_people(before, rows)
        for user_id, row in same if not month.kinds else ():
            if "was the answer to another change" not in answered.text:
                self._is_corrected(before[user_id], row)
        if isinstance(door, Command):
            self._keep(answers)

    def _is_corrected(self, old: Account, row: Row) -> None:
        """Require that an account got the values of its person, if nothing else hinders it."""
        others = {one.email for one in self._accounts.values() if one.user_id != old.user_id}
        had = self._former.get(row.email, set()) - {old.user_id}
        if not (old.is_suspended or old.is_owner or row.email in others or had):
            new = self._accounts[old.user_id]
            got = (new.email, new.number if row.number else "")
            self._require(got == (row.email, row.number), "not corrected by an answer", new)

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

    def _is_true(self, row: Row, user_id: str | None) -> bool:
        return bool(user_id) and self._persons[user_id or ""] == row.person


def write_file(file: Path, rows: Sequence[Row]) -> None:
    """Write a file of everybody."""
    columns = list(rows[0].values)
    lines = [columns, *([row.values[key] for key in columns] for row in rows)]
    file.write_text("".join(";".join(line) + "\n" for line in lines), encoding="utf-8")
