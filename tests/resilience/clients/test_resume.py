"""The same command resumes an unfinished run, and logs what it does."""

import fcntl
import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.support.commands.running import CommandResult, RunAnyscale, start_command
from tests.support.databases.locks import HASHED, locked_when
from tests.support.faults.stopping import stop_process
from tests.support.hashing import passwords_for_all_cores
from tests.support.users_files import write_flow_users_file
from tests.support.waiting import wait_until

Create = Callable[..., CommandResult]

DROPPED = "`anyscale audit list --newest-first` shows who dropped it, and when (`batch.dropped`)"


RESERVED = "select count(*) from chunks"
#: passwords in the first chunk of a run
FIRST_CHUNK = 8


def rows(data: Path, sql: str) -> list[Any]:
    connection = sqlite3.connect(data / "anyscale.db", timeout=30)
    try:
        return connection.execute(sql).fetchall()
    except sqlite3.OperationalError:  # without a schema yet
        return []
    finally:
        connection.close()


def hashes(data: Path) -> dict[str, str]:
    found = rows(data, "select email, password_hash from users where password_hash is not null")
    return dict(found)


def kill_when(
    data: Path, sql: str, users: Path, more_than: int = 0, env: dict[str, str] | None = None
) -> None:
    """Create the users of a file, and kill the run as soon as a query gives a larger number."""
    process = start_command("user", "batch-create", "-f", users, env=env, real_hashes=True)
    with locked_when(process, data / "anyscale.db", sql, more_than):
        process.kill()
    assert process.wait() == -signal.SIGKILL


@pytest.fixture
def half_done(tmp_path: Path, data: Path) -> Path:
    """A file of 1,200 users, some with passwords, whose run was killed once all were reserved."""
    passwords = min(1_200, passwords_for_all_cores(1))
    users = write_flow_users_file(tmp_path / "half.yaml", range(1_200), passwords)
    kill_when(data, RESERVED, users)
    return users


class Killed(NamedTuple):
    """A home with the state of a killed run, and a copy of it."""

    home: Path
    copy: Path
    #: of the users, who all have one
    passwords: int


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """What `half_hashed` is made of, once since hashes take long."""
    folder = tmp_path_factory.mktemp("killed")
    home, copy = folder / "home", folder / "copy"
    data = home / ".local" / "share" / "anyscale"
    home.mkdir()
    passwords = min(1_200, passwords_for_all_cores(2))
    users = write_flow_users_file(home / "half.yaml", range(1_200), passwords)
    kill_when(data, HASHED, users, FIRST_CHUNK, {"HOME": str(home)})
    shutil.copytree(home, copy)
    return Killed(home, copy, passwords)


