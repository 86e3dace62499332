"""Ctrl-C during a batch."""

import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.commands import RunAnyscale, start_command
from tests.support.paths import ANYSCALE
from tests.support.users_files import write_flow_users_file


def interrupt_when(condition: Callable[[], bool], users: Path, times: int = 1) -> tuple[int, str]:
    process = start_command("user", "batch-create", "-f", users, real_hashes=True)
    while not condition():
        assert process.poll() is None, process.stderr
        time.sleep(0.01)
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


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("count", "passwords", "moment"),
    [
        (60_000, 0, "select count(*) from chunks"),
        (1_100, 200, "select count(*) from users where password_hash is not null"),
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
        while not batches(data, "select count(*) from users where password_hash is not null"):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.1)  # the next chunk is being hashed by now
        process.send_signal(signal.SIGINT)
        assert process.stderr
        lines = [(line.rstrip(), time.monotonic()) for line in process.stderr]

    (stopping, heard), (interrupted, ended) = lines[-2:]
    assert process.returncode == 130
    assert stopping.endswith(") Stopping after what is under way...")
    assert interrupted.startswith("interrupted: ")
    assert ended - heard > 0.1  # well before the end


def test_a_run_that_waits_for_another_run_can_be_interrupted(
    anyscale: RunAnyscale, tmp_path: Path, data: Path
) -> None:
    held = write_flow_users_file(tmp_path / "held.yaml", range(1_100), 200)
    holder = start_command("user", "batch-create", "-f", held, real_hashes=True)
    while not batches(data, "select count(*) from users where password_hash is not null"):
        assert holder.poll() is None
        time.sleep(0.01)
    holder.send_signal(signal.SIGSTOP)
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
