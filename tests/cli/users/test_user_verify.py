"""`anyscale user verify`, with the embedded control plane and with servers."""

import json
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.callers import token_of_role
from tests.support.commands.running import CommandResult, RunAnyscale, start_command
from tests.support.faults.faulty_proxy import Fault, FaultyProxy, delay
from tests.support.servers.control_planes import new_control_plane
from tests.support.servers.server_in_process import serve_in_process
from tests.support.servers.server_process import ServerProcess

from anyscale.domain.validation import Policy
from anyscale.errors import BatchUnfinished
from anyscale.users_file import UsersFile

FILE = """create_users:
- {name: Jane, email: jane@example.com, lastname: Doe, title: Engineer}
- {name: Zoë, email: zoe@example.com, is_sso_user: true}
- {name: Ann, email: ann@example.com, password: correct-donkey-battery}
"""

#: users that one call looks up
CHUNK = 2_000
#: differences that are kept in memory, in place of 10,000
FEW_KEPT = 1_000

#: the command, in an interpreter of its own
KEEPING_FEW = f"""
import anyscale.cli
import anyscale.comparison.verification
anyscale.comparison.verification._KEPT = {FEW_KEPT}
anyscale.cli.main()
"""

NOT_COMPARED = "The file was not compared to its end"


def verified(anyscale: RunAnyscale, file: Path, *options: str) -> tuple[int, Any]:
    done = anyscale("user", "verify", "-f", file, "-o", "json", *options)
    assert "Traceback" not in done.stderr
    return done.returncode, json.loads(done.stdout)


def write_csv(file: Path, count: int, *, last: str = "") -> Path:
    rows = (f"user{i}@example.com,User\n" for i in range(count))
    file.write_text("email,name\n" + "".join(rows) + last)
    return file


@pytest.mark.usefixtures("control_plane")
def test_a_file_is_as_its_accounts_until_either_changes(anyscale: RunAnyscale, users: Path) -> None:
    assert verified(anyscale, users) == (0, {"differences": [], "checked": 3})
    users.write_text(
        FILE.replace("title: Engineer", "title: Manager").replace("zoe@", "ZOE@")
        + "- {name: Lou, email: lou@example.com}\n",
        encoding="utf-8",
    )
    anyscale("user", "set-role", "jane@example.com", "owner")
    assert anyscale("user", "suspend", "ann@example.com").returncode == 0

    status, found = verified(anyscale, users)
    shown = anyscale("user", "verify", "-f", users)

    assert (status, shown.returncode, found["checked"]) == (1, 1, 4)
    assert [
        (d["index"], d["line"], d["column"], d["email"], d["kind"], d["field"], d["file"])
        for d in found["differences"]
    ] == [
        (0, 2, 23, "jane@example.com", "different", "title", "Manager"),
        (2, 4, 22, "ann@example.com", "suspended", None, None),
        (3, 5, 22, "lou@example.com", "missing", None, None),
    ]
    assert found["differences"][0]["account"] == "Engineer"
    title = "title is 'Manager', and 'Engineer' in the account of 'jane@example.com'"
    assert shown.stdout.splitlines() == [
        f"{users}:2:23: {title}, which no file changes since it is an owner's",
        f"{users}:4:22: the account of 'ann@example.com' is suspended",
        f"{users}:5:22: 'lou@example.com' has no account",
    ]
    assert "4 users checked: 3 differences." in shown.stderr


@pytest.mark.usefixtures("control_plane")
def test_accounts_that_the_file_lacks_are_listed_on_demand(
    anyscale: RunAnyscale, users: Path
) -> None:
    users.write_text("\n".join(FILE.splitlines()[:3]) + "\n", encoding="utf-8")
    assert verified(anyscale, users)[0] == 0
    status, found = verified(anyscale, users, "--extra")
    assert (status, [user["email"] for user in found["extra"]]) == (1, ["ann@example.com"])
    shown = anyscale("user", "verify", "-f", users, "--extra")
    assert "ann@example.com: has an account (usr_" in shown.stdout
    assert "1 account is not in the file." in shown.stderr