@pytest.fixture
def half_hashed(killed: Killed, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of 1,200 users whose run was killed when some of the passwords were hashed."""
    # A run is found by the real paths of its file and of its control plane, so they stay the same.
    shutil.rmtree(killed.home)
    shutil.copytree(killed.copy, killed.home)
    monkeypatch.setenv("HOME", str(killed.home))
    home.rmdir()
    home.symlink_to(killed.home)
    return killed.home / "half.yaml"


def emails(anyscale: RunAnyscale) -> list[str]:
    lines = anyscale("user", "list", "-o", "jsonl").stdout.splitlines()
    return [json.loads(line)["email"] for line in lines]


def test_the_same_command_resumes_and_keeps_the_stored_hashes(
    half_hashed: Path, killed: Killed, anyscale: RunAnyscale, data: Path
) -> None:
    before = hashes(data)
    assert emails(anyscale) == []

    result = anyscale("user", "batch-create", "-f", half_hashed)

    assert result.returncode == 0, result.stderr
    assert "Continuing with batch bat_" in result.stderr
    assert "1,200 users created." in result.stderr
    assert len(emails(anyscale)) == len(set(emails(anyscale))) == 1_200
    after = hashes(data)
    assert len(before) > FIRST_CHUNK
    assert len(after) == killed.passwords
    assert before.items() <= after.items()
    assert not list((data / "runs").iterdir())


def test_an_unfinished_batch_is_shown_with_its_owner_and_its_times(
    half_hashed: Path, killed: Killed, anyscale: RunAnyscale
) -> None:
    (batch,) = json.loads(anyscale("batch", "list", "--open", "-o", "json").stdout)

    shown = json.loads(anyscale("batch", "show", batch["batch_id"], "-o", "json").stdout)

    assert (shown["state"], shown["users"], shown["opened_by"]) == ("open", 1_200, "local:root")
    assert 0 < shown["hashes_due"] < killed.passwords
    assert shown["opened_at"] <= shown["touched_at"]


def test_a_run_starts_a_new_batch_if_its_batch_was_dropped(
    half_hashed: Path, anyscale: RunAnyscale, data: Path
) -> None:
    ((batch_id,),) = rows(data, "select batch_id from batches")
    assert anyscale("batch", "drop", batch_id, "--yes").returncode == 0
    assert rows(data, "select 1 from users") == []

    result = anyscale("user", "batch-create", "-f", half_hashed)

    assert result.returncode == 0, result.stderr
    assert f"Its unfinished batch {batch_id} was dropped: a new one begins.\n{DROPPED}.\n" in (
        result.stderr
    )
    newest = anyscale("audit", "list", "--newest-first", "-o", "jsonl").stdout.splitlines()
    entries = [json.loads(line) for line in newest]
    (entry,) = (entry for entry in entries if entry["event"] == "batch.dropped")
    assert (entry["subject"], entry["actor"]) == (batch_id, "local:root")
    assert len(emails(anyscale)) == 1_200


def test_a_run_whose_batch_is_dropped_meanwhile_says_that_the_next_begins_anew(
    anyscale: RunAnyscale, data: Path, tmp_path: Path
) -> None:
    passwords = min(1_200, passwords_for_all_cores(2))
    users = write_flow_users_file(tmp_path / "users.yaml", range(1_200), passwords)
    running = start_command("user", "batch-create", "-f", users, real_hashes=True)
    with locked_when(running, data / "anyscale.db", HASHED):
        stop_process(running.pid)
    ((batch_id,),) = rows(data, "select batch_id from batches")
    assert anyscale("batch", "drop", batch_id, "--yes").returncode == 0

    running.send_signal(signal.SIGCONT)
    done = running.finish()

    assert done.returncode == 3
    error, advice = done.stderr.splitlines()[-2:]
    assert error == f"error: batch {batch_id} was dropped"
    assert advice.startswith("Run the same command again: it begins a new batch, or reports")


def test_a_run_starts_a_new_batch_if_its_batch_expired(
    half_done: Path, anyscale: RunAnyscale, data: Path
) -> None:
    connection = sqlite3.connect(data / "anyscale.db")
    connection.execute("update batches set touched_at = touched_at - 8 * 24 * 60 * 60 * 1000")
    connection.commit()
    connection.close()
    other = write_flow_users_file(half_done.with_name("other.yaml"), range(1), prefix="other")
    assert anyscale("user", "batch-create", "-f", other).returncode == 0

    result = anyscale("user", "batch-create", "-f", half_done)

    assert result.returncode == 0, result.stderr
    assert "was expired: a new one begins." in result.stderr


def test_a_changed_file_drops_the_old_batch_first(
    half_hashed: Path, anyscale: RunAnyscale, data: Path
) -> None:
    ((old,),) = rows(data, "select batch_id from batches")
    write_flow_users_file(half_hashed, range(1_100))

    result = anyscale("user", "batch-create", "-f", half_hashed)

    assert result.returncode == 0, result.stderr
    assert f"have changed: its unfinished batch {old} was dropped." in result.stderr
    assert len(emails(anyscale)) == 1_100
    assert rows(data, "select count(*) from users") == [(1_100,)]


def test_changed_options_drop_the_old_batch_first(half_done: Path, anyscale: RunAnyscale) -> None:
    result = anyscale("user", "batch-create", "-f", half_done, "--if-exists", "skip")

    assert result.returncode == 0, result.stderr
    assert "was dropped." in result.stderr
    assert len(emails(anyscale)) == 1_200


@pytest.mark.parametrize("count", [1, 1_100])
def test_the_emails_of_a_killed_run_in_this_home_are_released(
    count: int, half_done: Path, anyscale: RunAnyscale, data: Path
) -> None:
    ((old,),) = rows(data, "select batch_id from batches")
    same = write_flow_users_file(half_done.with_name("same.yaml"), range(count))

    tried = anyscale("user", "batch-create", "-f", same, "--dry-run")
    result = anyscale("user", "batch-create", "-f", same)

    assert tried.returncode == 0, tried.stderr
    assert result.returncode == 0, result.stderr
    line = f"Dropped the unfinished batch {old}, which had reserved some of these emails.\n"
    assert line in result.stderr
    assert len(emails(anyscale)) == count


@pytest.mark.parametrize("count", [2, 1_200])
def test_a_result_that_could_not_be_written_is_reported_again(
    count: int, anyscale: RunAnyscale, data: Path, tmp_path: Path
) -> None:
    users = write_flow_users_file(tmp_path / "users.yaml", range(count))
    lost = anyscale("user", "batch-create", "-f", users, "-o", "json", stdout="/dev/full")
    assert lost.returncode == 3
    assert "their list could not be written" in lost.stderr
    assert len(emails(anyscale)) == count
    (kept,) = (data / "runs").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700
    copy = shutil.copy(kept, tmp_path / "copy")

    for _ in range(2):
        again = anyscale("user", "batch-create", "-f", users, "-o", "json")

        assert again.returncode == 0, again.stderr
        ((batch_id,),) = rows(data, "select batch_id from batches")
        assert f"{count:,} users created." in again.stderr
        assert f"already created by batch {batch_id} at 20" in again.stderr
        assert len(json.loads(again.stdout)) == count
        assert not list((data / "runs").iterdir())
        # As if it had been killed before it deleted the state file.
        shutil.copy(copy, kept)


def test_a_file_that_changed_after_an_unwritten_result_names_the_earlier_batch(
    anyscale: RunAnyscale, data: Path, tmp_path: Path
) -> None:
    users = write_flow_users_file(tmp_path / "users.yaml", range(2))
    anyscale("user", "batch-create", "-f", users, "-o", "json", stdout="/dev/full")
    write_flow_users_file(users, range(3))

    result = anyscale("user", "batch-create", "-f", users)

    ((batch_id,),) = rows(data, "select batch_id from batches")
    assert result.returncode == 1
    assert f"an earlier run of it had created batch {batch_id}." in result.stderr
    assert f"{users}:2:21: create_users[0].email: 'u0@example.com' has an account already" in (
        result.stderr
    )


@pytest.mark.parametrize("count", [2, 1_200])
def test_a_policy_that_changed_after_an_unwritten_result_names_the_earlier_batch(
    count: int, anyscale: RunAnyscale, data: Path, tmp_path: Path
) -> None:
    users = write_flow_users_file(tmp_path / "users.yaml", range(count), 1)
    anyscale("user", "batch-create", "-f", users, "-o", "json", stdout="/dev/full")

    longer = {"ANYSCALE_PASSWORD_MIN_LENGTH": "64"}
    result = anyscale("user", "batch-create", "-f", users, env=longer)

    ((batch_id,),) = rows(data, "select batch_id from batches")
    assert result.returncode == 2
    assert "is shorter than 64 characters" in result.stderr
    assert f"but an earlier run of them had created batch {batch_id}." in result.stderr


@pytest.mark.parametrize("garbage", [b"", b"{", b'{"key": 1}\n', b"\xff\x00\n\n", b"[]\nnull\n"])
def test_a_damaged_state_file_is_ignored(
    garbage: bytes, anyscale: RunAnyscale, data: Path, tmp_path: Path
) -> None:
    users = write_flow_users_file(tmp_path / "users.yaml", range(2))
    anyscale("user", "batch-create", "-f", users, "-o", "json", stdout="/dev/full")
    (kept,) = (data / "runs").iterdir()
    for name in ("anyscale.db", "anyscale.db-wal", "anyscale.db-shm"):
        (data / name).unlink(missing_ok=True)
    kept.write_bytes(garbage)

    result = anyscale("user", "batch-create", "-f", users)

    assert result.returncode == 0, result.stderr
    assert not list((data / "runs").iterdir())


@pytest.mark.parametrize(("count", "state"), [(2, "published"), (1_200, "open")])
def test_a_changed_file_of_the_same_size_and_time_starts_a_new_batch(
    count: int, state: str, anyscale: RunAnyscale, data: Path, tmp_path: Path
) -> None:
    passwords = min(count, passwords_for_all_cores(1))
    users = write_flow_users_file(tmp_path / "users.yaml", range(count), passwords)

    if state == "open":
        kill_when(data, RESERVED, users)
    else:
        anyscale("user", "batch-create", "-f", users, "-o", "json", stdout="/dev/full")
    ((old, found),) = rows(data, "select batch_id, state from batches")
    assert found == state
    before = users.stat()
    users.write_text(users.read_text().replace("email: u", "email: v"))
    os.utime(users, ns=(before.st_atime_ns, before.st_mtime_ns))

    result = anyscale("user", "batch-create", "-f", users)

    assert result.returncode == 0, result.stderr
    messages = {
        "open": f"its unfinished batch {old} was dropped.",
        "published": f"an earlier run of it had created batch {old}.",
    }
    assert f"The file or the options have changed: {messages[state]}" in result.stderr
    assert f"{count:,} users created." in result.stderr
    created = [email for email in emails(anyscale) if email.startswith("v")]
    assert len(created) == count
    assert not list((data / "runs").iterdir())


def test_a_check_whether_a_run_is_abandoned_does_not_stop_the_run(
    anyscale: RunAnyscale, data: Path, tmp_path: Path
) -> None:
    users = write_flow_users_file(tmp_path / "users.yaml", range(2))
    anyscale("user", "batch-create", "-f", users, "-o", "json", stdout="/dev/full")
    (kept,) = (data / "runs").iterdir()
    with kept.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # It waits as long as this lasts, also on a slow machine.
        constants = {"anyscale.cli.user.resume_file._LOCK_PATIENCE": 60.0}
        again = start_command("user", "batch-create", "-f", users, constants=constants)
        wait_until(lambda: "Using the control plane" in again.stderr)
        time.sleep(0.05)

    done = again.finish()
    assert done.returncode == 0, done.stderr


def test_the_first_command_creates_a_private_data_directory(
    anyscale: RunAnyscale, data: Path, tmp_path: Path
) -> None:
    anyscale("user", "batch-create", "-f", write_flow_users_file(tmp_path / "users.yaml", range(2)))

    assert data.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in data.rglob("*")} == {0}


def test_an_interrupted_batch_from_standard_input_is_dropped(
    tmp_path: Path, data: Path, anyscale: RunAnyscale
) -> None:
    passwords = min(1_200, passwords_for_all_cores(2))
    users = write_flow_users_file(tmp_path / "users.yaml", range(1_200), passwords)
    process = start_command(
        *("user", "batch-create", "-f", "-"),
        stdin=users,
        real_hashes=True,
        constants={"anyscale.batch_run.run._DROP_SECONDS": 60.0},
    )
    with locked_when(process, data / "anyscale.db", HASHED):
        process.send_signal(signal.SIGINT)
    done = process.finish()

    assert done.returncode == 130, done.stderr
    assert rows(data, "select state from batches") == [("dropped",)]
    assert rows(data, "select 1 from users") == []
    assert anyscale("user", "batch-create", "-f", users).returncode == 0
