"""Ctrl-C during a batch."""

import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.commands.command_process import CommandProcess
from tests.support.commands.running import RunAnyscale, start_command
from tests.support.paths import ANYSCALE
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import write_flow_users_file
from tests.support.waiting import wait_until

HASHED = "select count(*) from users where password_hash is not null"


def wait_while_running(
    process: CommandProcess | subprocess.Popen[str], condition: Callable[[], object]
) -> None:
    """Wait until a condition is true; fail if the process ends before."""

    def is_true() -> bool:
        assert process.poll() is None, process.stderr
        return bool(condition())

    wait_until(is_true, 120)


def interrupt_when(condition: Callable[[], bool], users: Path, times: int = 1) -> tuple[int, str]:
    process = start_command("user", "batch-create", "-f", users, real_hashes=True)
    wait_while_running(process, condition)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    done = process.finish()
    return done.returncode, done.stderr


def batches(data: Path, sql: str) -> int:
    if not (data / "anyscale.db").exists():
        return 0
    connection = sqlite3.connect(data / "anyscale.db")
    try:
        return int(connection.execute(sql).fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()


def stop_outside_a_transaction(process: CommandProcess, data: Path) -> None:
    """Stop a process while it has not locked the database, which others can then write."""
    with closing(sqlite3.connect(data / "anyscale.db", timeout=30, isolation_level=None)) as own:
        own.execute("begin immediate")
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)  # until the signal has arrived
        own.execute("rollback")


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("count", "passwords", "moment"),
    [
        (30_000, 0, "select count(*) from chunks"),
        (1_010, 80, HASHED),
    ],
    ids=["reading", "hashing"],
)
def test_an_interrupted_run_resumes_by_the_same_command(
    count: int,
    passwords: int,
    moment: str,
    times: int,
    anyscale: RunAnyscale,
    tmp_path: Path,
    data: Path,
) -> None:
    users = write_flow_users_file(tmp_path / "users.yaml", range(count), passwords)

    status, log = interrupt_when(lambda: batches(data, moment) > 0, users, times)

    assert status == 130, log
    assert "Traceback" not in log
    assert "Exception" not in log
    assert log.splitlines()[-1] == (
        "interrupted: run the same command again to go on where it stopped"
    )
    assert batches(data, "select count(*) from batches where state = 'open'") == 1
    again = anyscale("user", "batch-create", "-f", users)
    assert again.returncode == 0, again.stderr
    assert "Going on with batch" in again.stderr
    assert f"{count} users created." in again.stderr


def test_ctrl_c_is_acknowledged_while_passwords_are_hashed(tmp_path: Path, data: Path) -> None:
    users = write_flow_users_file(tmp_path / "users.yaml", range(1_100), 1_100)
    with subprocess.Popen(
        [ANYSCALE, "user", "batch-create", "-f", str(users)],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        # Two chunks are hashed at a time, so the next one is under way.
        wait_while_running(process, lambda: batches(data, HASHED))
        signalled = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stderr
        lines = [(line.rstrip(), time.monotonic()) for line in process.stderr]

    (stopping, heard), (interrupted, ended) = lines[-2:]
    assert process.returncode == 130
    assert stopping.endswith(
        ") Stopping after what is under way: press Ctrl-C again to end at once..."
    )
    assert interrupted.startswith("interrupted: ")
    assert heard - signalled < 1
    assert ended - signalled < 5


def test_a_run_that_waits_for_another_run_can_be_interrupted(
    anyscale: RunAnyscale, tmp_path: Path, data: Path
) -> None:
    held = write_flow_users_file(tmp_path / "held.yaml", range(1_010), 90)
    holder = start_command("user", "batch-create", "-f", held, real_hashes=True)
    wait_while_running(holder, lambda: batches(data, HASHED))
    stop_outside_a_transaction(holder, data)
    users = write_flow_users_file(tmp_path / "users.yaml", range(1_050))

    def waits() -> bool:
        return batches(data, "select count(*) from batches") == 2

    status, log = interrupt_when(waits, users)
    holder.send_signal(signal.SIGCONT)
    done = holder.finish()

    assert status == 130, log
    assert "Traceback" not in log
    assert done.returncode == 0, done.stderr
    assert anyscale("user", "batch-create", "-f", users).returncode == 1


#: seconds from the first Ctrl-C to the end, at most
BOUND = 5.0


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ServerProcess, Path]]:
    """A server that the environment names, and the folder of its database."""
    database = tmp_path / "server"
    with ServerProcess(f"sqlite:///{database}/anyscale.db", tmp_path, real_hashes=True) as server:
        monkeypatch.setenv("ANYSCALE_HOST", server.url)
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
        yield server, database