def test_the_accounts_that_the_file_lacks_show_whether_they_are_suspended(
    anyscale: RunAnyscale, users: Path
) -> None:
    users.write_text("\n".join(FILE.splitlines()[:3]) + "\n", encoding="utf-8")
    assert anyscale("user", "suspend", "ann@example.com").returncode == 0
    only_one = anyscale("user", "verify", "-f", users, "--extra")

    users.write_text("\n".join(FILE.splitlines()[:2]) + "\n", encoding="utf-8")
    two = anyscale("user", "verify", "-f", users, "--extra")
    status, found = verified(anyscale, users, "--extra")

    assert "1 account is not in the file, and it is suspended." in only_one.stderr
    assert "2 accounts are not in the file, 1 of them suspended." in two.stderr
    assert {
        line.partition(":")[0]: line.endswith(" (suspended)") for line in two.stdout.splitlines()
    } == {
        "zoe@example.com": False,
        "ann@example.com": True,
    }
    assert (only_one.returncode, two.returncode, status) == (1, 1, 1)
    assert {user["email"]: user["suspended_at"] is not None for user in found["extra"]} == {
        "zoe@example.com": False,
        "ann@example.com": True,
    }


@pytest.mark.usefixtures("users")
def test_only_the_fields_of_the_file_are_compared_in_nfc_and_without_passwords(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    for name, text in (
        ("some.csv", "email,name\njane@example.com,Jane\nzoe@example.com,Zoë\n"),
        ("decomposed.csv", "email,name\nzoe@example.com,Zoe\u0308\n"),
        ("empty.csv", "email,name,lastname,title\nzoe@example.com,Zoë,,\n"),
        ("some.jsonl", '{"email": "jane@example.com", "name": "Jane"}\n'),
        ("some.yaml", "create_users:\n- name: Jane\n  email: jane@example.com\n"),
        ("short.csv", "email,name,password\nann@example.com,Ann,x\n"),
    ):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        checked = text.count("@")
        assert verified(anyscale, file) == (0, {"differences": [], "checked": checked}), name


@pytest.mark.usefixtures("users")
def test_a_file_without_names_is_compared_by_its_emails(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "hr.csv"
    file.write_text("email;title\njane@example.com;Manager\nzoe@example.com;\n")
    status, found = verified(anyscale, file, "--extra")
    assert (status, found["checked"]) == (1, 2)
    assert [(d["email"], d["field"]) for d in found["differences"]] == [
        ("jane@example.com", "title")
    ]
    assert [user["email"] for user in found["extra"]] == ["ann@example.com"]
    refused = anyscale("user", "batch-create", "-f", file, "--dry-run")
    assert refused.returncode == 2
    assert "name" in refused.stderr


@pytest.mark.usefixtures("users")
def test_a_field_that_only_the_last_user_has_is_compared(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "hr.jsonl"
    file.write_text(
        '{"name": "Zoë", "email": "zoe@example.com"}\n'
        '{"name": "Jane", "email": "jane@example.com", "title": "Manager"}\n',
        encoding="utf-8",
    )
    _, found = verified(anyscale, file)
    assert [(one["email"], one["field"]) for one in found["differences"]] == [
        ("jane@example.com", "title")
    ]


@pytest.mark.usefixtures("users")
def test_an_explicit_null_is_a_value_of_the_file(anyscale: RunAnyscale, tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    file.write_text(
        "create_users: [{name: Jane, email: jane@example.com, title: null, is_sso_user: true}]"
    )
    status, found = verified(anyscale, file)
    assert (status, [(d["field"], d["file"], d["account"]) for d in found["differences"]]) == (
        1,
        [("title", None, "Engineer"), ("is_sso_user", True, False)],
    )


@pytest.mark.usefixtures("users")
def test_a_wrong_file_is_refused_before_anything_is_compared(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("email,name\nlou@example.com,Lou\nlou@example.com,\n")
    done = anyscale("user", "verify", "-f", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{file}:3:17: lou@example.com, name: is empty" in done.stderr
    assert "2 problems; nothing was compared." in done.stderr
    assert "nobody was created" not in done.stderr
    listed = anyscale("user", "verify", "-f", file, "-o", "json")
    assert [problem["code"] for problem in json.loads(listed.stdout)["problems"]] == [
        "email_duplicate",
        "required",
    ]


def test_without_a_control_plane_all_are_missing_and_nothing_is_created(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "users.yaml"
    file.write_text(FILE, encoding="utf-8")
    status, found = verified(anyscale, file)
    assert (status, [d["kind"] for d in found["differences"]]) == (1, ["missing"] * 3)
    assert not list(tmp_path.rglob("anyscale.db"))


def verify_keeping_few(file: Path, *options: str) -> CommandResult:
    """Compare a file with the accounts; `FEW_KEPT` differences are kept in memory."""
    constants = {"anyscale.comparison.verification._KEPT": FEW_KEPT}
    return start_command("user", "verify", "-f", file, *options, constants=constants).finish()


def test_more_differences_than_are_kept_in_memory_are_all_listed_in_order(tmp_path: Path) -> None:
    count = 2 * CHUNK + 3
    file = write_csv(tmp_path / "users.csv", count)
    done = verify_keeping_few(file, "-o", "json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["checked"]) == (1, count)
    assert [(d["index"], d["line"], d["email"]) for d in found["differences"]] == [
        (index, index + 2, f"user{index}@example.com") for index in range(count)
    ]
    shown = verify_keeping_few(file)
    assert f"{count:,} users checked: {count:,} differences." in shown.stderr
    assert shown.stderr.count("There is no control plane yet") == 1


@pytest.mark.parametrize("missing", [1, 2 * CHUNK])
def test_a_file_that_is_wrong_at_its_end_has_no_difference_listed(
    missing: int, tmp_path: Path
) -> None:
    file = write_csv(tmp_path / "users.csv", missing, last="lou@example.com,\n")
    done = verify_keeping_few(file)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{file}:{missing + 2}:17: lou@example.com, name: is empty" in done.stderr


def test_a_wrong_file_is_reported_also_if_the_server_is_down(
    anyscale: RunAnyscale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSCALE_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", "mrt_x")
    file = write_csv(tmp_path / "users.csv", 5 * CHUNK, last="lou@example.com,\n")
    done = anyscale("user", "verify", "-f", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert "1 problem; nothing was compared." in done.stderr


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_comparison_that_fails_on_the_way_tells_no_difference(
    output: str,
    configured_server: ServerProcess,
    anyscale: RunAnyscale,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(client: socket.socket, _: bytes) -> bool:
        client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        return False

    calls: list[str] = []

    def plan(call: str) -> object:
        calls.append(call)
        return refuse if calls == ["POST /v1/users:find"] * 2 else None

    file = write_csv(tmp_path / "users.csv", CHUNK + 1)
    with FaultyProxy([configured_server.port], plan) as proxy:  # type: ignore[arg-type]  # a plan returns an object
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        done = anyscale("user", "verify", "-f", file, "-o", output)
    assert (done.returncode, done.stdout, len(calls)) == (3, "", 2)
    assert "it is not an anyscale control plane" in done.stderr


def test_a_server_that_is_down_gives_status_3(
    anyscale: RunAnyscale, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "users.yaml"
    file.write_text(FILE, encoding="utf-8")
    monkeypatch.setenv("ANYSCALE_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", "mrt_x")
    for output in ("text", "json"):
        done = anyscale("user", "verify", "-f", file, "-o", output)
        assert (done.returncode, done.stdout) == (3, "")
        assert "is the control plane running?" in done.stderr
        assert done.stderr.endswith(f"{NOT_COMPARED}: run it again.\n")


def test_a_comparison_without_permission_says_with_which_token_to_run_it_again(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "users.yaml"
    file.write_text(FILE, encoding="utf-8")
    control_plane = new_control_plane(tmp_path)
    carl = token_of_role(control_plane, "carl", "collaborator")
    reader = "the token of an owner or a reader"
    with serve_in_process(control_plane) as url:
        for token, needed in ((carl, reader), ("mrt_x", "a new token")):
            env = {"ANYSCALE_HOST": url, "ANYSCALE_CLI_TOKEN": token}
            done = anyscale("user", "verify", "-f", file, env=env)
            assert done.returncode == 3
            assert done.stderr.endswith(f"{NOT_COMPARED}: run it again with {needed}.\n")


def test_a_reader_compares_and_corrects_nobody(
    configured_server: ServerProcess, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "users.yaml"
    file.write_text(FILE, encoding="utf-8")
    assert anyscale("user", "batch-create", "-f", file).returncode == 0
    reader = {"ANYSCALE_CLI_TOKEN": configured_server.token("auditor", "reader")}
    assert anyscale("user", "verify", "-f", file, env=reader).returncode == 0

    file.write_text(FILE.replace("Engineer", "Manager"), encoding="utf-8")
    assert anyscale("user", "verify", "-f", file, env=reader).returncode == 1
    done = anyscale("user", "sync", "-f", file, "--correct", "--yes", env=reader)
    assert "token:auditor has the role reader, which may not change accounts" in done.stderr
    assert verified(anyscale, file)[0] == 1


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("output", ["text", "json"])
def test_differences_that_cannot_be_written_give_status_3(
    output: str, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "other.csv"
    file.write_text("email,name\nlou@example.com,Lou\n")
    done = anyscale("user", "verify", "-f", file, "-o", output, stdout="/dev/full")
    assert done.returncode == 3
    assert "error: standard output could not be written" in done.stderr
    assert done.stderr.endswith(f"{NOT_COMPARED}: run it again.\n")


def test_json_is_written_while_the_rest_is_still_compared(
    configured_server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 5 * CHUNK
    file = write_csv(tmp_path / "users.csv", count)
    calls: list[str] = []
    with FaultyProxy([configured_server.port], calls.append) as proxy:
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        # Nothing reads the rest, so that the command waits with a full pipe.
        arguments = ["user", "verify", "-f", str(file), "-o", "json"]
        command = [sys.executable, "-c", KEEPING_FEW, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
            assert running.stdout
            first = [running.stdout.readline() for _ in range(2)]
            compared = len(calls) * CHUNK
            rest = running.stdout.read()
    assert first[0] == '{"differences": [\n'
    assert json.loads(first[1].removesuffix(",\n"))["index"] == 0
    assert FEW_KEPT <= compared < count
    assert (running.returncode, json.loads("".join(first) + rest)["checked"]) == (1, count)


def test_no_password_is_sent_and_the_emails_are_not_compressed(
    configured_server: ServerProcess,
    anyscale: RunAnyscale,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "users.yaml"
    more = [f"user{at}@example.com" for at in range(60)]  # over a kilobyte
    file.write_text(FILE + "".join(f"- email: {email}\n" for email in more), encoding="utf-8")
    with FaultyProxy([configured_server.port], lambda _: None) as proxy:
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        done = anyscale("user", "verify", "-f", file, "--extra")
        history = proxy.finished_history()
    assert done.returncode == 1
    (find,) = [exchange for exchange in history if exchange.call == "POST /v1/users:find"]
    emails = ["jane@example.com", "zoe@example.com", "ann@example.com"]
    assert find.request_json == {"emails": [*emails, *more]}
    assert b"content-encoding" not in find.request.lower()  # the response is several times as long
    others = [exchange.request for exchange in history if exchange is not find]
    assert not any(b"donkey" in request for request in others)
    assert "donkey" not in done.stdout + done.stderr


def test_an_interrupted_comparison_gives_status_130(
    configured_server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_csv(tmp_path / "users.csv", 10 * CHUNK)
    has_request = threading.Event()

    def plan(_: str) -> Fault:
        has_request.set()
        return delay(0.5)

    with FaultyProxy([configured_server.port], plan) as proxy:
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        running = start_command("user", "verify", "-f", file, "-o", "json")
        assert has_request.wait(30)
        running.send_signal(signal.SIGINT)
        done = running.finish(60)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines()[-1] == "interrupted"


@pytest.mark.parametrize("name", ["users.csv", "users.json", "users.yaml"])
def test_a_password_in_place_of_the_email_is_never_shown(
    name: str, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / name
    user = {"name": "Ann", "email": "hunter2secret!", "password": "ann@example.com"}
    text = json.dumps({"create_users": [user]})  # which is YAML, too
    if name == "users.csv":
        text = f"{','.join(user)}\n{','.join(user.values())}\n"
    file.write_text(text, encoding="utf-8")
    swapped = "is not an email address, and another field is one: are the two swapped?"

    for command in ("batch-create", "verify"):
        for output in ("text", "json"):
            done = anyscale("user", command, "-f", file, "-o", output)
            assert done.returncode == 2
            assert "hunter2" not in done.stdout + done.stderr
            assert swapped in done.stdout + done.stderr


def test_a_file_that_changes_while_it_is_read_is_not_blamed_for_problems(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    rows = "".join(f"User {i},user{i}@example.com\n" for i in range(15_000))
    path.write_text(f"name,email\n{rows}", encoding="utf-8")
    for verify in (False, True):
        with closing(UsersFile.open(str(path))) as file:
            reading = file.reading(Policy(), verify=verify)
            users = iter(reading)
            next(users)
            with path.open("r+b") as other:
                other.seek(path.stat().st_size // 2)
                other.write(b"\n\0,,,\n")
            with pytest.raises(BatchUnfinished, match="was changed while it was being read"):
                list(users)
            assert reading.problems
