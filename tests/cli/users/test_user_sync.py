"""`anyscale user sync`: a plan, a question, what is done, and what stops it."""

import json
import os
import re
import shlex
import signal
import threading
from contextlib import closing
from pathlib import Path
from socket import socket
from sqlite3 import connect
from typing import Any

import pytest
from tests.support.commands.running import CommandResult, RunAnyscale, run_command, start_command
from tests.support.commands.terminal import on_a_terminal
from tests.support.databases.empty_sqlite import place_file
from tests.support.faults.faulty_proxy import Fault, FaultyProxy, lose_at
from tests.support.servers.server_process import ServerProcess
from tests.support.users import checked_users

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import system_caller
from anyscale.server.settings import Settings

QUESTION = b"Type yes to continue:"
HEADER = "email,name,lastname,title\n"
STAFF = (
    *("boss@example.com,Boss,Berg,", "jane@example.com,Jane,Doe,"),
    *("zoe@example.com,Zoë,Roe,", "ann@example.com,Ann,Lee,"),
)


def csv(folder: Path, *lines: str, end: str = "\n") -> Path:
    file = folder / "staff.csv"
    file.write_text(HEADER + "\n".join(lines) + end, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def staff(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a database that has the staff, the first one an owner."""
    folder = tmp_path_factory.mktemp("staff")
    environment = os.environ | {"ANYSCALE_HOST": "embedded", "ANYSCALE_DATA_DIR": str(folder)}
    sync = ("user", "sync", "-f", csv(folder, *STAFF), "--yes")
    done = run_command(sync, environment, folder=folder)
    assert done.returncode == 0, done.stderr
    assert "4 created." in done.stderr
    promote = ("user", "set-role", "boss@example.com", "owner")
    assert run_command(promote, environment, folder=folder).returncode == 0
    return (folder / "anyscale.db").read_bytes()


@pytest.fixture(autouse=True)
def _people(staff: bytes, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSCALE_HOST", "embedded")
    place_file(data / "anyscale.db", staff)


def accounts(anyscale: RunAnyscale) -> dict[str, dict[str, Any]]:
    listed = json.loads(anyscale("user", "list", "-o", "json").stdout)
    return {user["email"]: user for user in listed}


def suspended(anyscale: RunAnyscale) -> set[str]:
    return {email for email, user in accounts(anyscale).items() if user["suspended_at"]}


def steps(done: CommandResult) -> list[str]:
    """Return the lines of a plan without their places and ids."""
    lines = [line.rpartition("staff.csv:")[2] for line in done.stdout.splitlines()]
    return [" ".join(line.lstrip("0123456789: ").split(" ")[:2]) for line in lines]


def test_a_month_is_planned_shown_and_done_and_the_next_night_is_silent(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    month = [
        *("boss@example.com,Boss,Berg,Direktorin", "JANE@example.com,Jane,Miller,"),
        *("ann@example.com,Ann,Lee,", "ben@example.com,Ben,Bo,Chef"),
    ]
    file = csv(tmp_path, *month)
    before = accounts(anyscale)
    dry = anyscale("user", "sync", "-f", file, "--dry-run")
    assert (dry.returncode, accounts(anyscale)) == (0, before)
    assert steps(dry) == [
        "create ben@example.com",
        "correct jane@example.com",
        "suspend zoe@example.com",
        "leave boss@example.com",
    ]
    assert f"{file}:5:1: create ben@example.com (Ben Bo): no account has this email" in dry.stdout
    assert "lastname: 'Doe' -> 'Miller'" in dry.stdout
    assert "it is an owner's, which no file changes: title: empty -> 'Direktorin'" in dry.stdout
    summary = "4 users checked: 1 to create, 1 to correct, 1 to suspend. 1 left as it is."
    assert summary in dry.stderr

    done = anyscale("user", "sync", "-f", file, "--yes", "-q")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3), done.stderr
    assert "1 created, 1 corrected, 1 suspended." in done.stderr
    listed = json.loads(anyscale("batch", "list", "-o", "json").stdout)
    assert listed[0]["label"] == file.name
    after = accounts(anyscale)
    assert after["boss@example.com"] == before["boss@example.com"]
    assert (after["jane@example.com"]["lastname"], after["ben@example.com"]["title"]) == (
        *("Miller", "Chef"),
    )
    assert after["zoe@example.com"]["suspended_by_sync"] is True
    quiet = anyscale("user", "sync", "-f", file, "--yes", "-q")
    assert (quiet.returncode, quiet.stdout + quiet.stderr) == (0, "")


def test_a_kind_that_is_named_is_the_only_one(anyscale: RunAnyscale, tmp_path: Path) -> None:
    file = csv(tmp_path, STAFF[0], STAFF[2].replace("Roe", "Rot"), "new@example.com,New,New,")
    for option, kind in (
        ("--create", "create new@example.com"),
        ("--correct", "correct zoe@example.com"),
        ("--suspend-missing", "suspend jane@example.com"),
    ):
        assert steps(anyscale("user", "sync", "-f", file, option, "--dry-run"))[0] == kind


def test_somebody_else_may_answer_and_edit_during_the_question(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, STAFF[0], "jane@example.com,Jane,Miller,", "new@example.com,New,New,")
    command = ["user", "sync", "-f", str(file)]
    refused = anyscale(*command)
    assert (refused.returncode, "use --yes to continue; nothing" in refused.stderr) == (2, True)
    status, shown = on_a_terminal(*command, typed=b"no\n", when=QUESTION)
    assert (status, "This changes 4 accounts." in shown) == (2, True)
    assert len(accounts(anyscale)) == 4

    def edit() -> None:
        anyscale("user", "update", "jane@example.com", "--lastname", "Mill")
        anyscale("user", "update", "ann@example.com", "--email", "ann.lee@example.com")
        anyscale("user", "set-role", "zoe@example.com", "owner")
        anyscale("user", "batch-create", "-f", csv(tmp_path, "new@example.com,N,N,"))
        csv(tmp_path, STAFF[0], "jane@example.com,Jane,Miller,", "new@example.com,New,New,")

    status, shown = on_a_terminal(*command, typed=b"yes\n", when=QUESTION, before=edit)
    assert status == 3, shown
    for line in (
        "jane@example.com: somebody has edited the account since: another lastname was expected",
        "ann@example.com: somebody has edited the account since: another email was expected",
        "zoe@example.com: the account is an owner's",
        "new@example.com: it has an account by now",
        "4 accounts are not up to date: look at the reasons above, correct what they name, and run",
    ):
        assert line in shown
    now = accounts(anyscale)
    assert now["jane@example.com"]["lastname"] == "Mill"
    assert suspended(anyscale) == set()


@pytest.mark.parametrize(
    ("lines", "options", "reason"),
    [
        (STAFF[:2], ["--at-most-suspend", "1"], "2 to suspend, and `--at-most-suspend` is 1"),
        (
            [f"{line}Boss" for line in STAFF],
            ["--at-most-correct", "2"],
            "3 to correct, and `--at-most-correct` is 2",
        ),
        (
            [*STAFF, "a@b.org,A,A,", "c@b.org,C,C,"],
            ["--at-most-create", "1"],
            "2 to create, and `--at-most-create` is 1",
        ),
        ([], [], "there are no users: every account would be suspended"),
    ],
)
def test_a_limit_stops_it_before_anything_is_changed(
    anyscale: RunAnyscale, tmp_path: Path, lines: list[str], options: list[str], reason: str
) -> None:
    before = accounts(anyscale)
    file = csv(tmp_path, *lines)
    done = anyscale("user", "sync", "-f", file, "--yes", "-q", "-o", "json", *options)
    assert (done.returncode, accounts(anyscale)) == (1, before), done.stderr
    document = json.loads(done.stdout)
    assert (document["stops"], document["done"]) == ([reason], None)
    text = anyscale("user", "sync", "-f", file, "--yes", *options)
    assert (text.returncode, f"error: {reason}" in text.stderr) == (1, True)


def test_an_email_that_is_cut_off_suspends_nobody_and_creates_nobody(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    before = accounts(anyscale)
    cut = ["ann@example.co,ann,LEE,", *STAFF[:3]]
    command = ["user", "sync", "-f", csv(tmp_path, *cut), "--yes"]
    for kind in ([], ["--create"], ["--suspend-missing"]):
        done = anyscale(*command, *kind)
        assert (done.returncode, accounts(anyscale)) == (3, before), done.stderr
        assert "ann LEE (ann@example.com), who has the same name" in done.stdout.replace(
            "Ann Lee", "ann LEE"
        )
        assert "--they-differ=ann@example.co" in done.stderr
    assert anyscale(*command, "--they-differ", "ann@example.co").returncode == 0
    assert suspended(anyscale) == {"ann@example.com"}


def test_an_email_that_has_changed_is_corrected_by_the_suggested_command(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    changed = ["ann.roe@example.com,ann,LEE,", *STAFF[:3]]
    command = ["user", "sync", "-f", csv(tmp_path, *changed), "--yes"]
    (suggested,) = re.findall(
        r"^  anyscale (user update .+)$", anyscale(*command).stderr, re.MULTILINE
    )
    assert anyscale(*suggested.split()).returncode == 0
    assert anyscale(*command).returncode == 0
    assert "ann.roe@example.com" in accounts(anyscale)
    assert suspended(anyscale) == set()


def test_a_file_whose_last_line_has_no_end_changes_nothing_unless_that_is_said(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, *STAFF[:3], end="")
    done = anyscale("user", "sync", "-f", file, "--yes")
    assert (done.returncode, "it may be cut off" in done.stderr) == (2, True)
    assert "Export it again, from Google Sheets as .xlsx, or use --unterminated" in done.stderr
    assert suspended(anyscale) == set()
    assert anyscale("user", "sync", "-f", file, "--yes", "--unterminated").returncode == 0
    assert suspended(anyscale) == {"ann@example.com"}


def test_a_wrong_file_changes_nothing(anyscale: RunAnyscale, tmp_path: Path) -> None:
    before = accounts(anyscale)
    done = anyscale("user", "sync", "-f", csv(tmp_path, "jane,Jane,,"), "--yes", "-o", "json")
    assert (done.returncode, accounts(anyscale)) == (2, before)
    (problem,) = json.loads(done.stdout)["problems"]
    assert (problem["code"], problem["line"]) == ("email_invalid", 2)
    assert "1 problem; nothing was changed." in done.stderr


def test_only_those_whom_a_sync_suspended_are_restored(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    assert anyscale("user", "suspend", "zoe@example.com").returncode == 0
    file = csv(tmp_path, STAFF[0], STAFF[2])
    assert anyscale("user", "sync", "-f", file, "--yes").returncode == 0
    assert suspended(anyscale) == {"jane@example.com", "ann@example.com", "zoe@example.com"}
    leavers = tmp_path / "leavers.csv"
    leavers.write_text("email\nann@example.com\n")
    assert anyscale("user", "suspend", "-f", leavers, "--yes").returncode == 0

    file = csv(tmp_path, *STAFF)
    without = anyscale("user", "sync", "-f", file, "--yes")
    assert (without.returncode, "`--restore` restores it" in without.stdout) == (0, True)
    done = anyscale("user", "sync", "-f", file, "--yes", "--restore")
    assert (done.returncode, "1 restored." in done.stderr) == (0, True)
    assert done.stdout.count("it was suspended manually, and stays suspended") == 2
    assert suspended(anyscale) == {"ann@example.com", "zoe@example.com"}


def test_an_email_of_a_person_who_left_does_not_open_the_account_for_another(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    anyscale("user", "sync", "-f", csv(tmp_path, *STAFF[:3]), "--yes")
    file = csv(tmp_path, *STAFF[:3], "ann@example.com,Cid,Moe,")
    for _ in range(2):
        done = anyscale("user", "sync", "-f", file, "--yes", "--restore")
        assert done.returncode == 3
        assert "a sync suspended the account of Ann Lee (ann@example.com)" in done.stdout
    ann = accounts(anyscale)["ann@example.com"]
    assert (ann["name"], bool(ann["suspended_at"])) == ("Ann", True)


def test_an_email_that_another_account_had_is_left_and_named(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    new = ["user", "update", "ann@example.com", "--email", "ann.lee@example.com"]
    assert anyscale(*new).returncode == 0
    file = csv(
        tmp_path,
        *STAFF[:3],
        *("ann.lee@example.com,Ann,Lee,", "ann@example.com,Anna,Moe,", "new@example.com,N,N,"),
    )
    done = anyscale("user", "sync", "-f", file, "--yes", "-q")
    assert done.returncode == 3, done.stderr
    assert done.stderr.splitlines()[-1].startswith("1 account is not up to date: look at the ")
    assert "leave ann@example.com (Anna Moe): 'ann@example.com' was the email of" in done.stdout
    assert "new@example.com" in accounts(anyscale)
    again = anyscale("user", "sync", "-f", file, "--yes", "-q")
    assert (again.returncode, "ann@example.com" in again.stdout) == (3, True)


def test_an_open_batch_that_has_an_email_of_the_file_is_named_with_the_command_that_drops_it(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    # As after a sync of more than 1,000 new users that was killed, and another file since.
    control_plane = ControlPlane(Settings.from_environment(os.environ, served=False))
    caller = system_caller()
    batch_id = control_plane.batches.open(caller, "sync-other", "skip").batch_id
    control_plane.batches.reserve(caller, batch_id, 0, checked_users("new"))
    control_plane.close()
    command = ("user", "sync", "-f", csv(tmp_path, *STAFF, "new@example.com,New,New,"), "--yes")
    drop = ("anyscale", "batch", "drop", batch_id)

    left = anyscale(*command, "--quiet")

    assert (left.returncode, f"unfinished batch {batch_id}" in left.stdout) == (3, True)
    assert f"run that file again, or drop it by `{' '.join(drop)}`." in left.stderr
    assert anyscale(*drop[1:], "--yes").returncode == 0
    done = anyscale(*command, "--quiet")
    assert (done.returncode, "1 created." in done.stderr) == (0, True), done.stderr


def test_a_file_that_is_older_than_a_changed_email_does_not_suspend_its_account(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    married = ("--email", "jane.roe@example.com", "--lastname", "Roe")
    assert anyscale("user", "update", "jane@example.com", *married).returncode == 0
    left = "leave jane.roe@example.com (Jane Roe, "
    reason = "): its email was changed, and the file has the former one"
    file = csv(tmp_path, *STAFF[:3])
    done = anyscale("user", "sync", "-f", file, "--yes")
    assert (done.returncode, left in done.stdout, reason in done.stdout) == (3, True, True)
    same = "Jane Roe had this email, and has jane.roe@example.com now: if it is the same person"
    assert (same in done.stdout, "--reuse-email" in done.stdout) == (True, False)
    emails = tmp_path / "emails.csv"
    emails.write_text("email\nboss@example.com\nJANE@example.com\nzoe@example.com\n")
    done = anyscale("user", "sync", "-f", emails, "--suspend-missing", "--yes")
    assert left in done.stdout, done.stderr
    assert suspended(anyscale) == {"ann@example.com"}


def test_the_same_command_continues_after_a_failure(
    anyscale: RunAnyscale, server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
    monkeypatch.setenv("ANYSCALE_HOST", server.url)
    old = csv(tmp_path, *(f"s{at}@example.com,S{at},Old," for at in range(6)))
    assert anyscale("user", "sync", "-f", old, "--yes").returncode == 0
    lines = [f"s{at}@example.com,S{at},New," for at in range(3)]
    file = csv(tmp_path, *lines, "new@example.com,New,New,")
    command = ["user", "sync", "-f", str(file), "--yes"]
    for number, (call, done) in enumerate(
        {
            "PATCH": "1 corrected",
            "/suspend": "1 corrected, 1 suspended",
            "users:batchCreate": "1 suspended",
        }.items()
    ):
        calls: list[str] = []

        def plan(line: str, call: str = call, calls: list[str] = calls) -> Fault | None:
            calls.append(line)
            number = 1 if "Create" in call else 2
            return refuse if sum(call in one for one in calls) == number else None

        def refuse(client: socket, _: bytes) -> bool:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return False

        with FaultyProxy([server.port], plan) as proxy:
            failed = anyscale(*command, "--host", proxy.url)
        assert failed.returncode == 3, (number, failed.stderr)
        assert f"error: {done} so far, and then: " in failed.stderr, (number, failed.stderr)
        assert "Run the same command again" in failed.stderr

    again = anyscale(*command)
    assert again.returncode == 0, again.stderr
    now = accounts(anyscale)
    assert {one["lastname"] for one in now.values() if not one["suspended_at"]} == {"New"}
    assert len(now) == 7
    quiet = anyscale(*command, "-q")
    assert (quiet.returncode, quiet.stdout + quiet.stderr) == (0, "")


@pytest.mark.parametrize(
    ("call", "done"),
    [("/suspend", "at least 1 corrected"), ("users:batchCreate", "1 corrected, 3")],
)
def test_the_same_command_continues_after_an_interrupt(
    anyscale: RunAnyscale,
    server: ServerProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    done: str,
) -> None:
    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
    monkeypatch.setenv("ANYSCALE_HOST", server.url)
    old = csv(tmp_path, *(f"s{at}@example.com,S{at},Old," for at in range(4)))
    assert anyscale("user", "sync", "-f", old, "--yes").returncode == 0
    file = csv(tmp_path, "s0@example.com,S0,New,", "new@example.com,New,New,")
    is_called, has_ended, is_done = threading.Event(), threading.Event(), threading.Event()

    def lose_late(client: socket, response: bytes) -> bool:
        is_done.set()
        return lose_at(has_ended)(client, response)

    def plan(line: str) -> Fault | None:
        if call not in line:
            return None
        is_called.set()
        return lose_late

    with FaultyProxy([server.port], plan) as proxy:
        running = start_command("user", "sync", "-f", file, "--yes", "--host", proxy.url)
        assert is_called.wait(30)
        running.send_signal(signal.SIGINT)
        stopped = running.finish(60)
        has_ended.set()
        assert is_done.wait(30)
    assert stopped.returncode == 130, stopped.stderr
    message = stopped.stderr.splitlines()[-1]
    assert message.startswith("interrupted: ")
    assert done in message
    assert message.endswith("run the same command again to continue where it stopped")

    again = anyscale("user", "sync", "-f", file, "--yes")
    assert again.returncode == 0, again.stderr
    now = accounts(anyscale)
    assert {email for email, one in now.items() if not one["suspended_at"]} == {
        *("s0@example.com", "new@example.com"),
    }
    assert now["s0@example.com"]["lastname"] == "New"
    quiet = anyscale("user", "sync", "-f", file, "--yes", "-q")
    assert (quiet.returncode, quiet.stdout + quiet.stderr) == (0, "")


def test_an_answer_holds_for_one_change_and_a_script_that_keeps_it_opens_nothing(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    def sync(*lines: str) -> CommandResult:
        file = csv(tmp_path, *STAFF[:3], *lines)
        return anyscale(
            *("user", "sync", "-f", file, "--yes", "--restore"),
            *("--same-person", "ann@example.com", "--they-differ", "bea@example.com"),
        )

    answered = sync("ann@example.com,Bea,Moe,")
    assert (answered.returncode, "1 corrected." in answered.stderr) == (0, True), answered.stderr
    again = sync("ann@example.com,Bea,Moe,")
    assert (again.returncode, "nothing to do" in again.stderr) == (0, True)
    later = sync("ann@example.com,Cleo,Poe,")
    assert later.returncode == 3
    assert "was the answer to another change, and holds only for that" in later.stdout
    assert accounts(anyscale)["ann@example.com"]["name"] == "Bea"
    # Nor does it open the account of a leaver.
    assert sync().returncode == 0
    assert sync("ann@example.com,Cleo,Poe,").returncode == 3
    assert suspended(anyscale) == {"ann@example.com"}


def test_letters_that_were_lost_are_problems_and_change_nothing(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, "boss@example.com,Boss,Berg,", "zoe@example.com,Zo?,Roe,")
    done = anyscale("user", "sync", "-f", file, "--yes", "-o", "json")
    assert done.returncode == 2
    (problem,) = json.loads(done.stdout)["problems"]
    assert (problem["line"], problem["field"], problem["code"]) == (3, "name", "damaged")
    assert "'Zo?', which is 'Zoë' of the account" in problem["detail"]
    assert anyscale("user", "verify", "-f", file).returncode == 2
    assert suspended(anyscale) == set()


def test_words_that_were_an_answer_once_are_not_shown_as_one_again(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    def sync(number: str, *options: str) -> CommandResult:
        file = tmp_path / "numbers.csv"
        file.write_text(f"email,name,lastname,number\nzoe@example.com,Zoë,Roe,{number}\n", "utf-8")
        columns = ("--column", "number=external_id", "--correct", "--at-most-suspend", "9")
        return anyscale("user", "sync", "-f", file, "--yes", *columns, *options)

    assert sync("1").returncode == 0
    asked = sync("2")
    assert "--renumbered=1" in asked.stderr
    assert sync("2", "--renumbered", "1").returncode == 0
    again = sync("3")
    assert (again.returncode, "--renumbered=1" in again.stderr) == (3, False)
    (command,) = re.findall(
        r"^  anyscale (user sync .+--same-person=3)$", again.stderr, re.MULTILINE
    )
    assert anyscale(*shlex.split(command), "--yes").returncode == 0
    assert accounts(anyscale)["zoe@example.com"]["external_id"] == "3"


def test_a_question_about_several_people_of_one_name_shows_how_to_find_them(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, "roe@example.com,Zoë,Roe,")
    assert anyscale("user", "batch-create", "-f", file).returncode == 0
    file = csv(tmp_path, *STAFF[:2], *STAFF[3:], "new@example.com,Zoë,Roe,")
    asked = anyscale("user", "sync", "-f", file, "--yes")
    assert asked.returncode == 3
    assert "2 people of the same name" in asked.stdout
    (command,) = re.findall(r"^  anyscale (user list .+)$", asked.stderr, re.MULTILINE)
    found = anyscale(*shlex.split(command)).stdout
    assert ("zoe@example.com" in found, "roe@example.com" in found) == (True, True)
    assert "--they-differ=new@example.com" in asked.stderr


def test_an_answer_that_no_step_follows_is_used_up_too(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    def sync(name: str, *kinds: str) -> CommandResult:
        file = csv(tmp_path, *STAFF[:3], f"ann@example.com,{name},")
        return anyscale(
            "user", "sync", "-f", file, "--yes", "--same-person=ann@example.com", *kinds
        )

    assert sync("Bea,Moe", "--create").returncode == 0
    assert sync("Cleo,Poe").returncode == 3
    assert accounts(anyscale)["ann@example.com"]["name"] == "Ann"


def test_a_damaged_name_passes_if_the_account_has_it_already(
    anyscale: RunAnyscale, data: Path, tmp_path: Path
) -> None:
    with closing(connect(data / "anyscale.db")) as database, database:  # it is older than the check
        database.execute("UPDATE users SET name = 'J\ufffdrg' WHERE email = 'ann@example.com'")
    rest = [line for line in STAFF if "ann@" not in line]
    file = csv(tmp_path, *rest, "ann@example.com,J\ufffdrg,Moe,")
    assert anyscale("user", "verify", "-f", file).returncode == 1
    done = anyscale("user", "sync", "-f", file, "--yes")
    assert (done.returncode, "1 corrected." in done.stderr) == (0, True), done.stderr
    file = csv(tmp_path, *rest, "ann@example.com,Jörg,Moe,")
    assert anyscale("user", "sync", "-f", file, "--yes").returncode == 0
    assert accounts(anyscale)["ann@example.com"]["name"] == "Jörg"
    for line in ("new@example.com,J\ufffdrg,Moe,", "boss@example.com,JÃ¼rg,Berg,"):
        file = csv(tmp_path, *rest[1:], line)
        for command in ("sync", "verify"):
            refused = anyscale("user", command, "-f", file, "-o", "json")
            (problem,) = json.loads(refused.stdout)["problems"]
            assert (refused.returncode, problem["code"], problem["line"]) == (2, "damaged", 4)
