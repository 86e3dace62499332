"""Kill -9 at each write and sync: a batch is whole or absent, and the same command completes it."""

from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.commands.running import RunAnyscale, list_emails
from tests.support.databases.stored_data import read_database_copy, run_state_files
from tests.support.faults.fault_injection import (
    WRITE_CALLS,
    FaultPoint,
    points_in_trace,
    run_under_strace,
    spread_point,
)
from tests.support.users_files import emails_in_file, write_users_file


class Plan(NamedTuple):
    """A batch, and the state of the data directory before it."""

    users: int
    passwords: int
    #: whether an earlier run was killed after its reservations and before its hashes
    reserved: bool
    #: whether strace follows the main thread alone, which opens and publishes
    main_only: bool = False

    @property
    def options(self) -> list[str]:
        return ["-e", f"trace={','.join(WRITE_CALLS)}", *([] if self.main_only else ["-f"])]


# One transaction in one thread; then large batches, whose chunks have threads of their own.
SMALL = Plan(500, 5, reserved=False)
LARGE = {
    "reservations": Plan(1_500, 20, reserved=False),
    "hashes": Plan(1_500, 20, reserved=True),
    "publishing": Plan(1_500, 20, reserved=True, main_only=True),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    count = metafunc.config.getoption("--kill-points")
    if metafunc.function is test_a_small_batch_survives_a_kill:
        metafunc.parametrize("number", range(count))
    elif "plan_name" in metafunc.fixturenames:
        each = [(name, number) for name in LARGE for number in range(max(2, count // 6))]
        metafunc.parametrize(("plan_name", "number"), each)


@pytest.fixture(scope="module")
def points(tmp_path_factory: pytest.TempPathFactory) -> dict[Plan, list[FaultPoint]]:
    """The points of each plan, filled on first use."""
    return {}


def _points(plan: Plan, known: dict[Plan, list[FaultPoint]], folder: Path) -> list[FaultPoint]:
    if plan not in known:
        trace = folder / "trace"
        home = _home(plan, folder / "counting")
        file = _file(plan, folder)
        options = [*plan.options, "-o", str(trace)]
        # Without -f, strace writes no thread ids.
        result = run_under_strace(
            options, "user", "batch-create", "-f", file, env={"HOME": str(home)}
        )
        assert result.returncode == 0, result.stderr
        if plan.main_only:
            trace.write_text("".join(f"1 {line}\n" for line in trace.read_text().splitlines()))
        known[plan] = points_in_trace(trace)
    return known[plan]


def _file(plan: Plan, folder: Path) -> Path:
    path = folder / f"{plan.users}.yaml"
    # A new file would have another time, and its batch would be another batch.
    return path if path.exists() else write_users_file(path, plan.users, plan.passwords)


def _home(plan: Plan, home: Path) -> Path:
    """Create a home, if the plan says so with a batch that has reserved all of its emails."""
    home.mkdir(exist_ok=True)
    if plan.reserved:
        # The command is killed at its third line on standard error, before it hashes.
        kill = ["-f", "-e", "trace=write", "-e", "inject=write:signal=SIGKILL:when=5"]
        file = _file(plan, home.parent)
        log = ["-o", str(home.parent / "log")]
        run_under_strace([*kill, *log], "user", "batch-create", "-f", file, env={"HOME": str(home)})
        assert "Hashing" in (home.parent / "log").read_text()
    return home


def _kill_and_go_on(
    plan: Plan, point: FaultPoint, anyscale: RunAnyscale, home: Path, tmp_path: Path
) -> None:
    data = home / ".local" / "share" / "anyscale"
    file = _file(plan, tmp_path)
    _home(plan, home)
    inject = ["-e", f"inject={point.call}:signal=SIGKILL:when={point.nth}"]

    log = ["-o", str(tmp_path / "log")]
    killed = run_under_strace([*plan.options, *inject, *log], "user", "batch-create", "-f", file)

    assert killed.returncode == -9, (point, killed)
    before = read_database_copy(data, tmp_path / "before")
    assert list_emails(anyscale) in ([], emails_in_file(plan.users))
    # The last call deletes the state file: a command that is killed by it has reported everything.
    ended = f"{plan.users} users created." in killed.stderr and not run_state_files(data)

    again = anyscale("user", "batch-create", "-f", file)

    assert again.returncode == (1 if ended else 0), (point, again.stderr)
    assert ended <= (point.call == "unlink")
    assert "Traceback" not in again.stderr
    assert list_emails(anyscale) == emails_in_file(plan.users)
    after = read_database_copy(data, tmp_path / "after")
    assert after.emails == emails_in_file(plan.users)
    assert len(after.hashes) == plan.passwords
    assert {email: after.hashes[email] for email in before.hashes} == before.hashes
    assert list(after.batches.values()) == ["published"]
    assert run_state_files(data) == []


def test_a_small_batch_survives_a_kill(
    number: int,
    request: pytest.FixtureRequest,
    points: dict[Plan, list[FaultPoint]],
    anyscale: RunAnyscale,
    home: Path,
    tmp_path: Path,
) -> None:
    count = request.config.getoption("--kill-points")
    point = spread_point(_points(SMALL, points, tmp_path), count, number)

    _kill_and_go_on(SMALL, point, anyscale, home, tmp_path)


def test_a_large_batch_survives_a_kill(
    plan_name: str,
    number: int,
    request: pytest.FixtureRequest,
    points: dict[Plan, list[FaultPoint]],
    anyscale: RunAnyscale,
    home: Path,
    tmp_path: Path,
) -> None:
    plan = LARGE[plan_name]
    count = max(2, request.config.getoption("--kill-points") // 6)
    point = spread_point(_points(plan, points, tmp_path), count, number)

    _kill_and_go_on(plan, point, anyscale, home, tmp_path)


def test_a_batch_completes_after_repeated_kills(
    anyscale: RunAnyscale, home: Path, data: Path, tmp_path: Path
) -> None:
    plan = LARGE["reservations"]
    file = _file(plan, tmp_path)
    hashes: dict[str, str] = {}
    for nth in (3, 9, 30, 60, 120, 8, 20, 40, 4):
        kill = ["-e", f"inject=pwrite64:signal=SIGKILL:when={nth}", "-o", str(tmp_path / "log")]
        run_under_strace([*plan.options, *kill], "user", "batch-create", "-f", file)
        rows = read_database_copy(data, tmp_path / "copy")
        assert hashes.items() <= rows.hashes.items()
        hashes = rows.hashes

    last = anyscale("user", "batch-create", "-f", file)

    assert last.returncode == 0, last.stderr
    assert list_emails(anyscale) == emails_in_file(plan.users)
    assert read_database_copy(data, tmp_path / "copy").emails == emails_in_file(plan.users)


def test_an_acknowledged_batch_is_on_the_disk(home: Path, tmp_path: Path) -> None:
    """A power cut, unlike a kill, loses the data that was not synced."""
    trace = tmp_path / "trace"
    options = [*SMALL.options, "-y", "-s", "200", "-o", str(trace)]

    run_under_strace(options, "user", "batch-create", "-f", _file(SMALL, tmp_path))

    lines = trace.read_text().splitlines()
    (acknowledged,) = (at for at, line in enumerate(lines) if "500 users created" in line)
    log = [line for line in lines[:acknowledged] if "anyscale.db-wal>" in line]
    assert "fdatasync(" in log[-1]
    run_file = [line for line in lines if ".run>" in line]
    assert "fsync(" in run_file[-1]
    first_row = next(at for at, line in enumerate(lines) if "anyscale.db>" in line)
    assert lines.index(run_file[-1]) < first_row, "the key is kept before anything is written"
    assert ".run" in lines[-1], "nothing is written once the run is forgotten"
    assert "unlink(" in lines[-1]
