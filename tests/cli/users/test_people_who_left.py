"""`verify --apply`, `suspend` and `restore` with a file: a dry run, a question, a report, again."""

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


def test_those_whom_a_file_lacks_are_suspended_after_a_yes(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, "jane@example.com,Jane")
    command = ["user", "suspend", "--missing-from", str(file)]

    for most in ("1", "0"):
        refused = anyscale(*command, "--at-most", most, "--yes")
        assert (refused.returncode, suspended(anyscale)) == (1, set())
        message = f"2 accounts to suspend, and --at-most is {most}: nobody was suspended"
        assert message in refused.stderr
    status, shown = on_a_terminal(*command, typed=b"no\n", when=QUESTION)
    assert (status, suspended(anyscale)) == (2, set())
    assert "This suspends 2 accounts." in shown
    status, shown = on_a_terminal(*command, typed=b"yes\n", when=QUESTION)
    assert (status, suspended(anyscale)) == (0, {"-zoe@example.com", "ann@example.com"})
    assert "2 accounts suspended." in shown


def test_nobody_of_a_long_file_is_suspended(anyscale: RunAnyscale, tmp_path: Path) -> None:
    staff = csv(tmp_path, *(f"user{number}@example.com,User" for number in range(500)))
    assert anyscale("user", "batch-create", "-f", staff).returncode == 0

    done = anyscale("user", "suspend", "--missing-from", staff, "--dry-run", "-o", "json")

    chosen = {user["email"] for user in json.loads(done.stdout)["to_suspend"]}
    assert chosen == {"jane@example.com", "-zoe@example.com", "ann@example.com"}


def test_the_command_that_creates_the_others_reads_the_file_alike(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "staff.txt"
    file.write_text("Mail,Who,Floor\nnew@example.com,New,7\n")
    options = ["--format", "csv", "--column=Mail=email", "--column=Who=name", "--column=Floor="]

    done = anyscale("user", "suspend", "--missing-from", file, *options)

    assert f"batch-create -f {file} {' '.join(options)} --if-exists skip" in done.stderr


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
        (["jnae@example.com,J", "ann@example.com,A"], 1, "staff.csv has no account"),
        (["jnae@example.com,J", "nan@example.com,A"], 1, "staff.csv have no account"),
        ([], 2, "has no users: every account would be suspended"),
        (["jane,Jane"], 2, "1 problem; nobody was suspended"),
    ],
)
def test_a_file_that_is_probably_wrong_suspends_nobody(
    anyscale: RunAnyscale, tmp_path: Path, lines: list[str], status: int, message: str
) -> None:
    done = anyscale("user", "suspend", "--missing-from", csv(tmp_path, *lines), "--yes")

    assert (done.returncode, message in done.stderr) == (status, True), done.stderr
    assert suspended(anyscale) == set()


def test_a_file_without_users_is_refused_before_the_accounts_are_listed(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    done = anyscale("user", "suspend", "--missing-from", csv(tmp_path), "--dry-run")

    assert (done.returncode, done.stdout, "to suspend." in done.stderr) == (2, "", False)


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
        ["suspend", "-f", "x", "--missing-from", "x"],
        ["restore", "a@example.com", "-f", "x"],
    ],
)
def test_exactly_one_way_chooses_the_accounts(anyscale: RunAnyscale, arguments: list[str]) -> None:
    done = anyscale("user", *arguments)
    assert (done.returncode, "say one of EMAIL|ID" in done.stderr) == (2, True)


CHANGED = """create_users:
- {email: jane@example.com, name: "'Jane' \\"$HOME\\"", lastname: Doe, title: -f}
- {email: -zoe@example.com, name: Zoe, is_sso_user: false}
- {email: ann@example.com, lastname: Müller}
- {email: new@example.com, name: New}
"""


def test_names_titles_and_sso_of_a_file_are_applied(anyscale: RunAnyscale, tmp_path: Path) -> None:
    file = tmp_path / "changed.yaml"
    file.write_text(CHANGED, encoding="utf-8")

    refused = anyscale("user", "verify", "-f", file, "--apply")
    assert refused.returncode == 2
    assert "use --yes to continue; nobody was corrected" in refused.stderr
    assert audited(anyscale, "account.updated") == 0
    command = ["user", "verify", "-f", str(file), "--apply"]
    status, shown = on_a_terminal(*command, typed=b"yes\n", when=QUESTION)
    assert (status, "This corrects 3 accounts." in shown) == (1, True)  # one has no account
    assert "3 accounts corrected." in shown
    left = anyscale("user", "verify", "-f", file).stdout.splitlines()
    assert [line.split(": ", 1)[1] for line in left] == ["'new@example.com' has no account"]
    assert audited(anyscale, "account.updated") == 3
    again = anyscale(*command)
    assert (again.returncode, "There is nothing to correct." in again.stderr) == (1, True)


