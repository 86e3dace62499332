"""Output on a terminal and elsewhere: a bar or plain lines, and no traceback."""

import csv
import io
import json
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale, run_unread
from tests.support.commands.terminal import on_a_terminal
from tests.support.faults.faulty_proxy import Fault, FaultyProxy, delay
from tests.support.servers.fixed_responses import IDENTITY, answering, http, problem
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import write_flow_users_file

from anyscale.domain.validation import Policy

#: so many passwords are not one request, and need a bar
FEW = 20

#: passwords in a chunk of `slow_server`, in place of 128
CHUNK = 20


@pytest.fixture
def slow_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A control plane that takes 0.2 seconds for each chunk of passwords, on any processor."""
    turn = threading.Lock()

    def respond_in_turn(client: socket.socket, response: bytes) -> bool:
        with turn:
            return delay(0.2)(client, response)

    def plan(call: str) -> Fault | None:
        return respond_in_turn if call.endswith("/passwords") else None

    small_chunks = {"anyscale.server.settings.Policy": partial(Policy, chunk_passwords=CHUNK)}
    database = f"sqlite:///{tmp_path}/served/anyscale.db"
    with (
        ServerProcess(database, tmp_path, constants=small_chunks) as server,
        FaultyProxy([server.port], plan) as proxy,
    ):
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
        yield


def users_with_passwords(folder: Path, count: int) -> Path:
    """Write a file of users who all have passwords."""
    return write_flow_users_file(folder / "users.yaml", range(count), count)


def frames_of(shown: str) -> list[str]:
    """Give what the bar shows, one time after the other."""
    frames = [frame.partition("\n")[0] for frame in shown.split("\r\x1b[2K")[1:]]
    return [CODES.sub("", frame).rstrip() for frame in frames if "%" in frame]


COLOUR = re.compile(r"\x1b\[[0-9;]*m")
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_long_work_shows_a_bar_with_a_rate_and_the_time_left(
    slow_server: None, tmp_path: Path
) -> None:
    count = 24 * CHUNK  # on a loaded machine, a step of the bar shows several chunks
    users = users_with_passwords(tmp_path, count)

    status, shown = on_a_terminal("user", "batch-create", "-f", users, env={"NO_COLOR": ""})

    assert status == 0, shown
    plain = CODES.sub("", shown)
    assert re.search(r"Hashing .*\d+%.* \d+/s .*0:\d\d:\d\d left", plain)
    frames = frames_of(shown)
    assert re.fullmatch("Hashing ━+ +0%", frames[0])
    percents = [int(re.findall(r"(\d+)%", frame)[0]) for frame in frames]
    assert percents == sorted(percents)
    assert len(set(percents)) >= 8
    before = plain.index(f"Hashing {count} passwords, which takes most of the time...")
    assert before < re.search(r"Hashing .*\d+%", plain).start()  # type: ignore[union-attr]  # it matches, as asserted before
    assert plain.splitlines()[-2].endswith(f"{count:,} users created.")
    assert any(code != "\x1b[0m" for code in COLOUR.findall(shown))


def test_a_dumb_terminal_gets_no_codes(tmp_path: Path) -> None:
    users = users_with_passwords(tmp_path, FEW)

    status, shown = on_a_terminal("user", "batch-create", "-f", users, env={"TERM": "dumb"})

    assert status == 0, shown
    assert "\x1b" not in shown
    assert all(line.startswith("(anyscale +") for line in shown.splitlines()[:-1])


def test_ctrl_c_is_answered_below_a_bar_that_has_no_colours_with_no_color(
    slow_server: None, tmp_path: Path
) -> None:
    users = users_with_passwords(tmp_path, 36 * CHUNK)

    status, shown = on_a_terminal(
        *("user", "batch-create", "-f", users), env={"NO_COLOR": "1"}, typed=b"\x03", when=b"left"
    )  # the columns of the rate and of the time, "left", have colours

    assert status == 130
    assert not COLOUR.search(shown)
    assert frames_of(shown)[0].split() == ["Hashing", "0%"]
    assert "-" not in "".join(frames_of(shown))
    end = [line for line in CODES.sub("", shown).splitlines() if line][-2:]
    assert re.fullmatch(
        r"\(anyscale \+\d+\.\ds\) Stopping after the requests in progress: "
        r"press Ctrl-C again to exit at once\.\.\.",
        end[0],
    )
    assert end[1] == "interrupted: run the same command again to continue where it stopped"


CALL = """
import sys, anyscale, anyscale.progress
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.argon2id import CHEAPEST
from anyscale.user.models import AdminCreateUser
ControlPlane.__init__.__kwdefaults__["profile"] = CHEAPEST
anyscale.progress._LINE_EVERY = 0
users = [AdminCreateUser(f"n{i}", f"u{i}@x.io", f"kx-{i}-quvam-dirolt") for i in range(20)]
anyscale.user.admin_batch_create(users, progress=eval(sys.argv[1]))
print("rich" in sys.modules)
"""


@pytest.mark.parametrize("progress", [None, True, False])
def test_the_sdk_draws_on_a_terminal_unless_it_may_not(progress: bool | None) -> None:
    status, shown = on_a_terminal(
        "-c", CALL, str(progress), command=sys.executable, env={"NO_COLOR": ""}
    )

    assert status == 0, shown
    is_drawn = progress is not False
    assert bool(frames_of(shown)) == is_drawn
    assert shown.split()[-1].endswith(str(is_drawn))
    if is_drawn:
        assert re.fullmatch("Hashing ━+ +0%", frames_of(shown)[0])


@pytest.mark.parametrize("progress", [None, True, False])
def test_the_sdk_writes_lines_elsewhere_only_if_it_must(progress: bool | None) -> None:
    command = [sys.executable, "-c", CALL, str(progress)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert bool(re.match(r"Hashing: \d+%", done.stderr)) == (progress is True)
    assert "\x1b" not in done.stderr
    assert done.stdout == f"{progress is True}\n"


def test_without_a_terminal_progress_is_plain_lines(anyscale: RunAnyscale, tmp_path: Path) -> None:
    users = users_with_passwords(tmp_path, FEW)

    result = anyscale("user", "batch-create", "-f", users)

    assert result.returncode == 0
    assert "\x1b" not in result.stderr
    assert all(line.startswith("(anyscale +") for line in result.stderr.splitlines()[:-1])


def test_short_work_draws_nothing(tmp_path: Path) -> None:
    users = write_flow_users_file(tmp_path / "users.yaml", range(3))

    _, shown = on_a_terminal("user", "batch-create", "-f", users)

    assert "\x1b" not in shown


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"NO_COLOR": "", "TERM": "dumb"}])
def test_an_error_and_its_names_stand_out_only_where_a_terminal_has_colours(
    env: dict[str, str],
) -> None:
    command = ("user", "get", "nobody@example.com")

    _, shown = on_a_terminal(*command, env={"NO_COLOR": ""})
    _, plain = on_a_terminal(*command, env=env)

    assert "\x1b[1;31merror:\x1b[0m " in shown
    assert "\x1b[1m'nobody@example.com'\x1b[0m" in shown
    assert COLOUR.sub("", shown).splitlines()[-1] == plain.splitlines()[-1]


def test_a_wrong_command_line_stands_out_as_an_error_does() -> None:
    status, shown = on_a_terminal("user", "list", "--emial", "x", env={"NO_COLOR": ""})
    _, plain = on_a_terminal("user", "list", "--emial", "x", env={"NO_COLOR": "1"})

    assert status == 2
    assert "\x1b[1;31mError:\x1b[0m No such option \x1b[1m'--emial'\x1b[0m" in shown
    assert COLOUR.sub("", shown) == plain


def test_reading_from_a_terminal_says_how_to_end() -> None:
    text = b"create_users:\n- {name: a, email: a@b.io}\n\x04"

    status, shown = on_a_terminal("user", "batch-create", "-f", "-", typed=text)

    assert status == 0, shown
    assert "Reading users from the terminal: end with Ctrl-D." in shown
    assert "1 user created." in shown


#: so many lines do not wait in a buffer until the command ends
LINES = 400


def test_a_closed_pipe_causes_no_traceback(anyscale: RunAnyscale, tmp_path: Path) -> None:
    users = write_flow_users_file(tmp_path / "users.yaml", range(LINES))
    assert anyscale("user", "batch-create", "-f", users).returncode == 0

    outputs = ("text", "json", "jsonl", "csv", "yaml")
    said = {output: run_unread("user", "list", "-o", output).stderr for output in outputs}

    assert said == dict.fromkeys(outputs, "")


#: the installed command, but that `server check` measures one hash on each core
MEASURING_ONE_HASH = """
import anyscale.cli
import anyscale.server.check.hashing
anyscale.server.check.hashing._SECONDS = 0
anyscale.cli.main()
"""


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (["user", "batch-create", "-f", "wrong.csv", "-o", "json"], 2),
        (["user", "verify", "-f", "wrong.csv", "-o", "json"], 2),
        (["audit", "verify", "-o", "json", "--head", f"9:{'0' * 64}"], 1),
        (["server", "check"], 1),
        (["server", "check", "-o", "json"], 1),
    ],
)
def test_a_failure_has_its_status_if_nobody_reads_the_output(
    command: list[str], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wrong.csv").write_text("email,name\njane,Jane\n")

    done = run_unread(*command, program=(sys.executable, "-c", MEASURING_ONE_HASH))

    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr


@pytest.mark.parametrize("output", ["text", "json"])
def test_a_comparison_whose_reader_leaves_says_nothing_of_it(output: str, tmp_path: Path) -> None:
    file = write_flow_users_file(tmp_path / "users.yaml", range(LINES))

    done = run_unread("user", "verify", "-f", file, "-o", output)

    assert done.returncode == 1  # something is different
    assert "error" not in done.stderr
    assert "checked" not in done.stderr


@pytest.mark.parametrize(
    ("typed", "status", "message"),
    [
        (b"Jane@example.com\n", 0, "jane@example.com is deleted."),
        (b"y\n", 2, "that is another email: nobody was deleted"),
        (b"\n", 2, "that is another email: nobody was deleted"),
        (b"\x04", 2, "that is another email: nobody was deleted"),
    ],
)
def test_deleting_asks_for_the_email_on_a_terminal(
    anyscale: RunAnyscale, typed: bytes, status: int, message: str
) -> None:
    file = "create_users:\n- {name: Jane, email: jane@example.com, lastname: Doe}\n"
    assert anyscale("user", "batch-create", "-f", "-", stdin=file).returncode == 0

    found, shown = on_a_terminal(
        *("user", "delete", "JANE@example.com"), typed=typed, when=b"Type the email to continue:"
    )

    assert (found, message in shown) == (status, True), shown
    assert "This erases Jane Doe (jane@example.com) for good." in shown
    listed = anyscale("user", "list", "-o", "jsonl").stdout
    assert bool(listed) == (status != 0)


EVIL = "\x1b]0;pwn\x07\x9b31mEVIL\u202e\nline2"
HARMLESS = r"\u001b]0;pwn\u0007\u009b31mEVIL\u202e\u000aline2"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def test_what_a_database_says_reaches_the_terminal_escaped(
    anyscale: RunAnyscale, data: Path
) -> None:
    users = "name,email\nJane,jane@example.com\n"
    created = anyscale("user", "batch-create", "-f", "-", "--format", "csv", stdin=users)
    assert created.returncode == 0, created.stderr
    connection = sqlite3.connect(data / "anyscale.db")
    with connection:
        connection.execute("update users set name = ?", (EVIL,))
        connection.execute("update audit set data = ?", (EVIL,))
    connection.close()

    assert HARMLESS in anyscale("user", "list").stdout
    for output in ("text", "json", "jsonl", "yaml", "csv"):
        for what in ("user", "audit"):
            assert not CONTROLS.search(anyscale(what, "list", "-o", output).stdout), output
    [line] = anyscale("user", "list", "-o", "jsonl").stdout.splitlines()
    assert json.loads(line)["name"] == EVIL


def test_what_a_server_says_reaches_the_terminal_escaped(anyscale: RunAnyscale) -> None:
    answer = problem(409, "not_found", EVIL)
    with answering(answer) as port:
        host = {"ANYSCALE_HOST": f"http://127.0.0.1:{port}", "ANYSCALE_CLI_TOKEN": "t"}
        result = anyscale("user", "list", env=host)
    assert result.stderr.splitlines() == [f"error: {HARMLESS}"]


def test_a_hash_of_the_audit_log_that_is_none_is_not_understood(anyscale: RunAnyscale) -> None:
    texts = dict.fromkeys(["actor", "event", "subject", "data"], "{}")
    entries = [{"number": at, "at": 1, "hash": "zz", **texts} for at in (5, 6)]
    with answering(http("200 OK", IDENTITY, body=json.dumps({"entries": entries}))) as port:
        host = {"ANYSCALE_HOST": f"http://127.0.0.1:{port}", "ANYSCALE_CLI_TOKEN": "t"}
        result = anyscale("audit", "verify", env=host)
    assert "is not understood" in result.stderr


@pytest.mark.parametrize("name", ["new\nline.yaml", "esc\x1b[31m.yaml"])
def test_a_file_name_reaches_the_terminal_escaped(
    name: str, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    harmless = name.replace("\n", r"\u000a").replace("\x1b", r"\u001b")
    missing = anyscale("user", "batch-create", "-f", tmp_path / name)
    (tmp_path / name).write_text("create_users:\n- {name: A, email: foo}\n")
    wrong = anyscale("user", "batch-create", "-f", tmp_path / name)

    assert missing.stderr.splitlines()[-1].startswith(f"error: cannot read {tmp_path}/{harmless}")
    assert f"{tmp_path}/{harmless}:2:20: create_users[0].email" in wrong.stderr
    assert "\x1b" not in missing.stderr + wrong.stderr


def test_csv_is_safe_for_spreadsheets_and_jsonl_is_lossless(anyscale: RunAnyscale) -> None:
    names = ["=HYPERLINK(1)", "+1", "-1", "@x", "Jane"]
    users = [{"name": name, "email": f"={at}@example.com"} for at, name in enumerate(names)]
    lines = "\n".join(map(json.dumps, users))
    created = anyscale(
        "user", "batch-create", "-f", "-", "--format", "jsonl", "-o", "csv", stdin=lines
    )
    listed = anyscale("user", "list", "-o", "csv")

    for result in (created, listed):
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert [row["name"] for row in rows] == ["'=HYPERLINK(1)", "'+1", "'-1", "'@x", "Jane"]
        assert [row["email"] for row in rows] == [f"'={at}@example.com" for at in range(5)]
    lossless = anyscale("user", "list", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["name"] for line in lossless] == names
