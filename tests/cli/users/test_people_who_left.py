"""`suspend` and `restore` with a file: a dry run, a question, a report, again."""

import json
import os
import re
from pathlib import Path
from socket import socket

import pytest
from tests.support.commands.running import RunAnyscale, run_command, run_unread
from tests.support.commands.terminal import on_a_terminal
from tests.support.databases.empty_sqlite import place_file
from tests.support.faults.faulty_proxy import Fault, FaultyProxy
from tests.support.servers.server_process import ServerProcess

PEOPLE = """create_users:
- {name: Boss, email: boss@example.com, lastname: Poe}
- {name: Jane, email: jane@example.com, lastname: Doe}
- {name: Zoë, email: -zoe@example.com, lastname: Poe, is_sso_user: true}
- {name: Ann, email: ann@example.com, lastname: Poe}
"""
QUESTION = b"Type yes to continue:"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The content of a database that has the accounts of `PEOPLE`, the first one an owner."""
    folder = tmp_path_factory.mktemp("people")
    environment = os.environ | {"ANYSCALE_HOST": "embedded", "ANYSCALE_DATA_DIR": str(folder)}
    create = ("user", "batch-create", "-f", "-")
    for words in (create, ("user", "set-role", "boss@example.com", "owner")):
        done = run_command(words, environment, folder=folder, stdin=PEOPLE.encode())
        assert done.returncode == 0, done.stderr
    return (folder / "anyscale.db").read_bytes()


@pytest.fixture(autouse=True)
def _people(people: bytes, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSCALE_HOST", "embedded")
    place_file(data / "anyscale.db", people)


def csv(folder: Path, *lines: str) -> Path:
    file = folder / "staff.csv"
    file.write_text("email,name\n" + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return file


def suspended(anyscale: RunAnyscale) -> set[str]:
    listed = json.loads(anyscale("user", "list", "--suspended", "-o", "json").stdout)
    return {user["email"] for user in listed}


def audited(anyscale: RunAnyscale, event: str) -> int:
    listed = anyscale("audit", "list", "-o", "jsonl").stdout.splitlines()
    return sum(json.loads(line)["event"] == event for line in listed)


def test_those_whom_a_file_names_are_suspended_but_no_owner(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, "boss@example.com,B", "-ZOE@example.com,Z", "who@example.com,W")

    dry = anyscale("user", "suspend", "-f", file, "--dry-run")
    refused = anyscale("user", "suspend", "-f", file)
    assert (dry.returncode, refused.returncode, suspended(anyscale)) == (1, 2, set())
    assert "-zoe@example.com" in dry.stdout
    assert (
        "1 account to suspend. 1 kept as owner: boss@example.com. "
        "Without an account: who@example.com."
    ) in dry.stderr
    assert "use --yes to continue; nobody was suspended" in refused.stderr

    done = anyscale("user", "suspend", "-f", file, "--yes", "-o", "json")
    # An email that is mistyped leaves the account that was meant as it is.
    assert (done.returncode, suspended(anyscale)) == (1, {"-zoe@example.com"}), done.stderr
    report = json.loads(done.stdout)
    assert (report["suspended"], report["without_account"]) == (1, ["who@example.com"])
    assert [user["email"] for user in report["kept_owners"]] == ["boss@example.com"]
    again = anyscale("user", "suspend", "-f", file)
    assert again.returncode == 1
    assert "0 accounts to suspend. 1 account suspended already." in again.stderr
    assert audited(anyscale, "account.suspended") == 1


def test_those_whom_a_file_names_are_restored_after_a_yes_but_no_owner(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, "jane@example.com,J", "-ZOE@example.com,Z", "ann@example.com,A", "w@a.b,W")
    assert anyscale("user", "set-role", "ann@example.com", "owner").returncode == 0
    for email in ("ann@example.com", "jane@example.com"):
        assert anyscale("user", "suspend", email).returncode == 0
    command = ["user", "restore", "-f", str(file)]

    dry = anyscale(*command, "--dry-run", "-o", "json")
    refused = anyscale(*command)
    assert (dry.returncode, refused.returncode, len(suspended(anyscale))) == (1, 2, 2)
    assert "use --yes to continue; nobody was restored" in refused.stderr
    report = json.loads(dry.stdout)
    emails = [[user["email"] for user in report[key]] for key in ("to_restore", "kept_owners")]
    assert emails == [["jane@example.com"], ["ann@example.com"]]
    counts = (report["restored"], report["not_suspended"], report["without_account"])
    assert counts == (0, 1, ["w@a.b"])

    status, shown = on_a_terminal(*command, typed=b"yes\n", when=QUESTION)
    assert (status, suspended(anyscale)) == (1, {"ann@example.com"})
    assert "This restores 1 account." in shown
    assert "1 account restored." in shown
    again = anyscale(*command)
    assert again.returncode == 1
    assert "0 accounts to restore. 2 accounts not suspended. 1 kept as owner" in again.stderr
    assert audited(anyscale, "account.restored") == 1


def test_nobody_of_a_long_file_is_suspended(anyscale: RunAnyscale, tmp_path: Path) -> None:
    staff = csv(tmp_path, *(f"user{number}@example.com,User" for number in range(500)))
    assert anyscale("user", "batch-create", "-f", staff).returncode == 0

    sync = ("user", "sync", "-f", staff, "--suspend-missing", "--dry-run", "-o", "json")
    chosen = {step["email"] for step in json.loads(anyscale(*sync).stdout)["suspend"]}
    assert chosen == {"jane@example.com", "-zoe@example.com", "ann@example.com"}


def test_a_batch_says_how_many_of_the_skipped_users_are_suspended(anyscale: RunAnyscale) -> None:
    command = ["user", "batch-create", "-f", "-", "--if-exists", "skip"]
    for email, message in (
        ("jane@example.com", "1 skipped user is suspended and cannot sign in."),
        ("ann@example.com", "2 skipped users are suspended and cannot sign in."),
    ):
        anyscale("user", "suspend", email)
        for options in (["--dry-run"], []):
            assert message in anyscale(*command, *options, stdin=PEOPLE).stderr


@pytest.mark.parametrize(
    ("lines", "status", "message"),
    [
        (["jnae@example.com,J", "ann@example.com,A"], 1, "1 without an account: an email may be"),
        (["jnae@example.com,J", "nan@example.com,A"], 1, "2 without an account: an email may be"),
        ([], 1, "there are no users: every account would be suspended"),
        (["jane,Jane"], 2, "1 problem; nothing was changed"),
    ],
)
def test_a_file_that_is_probably_wrong_suspends_nobody(
    anyscale: RunAnyscale, tmp_path: Path, lines: list[str], status: int, message: str
) -> None:
    file = csv(tmp_path, *lines)
    done = anyscale("user", "sync", "-f", file, "--suspend-missing", "--yes")

    assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    assert suspended(anyscale) == set()


def test_a_file_with_newcomers_suspends_if_it_creates_them_too_or_has_no_leavers(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, "jane@example.com,Jane", "new@example.com,New")
    only = ("user", "sync", "-f", file, "--suspend-missing", "--yes")
    assert "use `--create` too, or correct the file" in anyscale(*only).stderr
    both = anyscale(*only, "--create")
    assert (both.returncode, len(suspended(anyscale))) == (0, 2), both.stderr
    csv(tmp_path, "jane@example.com,Jane", "new@example.com,New", "newer@example.com,Newer")
    assert anyscale(*only).returncode == 0


def test_corrections_alone_work_with_a_file_of_some_people(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    staff = csv(tmp_path, *(f"user{number}@example.com,User Doe" for number in range(500)))
    assert anyscale("user", "batch-create", "-f", staff).returncode == 0
    some = csv(tmp_path, *(f"user{number}@example.com,User Roe" for number in range(51)))

    # A tenth of all accounts, and more than a tenth of those in the file
    command = ("user", "sync", "-f", some, "--correct", "--yes")
    refused = anyscale(*command)
    assert (refused.returncode, "of 51 accounts" in refused.stderr) == (1, True), refused.stderr
    done = anyscale(*command, "--at-most-correct", "51")
    assert (done.returncode, "left as" in done.stderr) == (0, False), done.stderr
    assert (suspended(anyscale), audited(anyscale, "account.updated")) == (set(), 51)


def test_the_problems_of_a_file_are_a_document_with_output_json(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    refused = anyscale("user", "restore", "-f", csv(tmp_path, "jane,Jane"), "-o", "json")

    assert refused.returncode == 2
    assert [problem["code"] for problem in json.loads(refused.stdout)["problems"]] == [
        "email_invalid"
    ]
    assert "1 problem; nobody was restored" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["suspend"],
        ["suspend", "a@example.com", "-f", "x"],
        ["restore", "a@example.com", "-f", "x"],
    ],
)
def test_exactly_one_way_chooses_the_accounts(anyscale: RunAnyscale, arguments: list[str]) -> None:
    done = anyscale("user", *arguments)
    assert (done.returncode, "use one of EMAIL|ID and -f FILE" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "replaced"),
    [
        ("verify -f staff.csv --apply", "-f staff.csv --correct"),
        (
            "verify --users-file=a.csv --apply --extra --at-most=5 --yes --unterminated -q",
            "--users-file=a.csv --correct --at-most-correct 5 --yes --unterminated -q",
        ),
        ("suspend --missing-from staff.csv", "--suspend-missing -f staff.csv"),
        (
            "suspend --missing-from=staff.csv --at-most 3 --column Mail=email",
            "--suspend-missing -f staff.csv --at-most-suspend 3 --column Mail=email",
        ),
    ],
)
def test_an_option_that_was_removed_names_the_command_of_sync(
    anyscale: RunAnyscale, arguments: str, replaced: str
) -> None:
    done = anyscale("user", *arguments.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert f" was removed. Use `anyscale user sync {replaced}`\n" in done.stderr


def test_accounts_to_which_nobody_can_sign_in_any_more_are_counted(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "staff.csv"
    file.write_text("email,is_sso_user\n-zoe@example.com,\njane@example.com,true\n")
    done = anyscale("user", "sync", "-f", file, "--correct", "--yes")
    assert "2 corrected." in done.stderr
    *_, message, command = done.stderr.splitlines()
    assert message.endswith(" 1 account of them without SSO and without a password:")
    assert " `anyscale user set-password-link --without-credentials --output" in command


def test_the_same_command_goes_on_after_a_failure(
    anyscale: RunAnyscale, server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
    monkeypatch.setenv("ANYSCALE_HOST", server.url)
    assert anyscale("user", "batch-create", "-f", "-", stdin=PEOPLE).returncode == 0
    changed = csv(tmp_path, "jane@example.com,J", "ann@example.com,A", "boss@example.com,B")
    leavers = ["user", "suspend", "-f", str(changed), "--yes"]
    back = ["user", "restore", "-f", str(changed), "--yes"]
    for command, call in ((leavers, "/suspend"), (back, "/restore")):
        calls: list[str] = []

        def plan(line: str, call: str = call, calls: list[str] = calls) -> Fault | None:
            calls.append(line)
            return refuse if sum(call in one for one in calls) == 2 else None

        def refuse(client: socket, _: bytes) -> bool:
            client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return False

        with FaultyProxy([server.port], plan) as proxy:
            failed = anyscale(*command, "--host", proxy.url)
        again = anyscale(*command)

        assert (failed.returncode, again.returncode) == (3, 0), (failed.stderr, again.stderr)
        assert re.search(
            r"error: 1 of [23] accounts (suspended|restored), and then: .+\n"
            r"Run the same command again: ",
            failed.stderr,
        ), failed.stderr
        # The refused call had changed its account: its response was lost.
        assert re.search(r" 1 account (suspended|restored)\.", again.stderr), again.stderr
    events = ("account.suspended", "account.restored")
    assert [audited(anyscale, event) for event in events] == [3, 3]


@pytest.mark.parametrize("output", ["text", "json"])
def test_all_is_corrected_if_nobody_reads_the_differences(
    anyscale: RunAnyscale, tmp_path: Path, output: str
) -> None:
    file = csv(tmp_path, "jane@example.com,Janet", "ann@example.com,Anna")
    done = run_unread("user", "sync", "-f", file, "--correct", "--yes", "-o", output)

    assert (done.returncode, "2 corrected." in done.stderr) == (0, True), done.stderr
    assert anyscale("user", "verify", "-f", file).returncode == 0


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_change_that_was_confirmed_happens_if_nobody_reads_the_list(
    anyscale: RunAnyscale, tmp_path: Path, output: str
) -> None:
    file = csv(tmp_path, "jane@example.com,J", "ann@example.com,A", "who@example.com,W")

    for verb, left in (("suspend", {"jane@example.com", "ann@example.com"}), ("restore", set())):
        done = run_unread("user", verb, "-f", file, "--yes", "-o", output)
        # Status 1: an email has no account.
        assert (done.returncode, suspended(anyscale)) == (1, left), done.stderr
        assert f"2 accounts {verb.removesuffix('e')}ed." in done.stderr


def name_of(anyscale: RunAnyscale, email: str) -> str:
    return str(json.loads(anyscale("user", "get", email, "-o", "json").stdout)["name"])


def test_those_who_become_owners_or_are_deleted_meanwhile_are_skipped(
    anyscale: RunAnyscale, configured_server: ServerProcess, tmp_path: Path
) -> None:
    assert anyscale("user", "batch-create", "-f", "-", stdin=PEOPLE).returncode == 0
    file = csv(tmp_path, "jane@example.com,J", "ann@example.com,A", "-zoe@example.com,Z")
    changes = [("delete", "ann@example.com", "--yes"), ("set-role", "jane@example.com", "owner")]

    def change(call: str) -> None:
        if "/suspend" in call and changes:
            assert anyscale("user", *changes.pop()).returncode == 0

    with FaultyProxy([configured_server.port], change) as proxy:
        command = ["user", "suspend", "-f", str(file), "--yes", "-o", "json"]
        done = anyscale(*command, "--host", proxy.url)

    assert (done.returncode, suspended(anyscale)) == (0, {"-zoe@example.com"}), done.stderr
    assert "jane@example.com: the account is an owner's: change the role first" in done.stderr
    report = json.loads(done.stdout)
    assert report["suspended"] == 1
    assert [(one["email"], one["reason"].split()[:2]) for one in report["skipped"]] == [
        ("jane@example.com", ["the", "account"]),
        ("ann@example.com", ["there", "is"]),
    ]


def test_a_file_that_changes_while_it_is_read_suspends_nobody(
    anyscale: RunAnyscale, configured_server: ServerProcess, tmp_path: Path
) -> None:
    assert anyscale("user", "batch-create", "-f", "-", stdin=PEOPLE).returncode == 0
    file = csv(tmp_path, "jane@example.com,J")

    def change(call: str) -> None:
        if "users:find" in call:
            csv(tmp_path, "jane@example.com,J", "ann@example.com,A")

    with FaultyProxy([configured_server.port], change) as proxy:
        done = anyscale("user", "suspend", "-f", file, "--yes", "--host", proxy.url)

    assert "staff.csv was changed while it was being read" in done.stderr
    assert (done.returncode, suspended(anyscale)) == (3, set())


@pytest.mark.parametrize(("end", "count"), [("", 1), ("\n", 0)])
def test_a_file_whose_last_line_has_no_end_is_noted_when_it_creates_users(
    anyscale: RunAnyscale, tmp_path: Path, end: str, count: int
) -> None:
    file = tmp_path / "new.csv"
    file.write_text(f"name,email\nKim,kim@example.com{end}")

    done = anyscale("user", "batch-create", "-f", file)

    assert done.returncode == 0
    note = f"The last line of {file} has no end: check that the file is complete."
    assert done.stderr.count(note) == count


def test_lists_that_nobody_is_to_read_to_their_end_have_50_lines(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    users = "".join(f"u{at:02}@example.com,U\n" for at in range(60))
    assert (
        anyscale(
            *("user", "batch-create", "-f", "-", "--format", "csv"), stdin=f"email,name\n{users}"
        ).returncode
        == 0
    )
    changed = csv(tmp_path, *(f"u{at:02}@example.com,V" for at in range(60)))

    stopped = anyscale("user", "suspend", "-f", changed, "--at-most", "59", "--yes")
    assert (stopped.returncode, len(stopped.stdout.splitlines())) == (1, 51)  # and the header
    assert "... and 10 accounts more: --dry-run without --at-most lists all" in stopped.stderr
    listed = anyscale("user", "suspend", "-f", changed, "--dry-run")
    assert len(listed.stdout.splitlines()) == 61
    differences = anyscale("user", "verify", "-f", changed, "--quiet")
    assert len(differences.stdout.splitlines()) == 50
    for verb in ("suspend", "restore"):
        quiet = anyscale("user", verb, "-f", changed, "--quiet", "--yes")
        assert (quiet.returncode, len(quiet.stdout.splitlines())) == (0, 51)
        assert "... and 10 accounts more: --dry-run without --quiet lists all" in quiet.stderr
    assert "60 users checked: 60 differences." in differences.stderr