def test_accounts_to_which_nobody_can_sign_in_any_more_are_counted(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "staff.csv"
    file.write_text("email,is_sso_user\n-zoe@example.com,\njane@example.com,true\n")
    done = anyscale("user", "verify", "-f", file, "--apply", "--yes")
    assert "2 accounts corrected." in done.stderr
    message = "1 account of them without SSO and without a password: create links"
    assert message in done.stderr
    assert "`anyscale user set-password-link --without-credentials --output" in done.stderr


def test_status_0_says_that_everything_is_as_in_the_file(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, "jane@example.com,Janet")
    done = anyscale("user", "verify", "-f", file, "--apply", "--yes")
    assert (done.returncode, "1 account corrected." in done.stderr) == (0, True)


def test_status_1_says_that_there_are_more_accounts_than_in_the_file(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, "jane@example.com,Janet")
    done = anyscale("user", "verify", "-f", file, "--apply", "--extra", "--yes")
    assert (done.returncode, "1 account corrected." in done.stderr) == (1, True)


def test_the_same_command_goes_on_after_a_failure(
    anyscale: RunAnyscale, server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
    monkeypatch.setenv("ANYSCALE_HOST", server.url)
    assert anyscale("user", "batch-create", "-f", "-", stdin=PEOPLE).returncode == 0
    changed = csv(tmp_path, "jane@example.com,J", "ann@example.com,A", "boss@example.com,B")
    leavers = ["user", "suspend", "-f", str(changed), "--yes"]
    back = ["user", "restore", "-f", str(changed), "--yes"]
    correct = ["user", "verify", "-f", str(changed), "--apply", "--yes"]
    for command, call in ((correct, "PATCH"), (leavers, "/suspend"), (back, "/restore")):
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
            r"error: 1 of [23] accounts (corrected|suspended|restored), and then: .+\n"
            r"Run the same command again: ",
            failed.stderr,
        ), failed.stderr
        # The refused call had changed its account: its response was lost.
        assert re.search(r" 1 account (corrected|suspended|restored)\.", again.stderr), again.stderr
    events = ("account.updated", "account.suspended", "account.restored")
    assert [audited(anyscale, event) for event in events] == [3, 3, 3]


@pytest.mark.parametrize("output", ["text", "json"])
def test_all_is_corrected_if_nobody_reads_the_differences(
    anyscale: RunAnyscale, tmp_path: Path, output: str
) -> None:
    file = csv(tmp_path, "jane@example.com,Janet", "ann@example.com,Anna")
    done = run_unread("user", "verify", "-f", file, "--apply", "--yes", "-o", output)

    assert (done.returncode, "2 accounts corrected." in done.stderr) == (0, True), done.stderr
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


@pytest.mark.parametrize("edited", ["jane@example.com", "ann@example.com"])
def test_what_somebody_edits_during_the_question_is_not_overwritten(
    anyscale: RunAnyscale, tmp_path: Path, edited: str
) -> None:
    file = csv(tmp_path, "jane@example.com,Janet", "ann@example.com,Ann")

    status, shown = on_a_terminal(
        *("user", "verify", "-f", file, "--apply"),
        typed=b"yes\n",
        when=QUESTION,
        before=lambda: anyscale("user", "update", edited, "--name", "Edited"),
    )

    assert (status, name_of(anyscale, edited)) == (3, "Edited"), shown
    words = " ".join(shown.split())
    assert "This corrects 1 account." in words
    assert f"and then: the accounts have changed: that of '{edited}' has other" in words
    assert "Run the same command again: " in words


def test_what_somebody_else_corrects_during_the_question_does_not_remain(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, "jane@example.com,Janet", "ann@example.com,Anna")

    status, shown = on_a_terminal(
        *("user", "verify", "-f", file, "--apply"),
        typed=b"yes\n",
        when=QUESTION,
        before=lambda: anyscale("user", "update", "ann@example.com", "--name", "Anna"),
    )

    assert (status, "1 account corrected." in shown) == (0, True), shown


@pytest.mark.parametrize(("edited", "corrected"), [("ann@example.com", 1), ("jane@example.com", 0)])
def test_what_somebody_edits_during_the_corrections_is_not_overwritten(
    anyscale: RunAnyscale,
    server: ServerProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    edited: str,
    corrected: int,
) -> None:
    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
    monkeypatch.setenv("ANYSCALE_HOST", server.url)
    assert anyscale("user", "batch-create", "-f", "-", stdin=PEOPLE).returncode == 0
    file = csv(tmp_path, "jane@example.com,Janet", "ann@example.com,Anna")

    def edit(call: str) -> None:
        if call.startswith("PATCH"):
            anyscale("user", "update", edited, "--name", "Edited")

    with FaultyProxy([server.port], edit) as proxy:
        stopped = anyscale("user", "verify", "-f", file, "--apply", "--yes", "--host", proxy.url)

    assert (stopped.returncode, name_of(anyscale, edited)) == (3, "Edited")
    message = f"error: {corrected} of 2 accounts corrected, and then: the accounts have changed"
    assert message in stopped.stderr


def test_an_account_that_is_created_anew_during_the_question_is_not_corrected(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, "ann@example.com,Anna")

    def create_anew() -> None:
        anyscale("user", "delete", "ann@example.com", "--yes")
        anyscale("user", "batch-create", "-f", "-", "--if-exists", "skip", stdin=PEOPLE)

    status, shown = on_a_terminal(
        *("user", "verify", "-f", file, "--apply"),
        typed=b"yes\n",
        when=QUESTION,
        before=create_anew,
    )

    assert (status, name_of(anyscale, "ann@example.com")) == (3, "Ann"), shown


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


def test_accounts_that_get_an_email_or_a_number_of_the_file_meanwhile_are_skipped(
    anyscale: RunAnyscale, configured_server: ServerProcess, tmp_path: Path
) -> None:
    assert anyscale("user", "batch-create", "-f", "-", stdin=PEOPLE).returncode == 0
    file = tmp_path / "staff.csv"
    file.write_text("email,name,external_id\nann@example.com,A,7\n", encoding="utf-8")
    renamed = [
        ("ann@example.com", "--email", "roe@example.com"),
        ("jane@example.com", "--email", "ann@example.com", "--reuse-email"),
        ("boss@example.com", "--external-id", "7"),
    ]

    def change(call: str) -> None:
        while "GET /v1/users?" in call and renamed:
            assert anyscale("user", "update", *renamed.pop(0)).returncode == 0

    with FaultyProxy([configured_server.port], change) as proxy:
        command = ["user", "suspend", "--missing-from", str(file), "--yes"]
        done = anyscale(*command, "--host", proxy.url)

    assert done.returncode == 0, done.stderr
    assert suspended(anyscale) == {"-zoe@example.com"}
    for name in ("ann", "boss"):
        assert f"{name}@example.com: it got an email or a number of the file" in done.stderr


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


@pytest.mark.parametrize("file_format", ["csv", "yaml"])
def test_a_file_whose_last_line_has_no_end_suspends_nobody_by_itself(
    anyscale: RunAnyscale, tmp_path: Path, file_format: str
) -> None:
    file = tmp_path / f"staff.{file_format}"
    text = {
        "csv": "email\nboss@example.com\njane@example.com",
        "yaml": "create_users:\n- email: boss@example.com\n- email: jane@example.com",
    }
    file.write_text(text[file_format])
    command = ["user", "suspend", "--missing-from", file, "--yes"]

    refused = anyscale(*command)
    assert (refused.returncode, suspended(anyscale)) == (2, set())
    assert "staff." in refused.stderr
    assert "has no end, so it may be cut off" in refused.stderr
    assert anyscale(*command, "--dry-run").returncode == 2
    done = anyscale(*command, "--unterminated")
    assert (done.returncode, suspended(anyscale)) == (0, {"-zoe@example.com", "ann@example.com"})


def test_json_needs_no_last_line_end_and_a_list_of_leavers_neither(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "staff.json"
    file.write_text('{"create_users": [{"email": "boss@example.com"}]}')
    assert anyscale("user", "suspend", "--missing-from", file, "--dry-run").returncode == 0
    leavers = csv(tmp_path, "ann@example.com,Ann")
    leavers.write_text(leavers.read_text().rstrip())
    assert anyscale("user", "suspend", "-f", leavers, "--yes").returncode == 0
    refused = anyscale("user", "suspend", "-f", leavers, "--unterminated")
    assert (refused.returncode, "is for --missing-from" in refused.stderr) == (2, True)


def test_more_corrections_than_at_most_correct_nobody(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, "jane@example.com,J", "ann@example.com,A")
    command = ["user", "verify", "-f", file, "--apply", "--yes", "--at-most"]

    refused = anyscale(*command, "1")
    assert refused.returncode == 1
    message = "error: 2 accounts to correct, and --at-most is 1: nobody was corrected"
    assert message in refused.stderr
    assert audited(anyscale, "account.updated") == 0
    assert anyscale(*command, "2").returncode == 0
    assert audited(anyscale, "account.updated") == 2
    without = anyscale("user", "verify", "-f", file, "--at-most", "1")
    assert (without.returncode, "--at-most is for --apply" in without.stderr) == (2, True)


def test_a_file_that_was_cut_in_its_last_cell_corrects_nobody_by_itself(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = csv(tmp_path, "jane@example.com,J", "ann@example.com,Ann")
    file.write_text(file.read_text().rstrip()[:-1])  # her name is An
    command = ["user", "verify", "-f", file, "--apply", "--yes"]

    refused = anyscale(*command)
    assert refused.returncode == 2
    assert "staff.csv has no end, so it may be cut off" in refused.stderr
    assert "nobody was corrected" in refused.stderr
    assert audited(anyscale, "account.updated") == 0
    assert anyscale(*command, "--unterminated").returncode == 0
    assert audited(anyscale, "account.updated") == 2
    assert anyscale(*command).returncode == 0, "nothing is left to correct"
    without = anyscale("user", "verify", "-f", file, "--unterminated")
    assert (without.returncode, "--unterminated is for --apply" in without.stderr) == (2, True)


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
    assert "60 users checked: 60 differences." in differences.stderr
