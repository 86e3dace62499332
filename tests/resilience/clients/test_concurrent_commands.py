"""Many commands at once on one control plane."""

import json
import signal
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale, start_command, wait_for_commands
from tests.support.databases.locks import locked_when
from tests.support.faults.stopping import stop_process
from tests.support.hashing import passwords_for_all_cores
from tests.support.users_files import write_flow_users_file


def emails(anyscale: RunAnyscale) -> list[str]:
    lines = anyscale("user", "list", "-o", "jsonl").stdout.splitlines()
    return [json.loads(line)["email"] for line in lines]


@pytest.mark.parametrize("count", [2, 1_100])
def test_eight_first_commands_at_once_all_succeed(
    count: int, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    files = [
        write_flow_users_file(tmp_path / f"{n}.yaml", range(n * count, (n + 1) * count))
        for n in range(8)
    ]

    runs = [start_command("user", "batch-create", "-f", file) for file in files]
    done = wait_for_commands(runs)

    assert [run.returncode for run in done] == [0] * 8, [run.stderr for run in done]
    assert sorted(emails(anyscale)) == sorted(f"u{i}@example.com" for i in range(8 * count))


@pytest.mark.parametrize("count", [30, 1_200])
def test_overlapping_files_create_each_email_once_and_each_command_reports_its_result(
    count: int, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    step = count // 3
    numbers_of_files = [range(n * step, n * step + count) for n in range(8)]
    files = [
        write_flow_users_file(tmp_path / f"{n}.yaml", numbers)
        for n, numbers in enumerate(numbers_of_files)
    ]

    runs = [start_command("user", "batch-create", "-f", file, "-o", "json") for file in files]
    done = wait_for_commands(runs)

    live = emails(anyscale)
    assert len(live) == len(set(live))
    created: set[str] = set()
    for run, numbers in zip(done, numbers_of_files, strict=True):
        own = {f"u{i}@example.com" for i in numbers}
        if run.returncode == 0:
            assert {user["email"] for user in json.loads(run.stdout)} == own
            created |= own
        else:
            assert run.returncode == 1, run.stderr
            problems = json.loads(run.stdout)["problems"]
            # Accounts refuse the batch; emails of other open batches are problems too.
            assert "email_exists" in {problem["code"] for problem in problems}
            assert {problem["code"] for problem in problems} <= {"email_exists", "email_reserved"}
            # Every email that it reports as existing exists.
            existing = {
                f"u{numbers[problem['index']]}@example.com"
                for problem in problems
                if problem["code"] == "email_exists"
            }
            assert existing <= set(live)
    assert created == set(live)
    assert created
    assert json.loads(anyscale("batch", "list", "--open", "-o", "json").stdout) == []


def test_a_second_command_on_one_file_reports_that_the_first_is_running(
    anyscale: RunAnyscale, tmp_path: Path, data: Path
) -> None:
    passwords = min(1_100, passwords_for_all_cores(0.5))
    users = write_flow_users_file(tmp_path / "users.yaml", range(1_100), passwords)
    first = start_command("user", "batch-create", "-f", users, real_hashes=True)
    with locked_when(first, data / "anyscale.db", "select count(*) from chunks"):
        stop_process(first.pid)

    second = anyscale("user", "batch-create", "-f", users)
    first.send_signal(signal.SIGCONT)
    done = first.finish(600)  # hashing has the lowest priority

    assert second.returncode == 3
    assert f"process {first.pid} is creating the users of {users}" in second.stderr
    assert "wait until it has ended" in second.stderr
    assert done.returncode == 0, done.stderr
    assert len(emails(anyscale)) == 1_100


def test_control_planes_in_different_homes_are_independent(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    users = write_flow_users_file(tmp_path / "users.yaml", range(3))

    for name in ("one", "two"):
        home = {"ANYSCALE_DATA_DIR": str(tmp_path / name)}
        assert anyscale("user", "batch-create", "-f", users, env=home).returncode == 0
    assert emails(anyscale) == []
