"""The ways to apply a month: the command, embedded or over HTTP, and the console."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.resilience.months.who_is_who import Account
from tests.server.http.console.test_batches import words
from tests.server.http.console.test_syncs import check, confirm
from tests.server.http.pages.requests import get
from tests.support.commands.command_process import CommandResult
from tests.support.commands.running import run_command
from tests.support.servers.http_client import HttpClient, HttpResponse

_LIMITS = ("--at-most-correct=99", "--at-most-suspend=99")


@dataclass(frozen=True)
class Month:
    """A file, and what is chosen for it."""

    file: Path
    kinds: Sequence[str] = ()
    restores: bool = False


@dataclass(frozen=True)
class Question:
    """A question that a month leaves open; `answers` are the ways to answer it, by door."""

    email: str
    user_id: str | None
    is_renumbered: bool
    answers: Mapping[bool, str]


@dataclass
class Outcome:
    """What a door said: `status` is None in the console, unless the file was refused."""

    status: int | None
    text: str
    questions: list[Question] = field(default_factory=list)


class Command:
    """`anyscale user sync`."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment = environment
        self._folder = folder

    def run(self, *arguments: str | Path) -> CommandResult:
        return run_command(arguments, self._environment, folder=self._folder)

    def accounts(self) -> dict[str, Account]:
        listed = self.run("user", "list", "-o", "jsonl")
        assert listed.returncode == 0, listed.stderr
        return {
            one["user_id"]: _account(one) for one in map(json.loads, listed.stdout.splitlines())
        }

    def month(self, month: Month, answers: Sequence[str] = ()) -> Outcome:
        """Do a month, after a dry run that has to say the same."""
        arguments = ["user", "sync", "-f", str(month.file), *_LIMITS, *month.kinds, *answers]
        if month.restores:
            arguments.append("--restore")
        planned = self.run(*arguments, "--dry-run", "-o", "json")
        done = self.run(*arguments, "--yes", "-o", "json")
        assert (done.returncode == 2) == (planned.returncode == 2), (planned, done)
        if done.returncode != 0 and not done.stdout.startswith('{\n  "checked"'):
            return Outcome(done.returncode, done.stdout + done.stderr)
        plan, result = json.loads(planned.stdout), json.loads(done.stdout)
        counts = result.pop("done") or {}
        assert plan.pop("done") is None
        if result["stops"]:
            questions = _questions(result, done.stderr, answers)
            return Outcome(done.returncode, f"{result['stops']} {done.stderr}", questions)
        assert plan == result, "the dry run says something else"
        for kind, name in _DONE.items():
            assert counts.get(name, 0) == len(result[kind]), (kind, counts, done.stderr)
        said = "\n".join(
            f"{one['kind']} {one['email']} {one['name']}: {one['reason']}"
            for kind in (*_DONE, "left", "blocked", "questions")
            for one in result[kind]
        )
        return Outcome(
            done.returncode, f"{said}\n{done.stderr}", _questions(result, done.stderr, answers)
        )


#: the words that give a count, and the field of the page that does
_COUNT = ("--renumbered", "renumbered_count")

_DONE = {"create": "created", "correct": "corrected", "suspend": "suspended", "restore": "restored"}


def _account(one: Mapping[str, Any]) -> Account:
    return Account(
        one["user_id"],
        one["email"],
        one["name"] or "",
        one["lastname"] or "",
        one["external_id"] or "",
        one["permission_level"] == "owner",
        one["suspended_at"] is not None,
        bool(one["suspended_by_sync"]),
    )


def _questions(result: Mapping[str, Any], log: str, given: Iterable[str]) -> list[Question]:
    """Read the questions, each with the words that the command shown for it adds to those given."""
    lines = [line for line in log.splitlines() if line.startswith("  anyscale user sync ")]
    shown = {
        word
        for line in lines
        for word in shlex.split(line)
        if word.startswith(("--same", "--they", "--renu"))
    } - set(given)
    found = []
    count = sum(one["kind"] == "renumbered" for one in result["questions"])
    for one in result["questions"]:
        words = {True: f"--same-person={one['number'] or one['email']}"}
        words[False] = f"--they-differ={one['email']}"
        answers = {key: word for key, word in words.items() if word in shown}
        # Words that were the answer to another change are not shown: each is answered by itself.
        is_renumbered = one["kind"] == "renumbered" and f"--renumbered={count}" in shown
        if is_renumbered:
            answers = {True: f"--renumbered={count}"}
        assert answers or one["kind"] == "two_accounts" or " user update " in log, log
        found.append(Question(one["email"], one["user_id"], is_renumbered, answers))
    return found


class Console:
    """`/console/sync`, in the browser of an owner."""

    def __init__(self, browser: HttpClient) -> None:
        self._browser = browser

    def month(self, month: Month, answers: Sequence[str] = ()) -> Outcome:
        """Check a file, and confirm its plan."""
        data = month.file.read_bytes()
        fields = dict(answer.replace(*_COUNT).split("=") for answer in answers)
        page = check(self._browser, data, **fields)
        if page.status != 200:
            return Outcome(2, words(page))
        questions = _asked(page)
        if month.restores:
            fields["restore"] = "yes"
        done = confirm(self._browser, page, data, **fields)
        if done.status != 303:
            text = words(done)
            assert "Nothing is chosen" in text or "nothing to do" in text, text
            return Outcome(None, text, questions)
        return Outcome(None, words(get(self._browser, done.headers["location"])), questions)


def _asked(page: HttpResponse) -> list[Question]:
    found = []
    count = re.search(r'"renumbered_count"', page.text)
    rows = re.findall(
        r'<tr role="row">.*?</tr>', page.text.partition('id="questions"')[2], re.DOTALL
    )
    for row in rows:
        if 'data-label="Answer"' not in row:
            continue
        bdi = re.findall(r"<bdi[^>]*>([^<]*)</bdi>", row.partition("</th>")[0])
        user = re.search(r'href="/console/users/(\w+)"', row)
        name = re.search(r'<select id="(answer-\w+)"', row)
        email = next(text for text in bdi if "@" in text)
        values = re.findall(r'<option value="(\w+)"', row)
        answers = {value == "same": f"{name[1]}={value}" for value in values} if name else {}
        is_renumbered = bool(count and not name)
        found.append(Question(email, user[1] if user else None, is_renumbered, answers))
    total = sum(one.is_renumbered for one in found)
    return [
        Question(one.email, one.user_id, True, {True: f"--renumbered={total}"})
        if one.is_renumbered
        else one
        for one in found
    ]
