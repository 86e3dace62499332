"""Files with personnel numbers: `verify` and `sync` find people whose emails have changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands.running import CommandResult, RunAnyscale

HEADER = "Personalnr;Vorname;Nachname;E-Mail\n"
STAFF = """\
1;Jane;Doe;jane@example.com
2;Bob;Roe;bob@example.com
3;Cy;Poe;cy@example.com
4;Dee;Zoe;dee@example.com
"""

Run = Callable[..., CommandResult]


@pytest.fixture
def run(control_plane: str, anyscale: RunAnyscale, tmp_path: Path) -> Run:
    """Runs a command with a file of some rows; there are accounts for `STAFF`."""

    def with_rows(rows: str, *arguments: str) -> CommandResult:
        file = tmp_path / "staff.csv"
        file.write_text(HEADER + rows, encoding="utf-8")
        return anyscale("user", *[str(file) if one == "FILE" else one for one in arguments])

    created = with_rows(STAFF, "batch-create", "-f", "FILE")
    assert created.returncode == 0, created.stderr
    return with_rows


def accounts(anyscale: RunAnyscale) -> dict[str, dict[str, Any]]:
    """The accounts by their ids."""
    listed = json.loads(anyscale("user", "list", "-o", "json").stdout)
    return {one["user_id"]: one for one in listed}


def emails(anyscale: RunAnyscale) -> dict[str | None, str]:
    """The emails by personnel number."""
    return {one["external_id"]: one["email"] for one in accounts(anyscale).values()}


def differences(result: CommandResult) -> list[tuple[Any, ...]]:
    found = json.loads(result.stdout)["differences"]
    fields = ("index", "kind", "field", "file", "account")
    return [tuple(one[field] for field in fields) for one in found]


def test_a_changed_email_is_a_difference_and_is_corrected_in_the_same_account(
    run: Run, anyscale: RunAnyscale
) -> None:
    before = accounts(anyscale)
    married = STAFF.replace("1;Jane;Doe;jane@", "1;Jane;Miller;jane.miller@")
    found = run(married, "verify", "-f", "FILE", "-o", "json")
    assert (found.returncode, differences(found)) == (
        1,
        [
            (0, "different", "email", "jane.miller@example.com", "jane@example.com"),
            (0, "different", "lastname", "Miller", "Doe"),
        ],
    )
    taken = run(married, "batch-create", "-f", "FILE")
    assert (taken.returncode, "'1' has an account already" in taken.stderr) == (1, True)
    missing = run(married, "sync", "-f", "FILE", "--suspend-missing", "--yes")
    assert (missing.returncode, "nothing to do" in missing.stderr) == (0, True)

    corrected = run(married, "sync", "-f", "FILE", "--correct", "--yes")
    assert (corrected.returncode, "1 corrected." in corrected.stderr) == (0, True), corrected
    (jane,) = [one for one in accounts(anyscale).values() if one["external_id"] == "1"]
    changed = {"email": "jane.miller@example.com", "lastname": "Miller"}
    assert jane == before[jane["user_id"]] | changed
    assert run(married, "verify", "-f", "FILE").returncode == 0
    skipped = run(married, "batch-create", "-f", "FILE", "--if-exists", "skip")
    assert "0 users created." in skipped.stderr


def test_people_who_pass_their_emails_on_are_corrected_together(
    run: Run, anyscale: RunAnyscale
) -> None:
    before = {one["external_id"]: one["user_id"] for one in accounts(anyscale).values()}
    # 1 and 2 swap; 3 gets the email of 4, who gets a new one; and a newcomer has that of nobody.
    rows = """\
