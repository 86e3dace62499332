"""`anyscale audit list`: the order of its entries, and how many there are."""

import json
import re
from datetime import datetime, timedelta

import pytest
from tests.support.commands.running import RunAnyscale

USER = "create_users: [{name: Jane, email: jane@example.com}]"


def list_numbers(anyscale: RunAnyscale, *options: str) -> list[int]:
    done = anyscale("audit", "list", *options, "-o", "json")
    assert done.returncode == 0, done.stderr
    return [entry["number"] for entry in json.loads(done.stdout)]


@pytest.mark.usefixtures("control_plane")
def test_the_audit_log_is_listed_in_order_or_the_newest_first(anyscale: RunAnyscale) -> None:
    anyscale("user", "batch-create", "-f", "-", stdin=USER)
    for command in ("suspend", "restore"):
        assert anyscale("user", command, "jane@example.com").returncode == 0

    first, *others = list_numbers(anyscale)
    newest = list_numbers(anyscale, "--newest-first")
    assert [first, *others] == sorted([first, *others])
    assert newest == [*reversed(others), first]
    assert list_numbers(anyscale, "--newest-first", "--max-items", "2") == newest[:2]
    assert list_numbers(anyscale, "--newest-first", "--after", str(first)) == newest[:-1]
    assert list_numbers(anyscale, "--max-items", "1") == [first]
    head, entry = anyscale(
        "audit", "list", "--newest-first", "--max-items", "1"
    ).stdout.splitlines()
    assert "account.restored" in entry
    assert re.split("  +", head)[:3] == ["NUMBER", "TIME (UTC)", "ACTOR"]


@pytest.mark.usefixtures("control_plane")
def test_the_audit_log_is_listed_by_actor_event_and_subject(anyscale: RunAnyscale) -> None:
    anyscale("user", "batch-create", "-f", "-", stdin=USER)
    for command in ("suspend", "restore"):
        assert anyscale("user", command, "jane@example.com").returncode == 0
    entries = json.loads(anyscale("audit", "list", "-o", "json").stdout)
    suspended = next(entry for entry in entries if entry["event"] == "account.suspended")
    number = suspended["number"]
    assert list_numbers(anyscale, "--event", "account.suspended") == [number]
    subject = ["--subject", suspended["subject"], "--newest-first"]
    assert list_numbers(anyscale, *subject) == [number + 1, number]
    assert list_numbers(anyscale, *subject, "--actor", suspended["actor"], "--after", f"{number}")
    for options in (("--actor", "token:nobody"), ("--event", "account.deleted")):
        assert list_numbers(anyscale, *options) == []
        empty = anyscale("audit", "list", *options)
        assert (empty.returncode, empty.stderr) == (0, "No entry matches.\n")
    assert list_numbers(anyscale, "--subject", "Jane@example.com", "--newest-first") == [
        number + 1,
        number,
    ]
    for option, text, message in (
        ("--actor", "nobody@example.com", "no account nobody@example.com"),
        ("--event", "account.suspend", "no event account.suspend: did you mean account.suspended"),
        ("--event", "foo", "no event foo; there are access.denied, account.created, "),
    ):
        refused = anyscale("audit", "list", option, text, "-o", "json")
        assert (refused.returncode, message in refused.stderr) == (1, True)
    married = ("user", "update", "jane@example.com", "--email", "jane.roe@example.com")
    assert anyscale(*married).returncode == 0
    for email in ("jane@example.com", "jane.roe@example.com"):
        assert list_numbers(anyscale, "--subject", email)[:2] == [number, number + 1]


@pytest.mark.usefixtures("control_plane")
def test_the_audit_log_is_listed_by_account_and_period(anyscale: RunAnyscale) -> None:
    anyscale("user", "batch-create", "-f", "-", stdin=USER)
    assert anyscale("user", "suspend", "jane@example.com").returncode == 0
    entries = json.loads(anyscale("audit", "list", "-o", "json").stdout)
    numbers = {entry["event"]: entry["number"] for entry in entries}
    of_jane = [numbers["batch.published"], numbers["account.suspended"]]
    assert list_numbers(anyscale, "--account", "Jane@example.com") == of_jane

    every = [entry["number"] for entry in entries]
    last = datetime.fromisoformat(entries[-1]["time"])
    day, later = ((last + timedelta(seconds=seconds)).astimezone() for seconds in (0, 1))
    today = f"{day:%Y-%m-%d}"
    assert list_numbers(anyscale, "--from", today, "--until", today) == every
    assert list_numbers(anyscale, "--until", f"{later:%Y-%m-%dT%H:%M:%S%z}") == every
    assert list_numbers(anyscale, "--from", f"{later:%Y-%m-%dT%H:%M:%S}") == []
    assert list_numbers(anyscale, "--until", "2020-01-01") == []

    for options, problem in {
        ("--from", "1 Oct"): "'1 Oct' is not a date such as 2026-10-01",
        ("--from", "2026-11-01", "--until", "2026-10-01"): "--until is not after --from",
    }.items():
        refused = anyscale("audit", "list", *options)
        assert refused.returncode
        assert problem in refused.stderr