def freeze(server: ServerProcess) -> None:
    server.signal(signal.SIGSTOP)


@pytest.mark.parametrize(
    ("way_out", "stdin", "status", "last"),
    [
        (freeze, False, 130, "interrupted: run the same command again to go on where it stopped"),
        (freeze, True, 3, "Run the same command again"),
        (ServerProcess.kill, False, 130, "interrupted: run the same command again"),
    ],
    ids=["slow", "slow and not to be resumed", "down"],
)
def test_ctrl_c_ends_a_run_in_time_whatever_the_server_does(
    way_out: Callable[[ServerProcess], None],
    stdin: bool,
    status: int,
    last: str,
    served: tuple[ServerProcess, Path],
    tmp_path: Path,
) -> None:
    server, database = served
    process = hashing_run(tmp_path, database, stdin=stdin)
    way_out(server)

    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    done = process.finish()

    took = time.monotonic() - pressed
    assert (done.returncode, took < BOUND) == (status, True), (took, done.stderr)
    assert done.stderr.splitlines()[-1].startswith(last)
    assert "Traceback" not in done.stderr


def test_a_second_ctrl_c_ends_a_run_at_once(
    served: tuple[ServerProcess, Path], tmp_path: Path
) -> None:
    server, database = served
    process = hashing_run(tmp_path, database, passwords=150)
    freeze(server)

    process.send_signal(signal.SIGINT)
    wait_while_running(process, lambda: "press Ctrl-C again to end at once" in process.stderr)
    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    done = process.finish()

    assert time.monotonic() - pressed < 1
    assert done.returncode == 130
    assert done.stderr.splitlines()[-1].startswith("interrupted: run the same command again")
    server.signal(signal.SIGCONT)
    again = start_command("user", "batch-create", "-f", tmp_path / "users.yaml").finish()
    assert again.returncode == 0, again.stderr
    assert "Going on with batch" in again.stderr


def hashing_run(
    folder: Path, database: Path, passwords: int = 400, *, stdin: bool = False
) -> CommandProcess:
    """Start a run; give it when the server has stored the first hashes."""
    users = write_flow_users_file(folder / "users.yaml", range(passwords), passwords)
    arguments = ("user", "batch-create", "-f", "-" if stdin else users)
    process = start_command(*arguments, stdin=users if stdin else "/dev/null")
    wait_while_running(process, lambda: batches(database, HASHED))
    return process


def test_the_call_of_the_sdk_drops_its_batch_after_ctrl_c(data: Path) -> None:
    code = (
        "import anyscale, signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from anyscale.user.models import AdminCreateUser\n"
        "anyscale.user.admin_batch_create("
        "AdminCreateUser(f'n{i}', f'u{i}@example.com', f'kx-{i}-quvam-dirolt') for i in range(800))"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        wait_while_running(process, lambda: batches(data, HASHED))
        pressed = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.stderr
        shown = process.stderr.read()

    assert process.returncode == -signal.SIGINT
    assert time.monotonic() - pressed < BOUND
    assert shown.startswith("Stopping after what is under way: press Ctrl-C again to end at once")
    assert shown.rstrip().endswith("KeyboardInterrupt")
    assert batches(data, "select count(*) from batches where state = 'dropped'") == 1
    assert batches(data, "select count(*) from users") == 0
