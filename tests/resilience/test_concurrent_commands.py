"""Many commands at once, on one control plane."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.commands import RunAnyscale


def users_file(path: Path, numbers: Sequence[int], passwords: int = 0) -> Path:
    entries = (
        f"- {{name: n{i}, email: u{i}@example.com"
        + (f", password: kx-{i}-quvam-dirolt" if at < passwords else "")
        + "}\n"
        for at, i in enumerate(numbers)
    )
    path.write_text("create_users:\n" + "".join(entries), encoding="utf-8")
    return path


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).parent / "anyscale"), *map(str, arguments)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def emails(anyscale: RunAnyscale) -> list[str]:
    lines = anyscale("user", "list", "-o", "jsonl").stdout.splitlines()
    return [json.loads(line)["email"] for line in lines]


@pytest.mark.parametrize("count", [2, 1_100])
def test_eight_first_uses_at_once_all_succeed(
    count: int, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    files = [
        users_file(tmp_path / f"{n}.yaml", range(n * count, (n + 1) * count)) for n in range(8)
    ]

    runs = [start("user", "batch-create", "-f", file) for file in files]
    said = [run.communicate(timeout=120)[1] for run in runs]

    assert [run.returncode for run in runs] == [0] * 8, said
    assert sorted(emails(anyscale)) == sorted(f"u{i}@example.com" for i in range(8 * count))


@pytest.mark.parametrize("count", [30, 1_200])
def test_of_overlapping_files_each_email_is_created_once_and_each_command_told_the_truth(
    count: int, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    step = count // 3
    wanted = [range(n * step, n * step + count) for n in range(8)]
    files = [users_file(tmp_path / f"{n}.yaml", numbers) for n, numbers in enumerate(wanted)]

    runs = [start("user", "batch-create", "-f", file, "-o", "json") for file in files]
    answers = [run.communicate(timeout=170) for run in runs]

    live = emails(anyscale)
    assert len(live) == len(set(live))
    created: set[str] = set()
    for run, numbers, (out, said) in zip(runs, wanted, answers, strict=True):
        own = {f"u{i}@example.com" for i in numbers}
        if run.returncode == 0:
            assert {user["email"] for user in json.loads(out)} == own
            created |= own
        else:
            assert run.returncode == 1, said
            problems = json.loads(out)["problems"]
            # Accounts refuse it; what others hold at that moment is named too, as held.
            assert "email_exists" in {problem["code"] for problem in problems}
            assert {problem["code"] for problem in problems} <= {"email_exists", "email_held"}
            # Every email that it was told exists does exist.
            told = {
                f"u{numbers[problem['index']]}@example.com"
                for problem in problems
                if problem["code"] == "email_exists"
            }
            assert told <= set(live)
    assert created == set(live)
    assert created
    assert json.loads(anyscale("batch", "list", "--open", "-o", "json").stdout) == []


def test_a_second_command_on_one_file_says_that_the_first_is_running(
    anyscale: RunAnyscale, tmp_path: Path, data: Path
) -> None:
    users = users_file(tmp_path / "users.yaml", range(1_100), passwords=120)
    first = start("user", "batch-create", "-f", users)
    while not (data / "runs").exists() or not list((data / "runs").iterdir()):
        assert first.poll() is None
        time.sleep(0.01)

    second = anyscale("user", "batch-create", "-f", users)
    _, said = first.communicate(timeout=60)

    assert second.returncode == 3
    assert f"process {first.pid} is creating the users of {users}" in second.stderr
    assert "wait until it has ended" in second.stderr
    assert first.returncode == 0, said
    assert len(emails(anyscale)) == 1_100


def test_control_planes_of_different_homes_do_not_disturb_each_other(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    users = users_file(tmp_path / "users.yaml", range(3))

    for name in ("one", "two"):
        home = {"ANYSCALE_DATA_DIR": str(tmp_path / name)}
        assert anyscale("user", "batch-create", "-f", users, env=home).returncode == 0
    assert emails(anyscale) == []
