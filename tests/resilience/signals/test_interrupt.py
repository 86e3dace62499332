"""Ctrl-C during a batch."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.support.commands.command_process import CommandProcess
from tests.support.commands.running import RunAnyscale, start_command
from tests.support.databases.locks import HASHED, count_in, locked_when
from tests.support.faults.pausing import PausingHashes, paused_calls
from tests.support.faults.stopping import stop_process
from tests.support.hashing import passwords_for_all_cores
from tests.support.paths import ROOT
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import write_flow_users_file
from tests.support.waiting import wait_until

from anyscale.batch_run import bounded_executor
from anyscale.batch_run import run as batch_run
from anyscale.domain.validation import Policy

OPEN = "select count(*) from batches where state = 'open'"

#: in place of 10,000 users
SMALL_CHUNKS = {"anyscale.server.settings.Policy": partial(Policy, chunk_users=1_000)}

#: in place of two seconds: how long a run waits for what is under way after a first Ctrl-C
PATIENT = {"anyscale.batch_run.bounded_executor._GRACE": 3_600}

#: more than the first chunk of a run
PASSWORDS = 100

HASH_PASSWORDS = "anyscale.server.core.batches.service.hash_passwords"


@pytest.fixture
def pause(tmp_path: Path) -> Path:
    """A file that exists: while it does, no more than the first passwords are hashed."""
    file = tmp_path / "pause"
    file.touch()
    return file


def database_in(data: Path) -> Path:
    return data / "anyscale.db"


def has_calls_in_progress(pause: Path) -> bool:
    """Return whether a run waits for chunks of passwords that cannot be hashed now.

    A chunk may wait in its thread before the run has noted it; by the next one, it has.
    """
    return paused_calls(pause) > 1


def wait_while_running(process: CommandProcess, condition: Callable[[], object]) -> None:
    """Wait until a condition is true; fail if the process ends before."""

    def is_true() -> bool:
        assert process.poll() is None, process.stderr
        return bool(condition())

    wait_until(is_true, 120)


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("count", "is_hashing", "moment"),
    [
        # So many that the test sees the first chunks before the last one.
        (10_000, False, "select count(*) from chunks"),
        (1_010, True, HASHED),
    ],
    ids=["reading", "hashing"],
)
def test_an_interrupted_run_resumes_by_the_same_command(
    count: int,
    is_hashing: bool,
    moment: str,
    times: int,
    tmp_path: Path,
    data: Path,
) -> None:
    passwords = passwords_for_all_cores(2) if is_hashing else 0
    count = max(count, passwords)
    users = write_flow_users_file(tmp_path / "users.yaml", range(count), passwords)

    command = ("user", "batch-create", "-f", users)
    process = start_command(*command, real_hashes=True, constants=SMALL_CHUNKS)
    with locked_when(process, database_in(data), moment):
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
    done = process.finish()

    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "interrupted: run the same command again to continue where it stopped"
    )
    assert count_in(database_in(data), OPEN) == 1
    again = start_command(*command, constants=SMALL_CHUNKS).finish()
    assert again.returncode == 0, again.stderr
    assert "Continuing with batch" in again.stderr
    assert f"{count:,} users created." in again.stderr


def test_ctrl_c_is_acknowledged_while_passwords_are_hashed(tmp_path: Path, pause: Path) -> None:
    users = write_flow_users_file(tmp_path / "users.yaml", range(PASSWORDS), PASSWORDS)
    command = ("user", "batch-create", "-f", users)
    constants = PATIENT | {HASH_PASSWORDS: PausingHashes(pause)}
    process = start_command(*command, constants=constants)
    wait_while_running(process, lambda: has_calls_in_progress(pause))
    process.send_signal(signal.SIGINT)
    # It is acknowledged before the wait for the calls in progress, which would last for an hour.
    wait_while_running(process, lambda: "press Ctrl-C again" in process.stderr)
    pause.unlink()
    done = process.finish()

    stopping, interrupted = done.stderr.splitlines()[-2:]
    assert done.returncode == 130
    assert stopping.endswith(
        ") Stopping after the requests in progress: press Ctrl-C again to exit at once..."
    )
    assert interrupted.startswith("interrupted: ")


def test_a_run_that_waits_for_another_run_can_be_interrupted(
    anyscale: RunAnyscale, tmp_path: Path, data: Path, pause: Path
) -> None:
    reserved = write_flow_users_file(tmp_path / "held.yaml", range(PASSWORDS), PASSWORDS)
    pausing = {HASH_PASSWORDS: PausingHashes(pause)}
    holder = start_command("user", "batch-create", "-f", reserved, constants=pausing)
    with locked_when(holder, database_in(data), HASHED):  # so it has not locked the database
        stop_process(holder.pid)
    users = write_flow_users_file(tmp_path / "users.yaml", range(1_050))
    process = start_command("user", "batch-create", "-f", users)
    wait_while_running(process, lambda: "Waiting at most" in process.stderr)
    process.send_signal(signal.SIGINT)
    interrupted = process.finish()
    pause.unlink()
    holder.send_signal(signal.SIGCONT)
    done = holder.finish()

    assert interrupted.returncode == 130, interrupted.stderr
    assert "Traceback" not in interrupted.stderr
    assert done.returncode == 0, done.stderr
    assert anyscale("user", "batch-create", "-f", users).returncode == 1


#: seconds from the first Ctrl-C to the end, at most, on a machine that needs less than one itself
BOUND = 5.0
#: of which these are waits
WAITS = bounded_executor._GRACE + batch_run._DROP_SECONDS


def bound() -> float:
    """Return `BOUND`, or more on a machine that is slow now: a short command is measured.

    It is measured while a run is in progress, so that both have the same load.
    """
    started = time.monotonic()
    start_command("batch", "list").finish()
    return max(BOUND, WAITS + 5 * (time.monotonic() - started))


@pytest.fixture
def served(
    tmp_path: Path, pause: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[ServerProcess, Path]]:
    """A server that the environment names, and its database."""
    database = database_in(tmp_path / "server")
    constants = {HASH_PASSWORDS: PausingHashes(pause)}
    with ServerProcess(f"sqlite:///{database}", tmp_path, constants=constants) as server:
        monkeypatch.setenv("ANYSCALE_HOST", server.url)
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
        yield server, database


def freeze(server: ServerProcess) -> None:
    server.signal(signal.SIGSTOP)


@pytest.mark.parametrize(
    ("way_out", "stdin", "status", "last"),
    [
        (
            freeze,
            False,
            130,
            "interrupted: run the same command again to continue where it stopped",
        ),
        (freeze, True, 3, "Drop the batch by `anyscale batch drop bat_"),
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
    users = write_flow_users_file(tmp_path / "users.yaml", range(PASSWORDS), PASSWORDS)
    arguments = ("user", "batch-create", "-f", "-" if stdin else users)
    process = start_command(*arguments, stdin=users if stdin else "/dev/null")
    wait_while_running(process, lambda: count_in(database, HASHED))
    in_time = bound()
    with locked_when(process, database, HASHED):
        way_out(server)

    pressed = time.monotonic()
    process.send_signal(signal.SIGINT)
    done = process.finish()

    took = time.monotonic() - pressed
    assert (done.returncode, took < in_time) == (status, True), (took, in_time, done.stderr)
    assert done.stderr.splitlines()[-1].startswith(last)
    assert "Traceback" not in done.stderr


def press(process: CommandProcess) -> bool:
    """Press Ctrl-C. Python handles one that comes right before it waits only after the wait."""
    process.send_signal(signal.SIGINT)
    return False


def test_a_second_ctrl_c_ends_a_run_at_once(
    served: tuple[ServerProcess, Path], pause: Path, tmp_path: Path
) -> None:
    server, database = served
    users = write_flow_users_file(tmp_path / "users.yaml", range(PASSWORDS), PASSWORDS)
    process = start_command("user", "batch-create", "-f", users, constants=PATIENT)
    wait_while_running(process, lambda: has_calls_in_progress(pause))
    with locked_when(process, database, HASHED):
        freeze(server)

    process.send_signal(signal.SIGINT)
    wait_while_running(process, lambda: "press Ctrl-C again to exit at once" in process.stderr)
    wait_until(lambda: process.poll() is not None or press(process))
    done = process.finish()

    assert done.returncode == 130
    assert done.stderr.splitlines()[-1].startswith("interrupted: run the same command again")
    server.signal(signal.SIGCONT)
    pause.unlink()
    again = start_command("user", "batch-create", "-f", users).finish()
    assert again.returncode == 0, again.stderr
    assert "Continuing with batch" in again.stderr


def test_the_call_of_the_sdk_drops_its_batch_after_ctrl_c(data: Path, pause: Path) -> None:
    code = (
        "import anyscale, pathlib, signal\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from anyscale.batch_run import run; run._DROP_SECONDS = 60.0\n"
        "from anyscale.server.core.batches import service\n"
        "from anyscale.user.models import AdminCreateUser\n"
        "from tests.support.faults.pausing import PausingHashes\n"
        f"service.hash_passwords = PausingHashes(pathlib.Path({str(pause)!r}))\n"
        "anyscale.user.admin_batch_create(AdminCreateUser"
        f"(f'n{{i}}', f'u{{i}}@example.com', f'kx-{{i}}-quvam-dirolt') for i in range({PASSWORDS}))"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        # Until it has said so, no call in progress ends.
        wait_until(lambda: has_calls_in_progress(pause) or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        first = process.stderr.readline()
        pause.unlink()
        shown = process.stderr.read()
        status = process.wait(60)

    assert status == -signal.SIGINT
    assert first.startswith("Stopping after the requests in progress: press Ctrl-C again")
    assert shown.rstrip().endswith("KeyboardInterrupt")
    batches = "select count(*) from batches where state = 'dropped'"
    assert count_in(database_in(data), batches) == 1
    assert count_in(database_in(data), "select count(*) from users") == 0