1;Jane;Doe;bob@example.com
2;Bob;Roe;jane@example.com
3;Cy;Poe;dee@example.com
4;Dee;Zoe;dee.zoe@example.com
5;Eve;Noe;eve@example.com
"""
    corrected = run(rows, "sync", "-f", "FILE", "--correct", "--yes")
    assert (corrected.returncode, "4 corrected." in corrected.stderr) == (0, True), corrected
    assert emails(anyscale) == {
        "1": "bob@example.com",
        "2": "jane@example.com",
        "3": "dee@example.com",
        "4": "dee.zoe@example.com",
    }
    assert {one["external_id"]: one["user_id"] for one in accounts(anyscale).values()} == before
    again = run(rows, "verify", "-f", "FILE", "-o", "json")
    assert differences(again) == [(4, "missing", None, None, None)]


def test_a_sync_changes_emails_and_suspends_nobody_who_married(
    run: Run, anyscale: RunAnyscale
) -> None:
    rows = STAFF.replace("jane@", "bob@", 1).replace("Roe;bob@", "Roe;jane@")
    rows = rows.replace("3;Cy;Poe;cy@", "3;Cy;Doe;cy.doe@").replace("4;Dee", "44;Kim")
    rows = rows.replace("dee@", "kim@").replace("Zoe", "Lee")
    done = run(rows, "sync", "-f", "FILE", "--yes")
    assert done.returncode == 0, done.stderr
    assert "1 created, 3 corrected, 1 suspended." in done.stderr
    assert emails(anyscale) == {
        "1": "bob@example.com",
        "2": "jane@example.com",
        "3": "cy.doe@example.com",
        "4": "dee@example.com",
        "44": "kim@example.com",
    }
    again = run(rows, "sync", "-f", "FILE", "--yes", "-q")
    assert (again.returncode, again.stdout + again.stderr) == (0, "")


@pytest.mark.parametrize(
    ("command", "listed", "status"),
    [
        (["verify", "-f"], "differences", 1),
        (["sync", "--yes", "-f"], "questions", 3),
        (["sync", "--suspend-missing", "--yes", "-f"], "questions", 3),
    ],
)
def test_a_number_and_an_email_of_two_accounts_are_a_question(
    command: list[str], listed: str, status: int, run: Run, anyscale: RunAnyscale
) -> None:
    rows = STAFF.replace("2;Bob;Roe;bob@example.com\n", "").replace("jane@", "bob@")
    done = run(rows, *command, "FILE", "-o", "json")
    assert done.returncode == status
    (question,) = json.loads(done.stdout)[listed]
    assert (question["index"], question["line"], question["column"]) == (0, 2, 12)
    assert question["kind"] in ("question", "two_accounts")
    assert question["reason"].startswith(
        "'1' is the external_id of Jane Doe (jane@example.com), and 'bob@example.com' is the "
        "email of Bob Roe (bob@example.com)"
    )
    assert not [one for one in accounts(anyscale).values() if one["suspended_at"]]


def test_a_number_that_was_given_again_does_not_open_the_account_of_who_left(
    run: Run, anyscale: RunAnyscale
) -> None:
    newcomer = STAFF.replace("1;Jane;Doe;jane@", "1;Kim;Lee;kim@")
    compared = run(newcomer, "verify", "-f", "FILE")
    assert compared.returncode == 1, compared.stderr
    assert (
        "staff.csv:2:11: '1' is the external_id of Jane Doe (jane@example.com), and neither the "
        "email nor a name is the same"
    ) in compared.stdout
    synced = run(newcomer, "sync", "--yes", "-f", "FILE")
    assert synced.returncode == 3, synced.stderr
    assert "--same-person=1" in synced.stderr
    assert not [one for one in accounts(anyscale).values() if one["suspended_at"]]
    # Of a leaver who is suspended, not even the name of a namesake opens the account.
    assert anyscale("user", "suspend", "jane@example.com").returncode == 0
    namesake = STAFF.replace("jane@", "jane.doe@")
    assert run(namesake, "sync", "--yes", "-f", "FILE").returncode == 0
    assert emails(anyscale)["1"] == "jane@example.com"

    same = run(namesake, "verify", "-f", "FILE", "--same-person", "1", "-o", "json")
    assert differences(same) == [
        (0, "different", "email", "jane.doe@example.com", "jane@example.com"),
        (0, "suspended", None, None, None),
    ]


def test_no_file_changes_the_email_the_number_or_the_sso_of_an_owner(
    run: Run, anyscale: RunAnyscale
) -> None:
    assert anyscale("user", "set-role", "jane@example.com", "owner").returncode == 0
    for row in ("1;Jane;Roe;evil@", "9;Jane;Doe;jane@"):
        rows = STAFF.replace("1;Jane;Doe;jane@", row)
        listed = run(rows, "verify", "-f", "FILE")
        assert listed.returncode == 1
        assert "which no file changes since it is an owner's" in listed.stdout
        done = run(rows, "sync", "-f", "FILE", "--correct", "--yes")
        assert (done.returncode, "nothing to do" in done.stderr) == (0, True), done.stderr
        assert emails(anyscale)["1"] == "jane@example.com"


def test_a_number_that_a_file_adds_or_changes_is_a_difference(
    run: Run, anyscale: RunAnyscale
) -> None:
    rows = STAFF.replace("1;Jane", "101;Jane").replace("2;Bob", ";Bob")
    found = run(rows, "verify", "-f", "FILE", "-o", "json")
    assert differences(found) == [
        (0, "question", None, None, None),
        (1, "different", "external_id", None, "2"),
    ]
    assert run(rows, "sync", "-f", "FILE", "--yes", "--renumbered", "1").returncode == 0
    assert emails(anyscale)["101"] == "jane@example.com"
    back = run(STAFF, "sync", "-f", "FILE", "--yes", "--same-person", "1")
    assert back.returncode == 0, back.stderr
    assert run(STAFF, "sync", "-f", "FILE", "--correct", "--yes").returncode == 0
    assert set(emails(anyscale)) == {"1", "2", "3", "4"}


def test_an_email_that_cannot_be_given_leaves_the_other_corrections(
    run: Run, anyscale: RunAnyscale
) -> None:
    # The email was cy's a moment ago: applications may still know cy by it.
    assert anyscale("user", "update", "cy@example.com", "--email", "cy.poe@b.io").returncode == 0
    rows = STAFF.replace("3;Cy;Poe;cy@example.com", "3;Cy;Poe;cy.poe@b.io")
    rows = rows.replace("1;Jane;Doe;jane@", "1;Jane;Doe;cy@").replace("bob@", "rob@")
    done = run(rows, "sync", "-f", "FILE", "--correct", "--yes")
    assert (done.returncode, "1 corrected." in done.stderr) == (3, True), done.stderr
    assert "jane@example.com (Jane Doe, " in done.stdout
    assert "'cy@example.com' was the email of another account" in done.stdout
    assert emails(anyscale)["1"] == "jane@example.com"
    assert emails(anyscale)["2"] == "rob@example.com"
