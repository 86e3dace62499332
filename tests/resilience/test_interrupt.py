"""Ctrl-C, at any time."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.commands import RunAnyscale


def users_file(path: Path, count: int, passwords: int) -> Path:
    entries = (
        f"- {{name: n{i}, email: u{i}@example.com"
        + (f", password: kx-{i}-quvam-dirolt" if i < passwords else "")
        + "}\n"
        for i in range(count)
    )
    path.write_text("create_users:\n" + "".join(entries), encoding="utf-8")
    return path


def interrupt_when(condition: Callable[[], bool], users: Path, times: int = 1) -> tuple[int, str]:
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / "anyscale"), "user", "batch-create", "-f", str(users)],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not condition():
        assert process.poll() is None, process.stderr and process.stderr.read()
        time.sleep(0.01)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    _, said = process.communicate(timeout=60)
    return process.returncode, said


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
        (60_000, 0, "select count(*) from pages"),
        (1_100, 200, "select count(*) from users where password_hash is not null"),
    ],
    ids=["reading", "hashing"],
)
def test_an_interrupted_run_says_so_and_goes_on_by_the_same_command(
    count: int,
    passwords: int,
    moment: str,
    times: int,
    anyscale: RunAnyscale,
    tmp_path: Path,
    data: Path,
) -> None:
    users = users_file(tmp_path / "users.yaml", count, passwords)

    status, said = interrupt_when(lambda: batches(data, moment) > 0, users, times)

    assert status == 130, said
    assert "Traceback" not in said
    assert "Exception" not in said
    assert said.splitlines()[-1] == (
        "interrupted: run the same command again to go on where it stopped"
    )
    assert batches(data, "select count(*) from batches where state = 'open'") == 1
    again = anyscale("user", "batch-create", "-f", users)
    assert again.returncode == 0, again.stderr
    assert "Going on with batch" in again.stderr
    assert f"{count} users created." in again.stderr


def test_while_a_page_is_hashed_ctrl_c_is_answered_at_once(tmp_path: Path, data: Path) -> None:
    users = users_file(tmp_path / "users.yaml", 1_100, 1_100)
    with subprocess.Popen(
        [str(Path(sys.executable).parent / "anyscale"), "user", "batch-create", "-f", str(users)],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not batches(data, "select count(*) from users where password_hash is not null"):
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.1)  # the page after those that were first is under way by now
        process.send_signal(signal.SIGINT)
        assert process.stderr
        lines = [(line.rstrip(), time.monotonic()) for line in process.stderr]

    (stopping, heard), (interrupted, ended) = lines[-2:]
    assert process.returncode == 130
    assert stopping.endswith(") Stopping after what is under way...")
    assert interrupted.startswith("interrupted: ")
    assert ended - heard > 0.1  # it was said before the end, and not with it


def test_a_run_that_waits_for_another_one_can_be_interrupted(
    anyscale: RunAnyscale, tmp_path: Path, data: Path
) -> None:
    held = users_file(tmp_path / "held.yaml", 1_100, 200)
    holder = subprocess.Popen(
        [str(Path(sys.executable).parent / "anyscale"), "user", "batch-create", "-f", str(held)],
        stderr=subprocess.PIPE,
        text=True,
    )
    while not batches(data, "select count(*) from users where password_hash is not null"):
        assert holder.poll() is None
        time.sleep(0.01)
    os.kill(holder.pid, signal.SIGSTOP)
    users = users_file(tmp_path / "users.yaml", 1_050, 0)

    def waits() -> bool:
        return batches(data, "select count(*) from batches") == 2

    status, said = interrupt_when(waits, users)
    os.kill(holder.pid, signal.SIGCONT)
    _, held_said = holder.communicate(timeout=60)

    assert status == 130, said
    assert "Traceback" not in said
    assert holder.returncode == 0, held_said
    assert anyscale("user", "batch-create", "-f", users).returncode == 1
