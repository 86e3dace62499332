"""The commands for accounts, with the embedded control plane and with servers."""

import csv
import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import IO

import pytest
import yaml
from tests.support.callers import OPERATOR
from tests.support.commands.running import CommandResult, RunAnyscale, start_command
from tests.support.faults.fault_injection import run_under_strace
from tests.support.faults.faulty_proxy import FaultyProxy, lose, lose_at
from tests.support.paths import ANYSCALE
from tests.support.servers.server_process import ServerProcess
from tests.support.users import checked_users

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings

ADDRESS = "https://accounts.example.com"
LINK = re.compile(rf"{ADDRESS}/set-password#mrl_[\w-]{{43}}", re.ASCII)

FILE = """create_users:
- {name: Jane, email: jane@example.com}
- {name: Formula, email: =1+1@example.com, is_sso_user: true}
- {name: Ann, email: ann@example.com, password: correct-donkey-battery}
"""


@pytest.fixture
def server(database: str, tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(database, tmp_path, settings={"ANYSCALE_PUBLIC_URL": ADDRESS}) as server:
        yield server


@pytest.fixture
def control_plane(control_plane: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A control plane with a public URL: a server has it, and embedded it is in the environment."""
    if control_plane == "embedded":
        monkeypatch.setenv("ANYSCALE_PUBLIC_URL", ADDRESS)


@pytest.fixture
def public_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """A public URL for the embedded control plane, in the environment."""
    monkeypatch.setenv("ANYSCALE_PUBLIC_URL", ADDRESS)


@pytest.fixture(name="check")
def new_checker(anyscale: RunAnyscale) -> "CommandChecker":
    return CommandChecker(anyscale)


class CommandChecker:
    """Runs the command, and compares its messages.

    Args:
        anyscale: runs it.
    """

    def __init__(self, anyscale: RunAnyscale) -> None:
        self._anyscale = anyscale

    def __call__(self, status: int, text: str, *arguments: str | Path) -> CommandResult:
        done = self._anyscale(*arguments)
        assert (done.returncode, text in done.stderr) == (status, True), done.stderr
        assert "Traceback" not in done.stderr
        assert "mrl_" not in done.stderr
        return done


def levels(anyscale: RunAnyscale) -> dict[str, str]:
    listed = anyscale("user", "list", "-o", "json").stdout
    return {user["email"]: user["permission_level"] for user in json.loads(listed)}


def links_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_an_account_is_changed_by_its_email(
    control_plane: None, users: Path, check: CommandChecker, anyscale: RunAnyscale
) -> None:
    jane = "JANE@example.com"
    for _ in range(2):
        check(0, "jane@example.com is an owner.", "user", "set-role", jane, "owner")
    check(1, "the last owner", "user", "suspend", jane)
    check(1, "the last owner", "user", "set-role", jane, "collaborator")
    check(1, "the last owner", "user", "delete", jane, "--yes")
    assert levels(anyscale)["jane@example.com"] == "owner"
    check(0, "is an owner.", "user", "set-role", "ann@example.com", "owner")
    check(0, "is suspended.", "user", "suspend", jane)
    check(0, "jane@example.com was suspended already.", "user", "suspend", jane)
    check(0, "is restored.", "user", "restore", jane)
    check(0, "jane@example.com was not suspended.", "user", "restore", jane)
    check(0, "jane@example.com is a collaborator.", "user", "set-role", jane, "collaborator")
    check(0, "jane@example.com is deleted.", "user", "delete", jane, "--yes")
    assert "jane@example.com" not in levels(anyscale)


@pytest.mark.parametrize("output", ["json", "jsonl", "yaml", "csv"])
def test_the_time_of_suspension_is_in_every_format(
    output: str, users: Path, check: CommandChecker, anyscale: RunAnyscale
) -> None:
    fields = ["email", "name", "permission_level", "created_at", "user_id", "suspended_at"]
    fields += ["lastname", "title", "is_sso_user", "external_id", "suspended_by_sync"]
    fields += ["last_sign_in_on"]
    check(0, "is suspended.", "user", "suspend", "ann@example.com")

    listed = read(anyscale("user", "list", "-o", output).stdout, output)
    got = read(anyscale("user", "get", "--email", "ann@example.com", "-o", output).stdout, output)

    jane, formula, ann = listed
    assert got == [ann]
    assert list(jane) == list(ann) == fields
    assert not jane["suspended_at"]
    assert not formula["suspended_at"]
    assert ann["suspended_at"].endswith("Z")
    # Not as texts: a time at a whole second has no fraction.
    assert datetime.fromisoformat(ann["suspended_at"]) >= datetime.fromisoformat(ann["created_at"])
    alone = read(anyscale("user", "list", "--suspended", "-o", output).stdout, output)
    assert alone == [ann]


def read(text: str, output: str) -> list[dict[str, str]]:
    if output == "csv":
        return list(csv.DictReader(text.splitlines()))
    if output == "jsonl":
        return [json.loads(line) for line in text.splitlines()]
    records = json.loads(text) if output == "json" else yaml.safe_load(text)
    return [records] if isinstance(records, dict) else records


def test_suspended_users_can_be_listed_and_the_table_marks_them(
    control_plane: None, users: Path, check: CommandChecker, anyscale: RunAnyscale
) -> None:
    def table(*arguments: str) -> list[list[str]]:
        lines = anyscale("user", *arguments).stdout.splitlines()
        return [re.split("  +", line) for line in lines]

    titles = ["EMAIL", "NAME", "LASTNAME", "ROLE", "CREATED AT (UTC)", "STATE"]
    assert table("list", "--suspended") == [titles]
    check(0, "is suspended.", "user", "suspend", "jane@example.com")

    head, jane, *others = table("list")

    assert head == titles
    assert (jane[0], jane[-1]) == ("jane@example.com", "suspended")
    assert [line[5:] for line in others] == [["-"], ["-"]]
    assert table("list", "--suspended", "--email", "@EXAMPLE.com") == [titles, jane]
    assert table("list", "--suspended", "--email", "ann") == [titles]
    check(0, "is restored.", "user", "restore", "jane@example.com")
    assert table("list", "--suspended") == [titles]


def test_a_search_shows_last_names_and_refuses_a_wrong_one_as_a_wrong_command_line(
    control_plane: str, users: Path, check: CommandChecker, anyscale: RunAnyscale
) -> None:
    found = anyscale("user", "list", "--search", "jane@example.com").stdout.splitlines()
    head, jane = (re.split("  +", line) for line in found)
    assert head[:3] == ["EMAIL", "NAME", "LASTNAME"]
    assert jane[0] == "jane@example.com"
    check(2, "leave some out", "user", "list", "--search", "a " * 25)
    check(
        2,
        "--search must have at most 256 characters",
        "user",
        "list",
        "--search",
        "a" * 257,
    )


def test_an_error_is_reported_and_changes_nothing(
    control_plane: None, users: Path, check: CommandChecker, anyscale: RunAnyscale
) -> None:
    before = levels(anyscale)
    for command in ("suspend", "restore", "set-password-link"):
        check(
            1, "there is no user with the email 'x@example.com'", "user", command, "x@example.com"
        )
    check(1, "there is no user", "user", "delete", "x@example.com", "--yes")
    check(1, "there is no user", "user", "set-role", "x@example.com", "owner")
    check(2, "'admin' is not one of", "user", "set-role", "jane@example.com", "admin")
    check(2, "use --yes to continue; nobody was deleted", "user", "delete", "jane@example.com")
    ways = "by an email, -f FILE, --batch ID or --without-credentials"
    check(2, f"{ways}\n", "user", "set-password-link")
    both = ("user", "set-password-link", "jane@example.com", "-f", users)
    check(2, f"{ways}, and by only one of them\n", *both)
    check(2, f"{ways}, and by only one of them\n", *both[:3], "--without-credentials")
    without_file = (*both[:2], "--without-credentials", "--mail", "--sheet", "Staff")
    check(2, "--sheet is for -f FILE: name the file, or leave it out", *without_file)
    check(2, "name a new one by --output-file", "user", "set-password-link", "-f", users)
    assert levels(anyscale) == before


def test_an_option_of_files_changes_no_account_that_is_named(
    users: Path, check: CommandChecker, anyscale: RunAnyscale
) -> None:
    before = anyscale("user", "list", "-o", "json").stdout
    for options in (["--dry-run"], ["--at-most", "0"], ["-o", "json"], ["--column", "a=name"]):
        name = " ".join(options) if options[0] == "-o" else options[0]
        text = f"{name} is for -f FILE"
        check(2, text, "user", "suspend", "jane@example.com", *options)
    check(2, "--dry-run is for -f FILE", "user", "restore", "jane@example.com", "--dry-run")
    assert anyscale("user", "list", "-o", "json").stdout == before


def test_an_unknown_account_is_reported_with_the_control_plane_that_was_searched(
    control_plane: None, check: CommandChecker, home: Path
) -> None:
    where = os.environ.get("ANYSCALE_HOST", f"{home}/.local/share/anyscale/anyscale.db")
    for command in (
        "suspend x@b.io",
        "restore x@b.io",
        "update x@b.io --title Boss",
        "delete x@b.io --yes",
        "set-role x@b.io owner",
        "set-password-link x@b.io",
        "get x@b.io",
        "get --email x@b.io",
        "get --name x@b.io",
        "get usr_none",
    ):
        done = check(1, "error: there is no user with the ", "user", *command.split())
        assert f" in the control plane at {where}" in done.stderr.splitlines()[-1]
        assert done.stdout == ""


@pytest.mark.parametrize("name", ["José", "Jane Doe", "a\x1b[31m"])
def test_every_command_for_one_account_refuses_a_name_in_the_same_words(
    name: str, check: CommandChecker, home: Path
) -> None:
    shown = name.replace("\x1b", "\\u001b")
    message = (
        f"error: there is no user with the email '{shown}', which is not an email address: "
        f"`anyscale user list --search '{shown}'` finds users by name or id\n"
    )
    for options in (
        ["get"],
        ["suspend"],
        ["restore"],
        ["delete", "--yes"],
        ["update", "--title", "Boss"],
        ["reset-second-factor", "--reason", "lost", "--yes"],
        ["set-password-link"],
    ):
        assert check(1, message, "user", *options, name).stderr == message
    assert check(1, message, "user", "set-role", name, "owner").stderr == message
    assert not list(home.iterdir())


def test_a_deletion_says_in_which_control_plane(
    control_plane: None, users: Path, check: CommandChecker
) -> None:
    where = os.environ.get("ANYSCALE_HOST", "/anyscale.db")
    done = check(0, "is deleted.", "user", "delete", "jane@example.com", "--yes")
    first, *_ = done.stderr.splitlines()
    assert "Using the control plane at " in first
    assert first.endswith(where)


def test_links_of_a_file_say_that_earlier_links_no_longer_work(
    public_url: None, users: Path, tmp_path: Path, check: CommandChecker
) -> None:
    command = ("user", "set-password-link", "-f", users, "--output-file")
    replaced = ") Earlier links, if any, no longer work.\n"
    check(0, replaced, *command, tmp_path / "a.csv")
    one = ("user", "set-password-link", "jane@example.com")
    check(0, replaced, *one, "--output-file", tmp_path / "b.csv")
    check(0, replaced, *one)


@pytest.mark.parametrize("failure", ["interrupted", "refused", "lost"])
def test_links_that_are_not_delivered_say_that_earlier_links_no_longer_work(
    failure: str,
    anyscale: RunAnyscale,
    server: ServerProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "many.csv"
    file.write_text("email,name\n" + "".join(f"u{i}@b.io,U\n" for i in range(1_001)))
    monkeypatch.setenv("ANYSCALE_HOST", server.url)
    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
    assert anyscale("user", "batch-create", "-f", file).returncode == 0
    if failure == "refused":
        assert anyscale("user", "suspend", "u1000@b.io").returncode == 0
    calls: list[str] = []
    is_called, has_ended = threading.Event(), threading.Event()

    def plan(call: str) -> object:
        calls.append(call)
        if calls.count("POST /v1/users:setPasswordLinks") < 3:  # the first one has no users
            return None
        is_called.set()
        if failure == "interrupted":
            return lose_at(has_ended)
        return no_control_plane if failure == "lost" else None

    def no_control_plane(client: socket.socket, _: bytes) -> bool:
        client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        return False

    with FaultyProxy([server.port], plan) as proxy:  # type: ignore[arg-type]  # a plan returns an object
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        links = tmp_path / "links.csv"
        running = start_command("user", "set-password-link", "-f", file, "--output-file", links)
        assert is_called.wait(30)
        if failure == "interrupted":
            running.send_signal(signal.SIGINT)
        done = running.finish(60)
        has_ended.set()
    start = "interrupted: no" if failure == "interrupted" else "No"
    count = 1_000 if failure == "refused" else 1_001
    assert done.returncode == (130 if failure == "interrupted" else 1)
    assert done.stderr.splitlines()[-1] == (
        f"{start} file was written, and earlier links of up to {count:,} users, if any, no longer "
        "work; run the same command again to create new ones"
    )
    assert not links.exists()


AGAIN = "run the same command again to create new ones"

LOST = f"the link may be lost, and earlier links of 1 user, if any, no longer work; {AGAIN}"


def test_one_link_that_an_interrupt_loses_is_said_to_be_lost(
    server: ServerProcess, check: CommandChecker, users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSCALE_HOST", server.url)
    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
    check(0, "3 users created.", "user", "batch-create", "-f", users)
    is_called, has_ended = threading.Event(), threading.Event()

    def plan(call: str) -> object:
        if call != "POST /v1/users:setPasswordLinks":
            return None
        is_called.set()
        return lose_at(has_ended)

    with FaultyProxy([server.port], plan) as proxy:  # type: ignore[arg-type]  # a plan returns an object
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        running = start_command("user", "set-password-link", "jane@example.com")
        assert is_called.wait(30)
        running.send_signal(signal.SIGINT)
        done = running.finish(60)
        has_ended.set()
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines()[-1] == f"interrupted: {LOST}"


@pytest.mark.parametrize("is_full", [True, False], ids=["full disk", "closed pipe"])
def test_one_link_that_cannot_be_written_is_said_to_be_lost(
    is_full: bool, users: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSCALE_PUBLIC_URL", ADDRESS)
    with closing(open_full_disk() if is_full else open_closed_pipe()) as output:
        done = subprocess.run(
            [ANYSCALE, "user", "set-password-link", "jane@example.com"],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 3
    error, lost = done.stderr.splitlines()[-2:]
    assert error.startswith("error: standard output could not be written: ")
    assert lost == f"T{LOST[1:]}"


def open_full_disk() -> IO[bytes]:
    return Path("/dev/full").open("wb", buffering=0)


def open_closed_pipe() -> IO[bytes]:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "wb", buffering=0)


def test_one_link_goes_to_standard_output(
    control_plane: None, users: Path, check: CommandChecker
) -> None:
    done = check(0, "The link works once, until", "user", "set-password-link", "jane@example.com")
    assert LINK.fullmatch(done.stdout.strip())
    assert "Give it only to jane@example.com" in done.stderr
    assert "SSO" not in done.stderr
    check(0, "updated", "user", "update", "jane@example.com", "--sso")
    warned = "jane@example.com is an SSO user: the password works beside SSO"
    check(0, warned, "user", "set-password-link", "jane@example.com")


def test_a_file_of_one_link_is_described_in_the_singular(
    public_url: None, users: Path, check: CommandChecker, tmp_path: Path
) -> None:
    check(0, "updated", "user", "update", "jane@example.com", "--sso")
    path = tmp_path / "one.csv"
    command = ("user", "set-password-link", "jane@example.com", "--output-file", path)
    done = check(0, f"1 link is in {path}. It works once, until", *command)
    assert "give it only to its user" in done.stderr
    assert "1 of 1 is for SSO users" in done.stderr


def test_the_links_of_a_file_go_into_a_new_file(
    control_plane: None, users: Path, check: CommandChecker, tmp_path: Path
) -> None:
    path = tmp_path / "links.csv"
    command = ("user", "set-password-link", "-f", users, "--output-file", path)
    done = check(0, f"3 links are in {path}. Each works once, until", *command)
    assert done.stdout == ""
    rows = links_of(path)
    # A spreadsheet takes it for a text, not for a formula.
    emails = ["jane@example.com", "'=1+1@example.com", "ann@example.com"]
    assert [row["email"] for row in rows] == emails
    assert all(LINK.fullmatch(row["url"]) for row in rows)
    assert {re.sub(r"\d", "0", row["expires_at"]) for row in rows} == {"0000-00-00T00:00:00Z"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = path.read_bytes()
    check(2, f"{path} exists: name a new file", *command)
    assert path.read_bytes() == written
    assert sorted(one.suffix for one in tmp_path.iterdir() if "links" in one.name) == [".csv"]


def test_the_links_of_a_batch_are_for_its_users_without_credentials(
    control_plane: None, users: Path, check: CommandChecker, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    (batch,) = json.loads(anyscale("batch", "list", "-o", "json").stdout)
    shown = json.loads(anyscale("batch", "show", batch["batch_id"], "-o", "json").stdout)
    assert shown["without_credentials"] == 2
    assert (
        "accounts without credentials: 2\n" in anyscale("batch", "show", batch["batch_id"]).stdout
    )
    path = tmp_path / "links.csv"
    command = ("user", "set-password-link", "--output-file", path, "--batch")
    check(1, "there is no batch bat_none", *command, "bat_none")
    assert not path.exists()
    check(0, f"2 links are in {path}", *command, batch["batch_id"])
    assert [row["email"][0] for row in links_of(path)] == ["j", "'"]


def test_links_are_created_for_everybody_who_cannot_sign_in_yet(
    control_plane: None,
    users: Path,
    check: CommandChecker,
    anyscale: RunAnyscale,
    tmp_path: Path,
) -> None:
    other = "create_users:\n- {name: Zoe, email: zoe@example.com}\n- {name: Sue, email: s@b.io}\n"
    assert anyscale("user", "batch-create", "-f", "-", stdin=other).returncode == 0
    check(0, "is suspended.", "user", "suspend", "s@b.io")
    path = tmp_path / "links.csv"
    command = ("user", "set-password-link", "--without-credentials", "--output-file", path)

    check(0, f"3 links are in {path}", *command)

    assert [row["email"] for row in links_of(path)] == [
        "jane@example.com",
        "'=1+1@example.com",
        "zoe@example.com",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("emails.csv", "email\nJANE@example.com\nann@example.com\n"),
        ("emails.yaml", "create_users:\n- email: JANE@example.com\n- email: ann@example.com\n"),
    ],
)
def test_a_file_of_emails_alone_is_enough_for_links(
    public_url: None,
    users: Path,
    check: CommandChecker,
    tmp_path: Path,
    name: str,
    text: str,
) -> None:
    file, path = tmp_path / name, tmp_path / "links.csv"
    file.write_text(text, encoding="utf-8")

    check(
        0, f"2 links are in {path}", "user", "set-password-link", "-f", file, "--output-file", path
    )

    assert [row["email"] for row in links_of(path)] == ["jane@example.com", "ann@example.com"]


def test_links_leave_out_the_columns_that_the_command_proposes(
    public_url: None, users: Path, check: CommandChecker, tmp_path: Path
) -> None:
    file, path = tmp_path / "staff.csv", tmp_path / "links.csv"
    file.write_text("Login=Mail;Vorname;E-Mail;Abteilung\n-;Ann;ann@example.com;IT\n")
    command = ("user", "set-password-link", "-f", file, "--output-file", path)

    refused = check(2, "2 problems; no link was created.", *command)
    proposed = ("--column", "Login=Mail=", "--column", "Abteilung=")
    assert f"`{' '.join(proposed)}` leaves them out" in refused.stderr
    check(0, f"1 link is in {path}", *command, *proposed)

    assert [row["email"] for row in links_of(path)] == ["ann@example.com"]


def test_an_account_is_named_by_its_id_in_every_command(
    control_plane: None, users: Path, check: CommandChecker, anyscale: RunAnyscale
) -> None:
    jane = json.loads(anyscale("user", "get", "jane@example.com", "-o", "json").stdout)
    user_id = jane["user_id"]

    assert json.loads(anyscale("user", "get", user_id, "-o", "json").stdout) == jane
    check(0, "jane@example.com is updated.", "user", "update", user_id, "--title", "Boss")
    check(0, "jane@example.com is suspended.", "user", "suspend", user_id)
    check(0, "jane@example.com is restored.", "user", "restore", user_id)
    check(0, "jane@example.com is a coll", "user", "set-role", user_id, "collaborator")
    check(0, "Give it only to jane@example.com", "user", "set-password-link", user_id)
    check(0, "jane@example.com is deleted.", "user", "delete", user_id, "--yes")
    check(1, f"there is no user with the id '{user_id}'", "user", "suspend", user_id)


def test_no_file_is_created_if_no_user_needs_a_link(
    public_url: None, check: CommandChecker, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    path = tmp_path / "links.csv"
    text = "create_users:\n- {name: A, email: a@b.io, password: correct-donkey-battery}\n"
    anyscale("user", "batch-create", "-f", "-", stdin=text)
    (batch,) = json.loads(anyscale("batch", "list", "-o", "json").stdout)
    command = ("user", "set-password-link", "--batch", batch["batch_id"], "--output-file", path)
    check(0, "No user needs a link: no file was created.", *command)
    assert not path.exists()


def test_emails_without_an_account_are_named_by_their_lines(
    control_plane: None, users: Path, check: CommandChecker, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    first = anyscale("user", "set-password-link", "jane@example.com").stdout
    file, path = tmp_path / "more.yaml", tmp_path / "links.csv"
    text = FILE + "- {name: X, email: x@example.com}\n- {name: Y, email: y@example.com}\n"
    file.write_text(text, encoding="utf-8")
    command = ("user", "set-password-link", "-f", file, "--output-file", path)
    done = check(1, "2 problems; no link was created.", *command)
    assert f"{file}:5:20: create_users[3].email: 'x@example.com' has no account" in done.stderr
    file.write_text(FILE + "- {name: ' ', email: foo}\n", encoding="utf-8")
    done = check(2, "2 problems; no link was created.", *command)
    assert "create_users[3].email: 'foo' is not an email address" in done.stderr
    assert not path.exists()
    assert not list(tmp_path.glob(".*.part"))
    assert LINK.fullmatch(first.strip())
    audit = [
        json.loads(one) for one in anyscale("audit", "list", "-o", "jsonl").stdout.splitlines()
    ]
    assert sum(entry["event"] == "links.created" for entry in audit) == 1


def test_an_error_half_way_leaves_no_file(
    users: Path, check: CommandChecker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    command = ("user", "set-password-link", "-f", users, "--output-file")
    check(2, "ANYSCALE_PUBLIC_URL is not set", *command, folder / "links.csv")
    monkeypatch.setenv("ANYSCALE_PUBLIC_URL", ADDRESS)
    check(1, "jane@example.com is suspended: restore it first", *_suspended(check, command, folder))
    assert list(folder.iterdir()) == []
    check(2, "No such file or directory", *command, tmp_path / "nowhere" / "links.csv")


FULL_DISK = "No space left on device: make room on the disk"

LOST_FILE = "No file was written, and earlier links of up to 3 users, if any, no longer work"


def _suspended(
    check: CommandChecker, command: tuple[str | Path, ...], folder: Path
) -> list[str | Path]:
    check(0, "is suspended.", "user", "suspend", "jane@example.com")
    return [*command, folder / "links.csv"]


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        ("error=ENOSPC", 1, f"links.csv: {FULL_DISK}\n{LOST_FILE}; {AGAIN}\n"),
        ("error=EEXIST", 2, f"links.csv exists by now: name a new file\n{LOST_FILE}\n"),
        ("error=EPERM", 0, "3 links are in"),  # as on file systems without hard links
        ("signal=SIGINT", 0, "3 links are in"),  # the file has its name already
        ("signal=SIGKILL", -signal.SIGKILL, ""),
    ],
)
def test_the_file_exists_whole_or_not_at_all(
    users: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    status: int,
    message: str,
) -> None:
    monkeypatch.setenv("ANYSCALE_PUBLIC_URL", ADDRESS)
    path = tmp_path / "folder" / "links.csv"
    path.parent.mkdir()
    options = ("-f", "-e", "trace=linkat", "-e", f"inject=linkat:{fault}", "-o", tmp_path / "log")
    command = ("user", "set-password-link", "-f", users, "--output-file", path)

    done = run_under_strace([str(option) for option in options], *command)

    assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    assert (tmp_path / "log").read_text()
    if path.exists():
        assert [row["email"][0] for row in links_of(path)] == ["j", "'", "a"]
    assert path.exists() or status != 0
    assert status == -signal.SIGKILL or list(path.parent.iterdir()) in ([], [path])


# Lost responses


def test_a_deletion_whose_response_was_lost_succeeds(
    configured_server: ServerProcess,
    users: Path,
    check: CommandChecker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost: list[str] = []

    def plan(call: str) -> object:
        if call.startswith("DELETE") and not lost:
            lost.append(call)
            return lose
        return None

    with FaultyProxy([configured_server.port], plan) as proxy:  # type: ignore[arg-type]  # a plan returns an object
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        done = check(
            0, "jane@example.com is deleted.", "user", "delete", "jane@example.com", "--yes"
        )
        check(1, "there is no user with", "user", "delete", "jane@example.com", "--yes")
    assert lost
    assert "Trying again" in done.stderr or [e.status for e in proxy.history].count(404) == 1


# The operator


def test_the_operator_creates_the_first_owner(server: ServerProcess, anyscale: RunAnyscale) -> None:
    link = server.run("create-owner", "--email", "boss@example.com", "--name", "The Boss")
    assert LINK.fullmatch(link)
    env = {"ANYSCALE_HOST": server.url, "ANYSCALE_CLI_TOKEN": server.token()}
    listed = json.loads(anyscale("user", "list", "-o", "json", env=env).stdout)
    assert [(u["name"], u["permission_level"]) for u in listed] == [("The Boss", "owner")]
    again = server.run("create-owner", "--email", "BOSS@example.com")
    assert LINK.fullmatch(again)
    assert again != link
    for secret in (link, again):
        assert secret.partition("#")[2] not in server.log.read_text(encoding="utf-8")


def test_without_a_public_url_no_owner_and_no_database_is_created(
    check: CommandChecker, data: Path, home: Path
) -> None:
    check(2, "ANYSCALE_PUBLIC_URL is not set", "server", "create-owner", "--email", "a@b.io")
    assert not list(home.iterdir())
    assert not data.exists()


def test_an_email_that_an_unfinished_batch_has_reserved_cannot_be_an_owners(
    check: CommandChecker, anyscale: RunAnyscale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSCALE_PUBLIC_URL", ADDRESS)
    control_plane = ControlPlane(Settings.from_environment(os.environ, served=True))
    batch = control_plane.batches.open(OPERATOR, "key", "fail")
    control_plane.batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("boss"))
    control_plane.close()
    command = ("server", "create-owner", "--email", "boss@example.com")
    opened = f"which local:test opened at {batch.opened_at:%Y-%m-%d %H:%M:%S} UTC"
    reserved = f"is reserved by the unfinished batch {batch.batch_id}, {opened}: let it end, or"
    done = check(1, f"{reserved} drop it by `anyscale batch drop`", *command)
    assert done.stdout == ""
