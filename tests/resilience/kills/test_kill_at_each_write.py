"""Kill -9 at each write and sync: a batch is whole or absent, and the same command completes it."""

from dataclasses import dataclass
from pathlib import Path

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
from tests.support.faults.prepared_home import Plan, PreparedHome
from tests.support.users_files import emails_in_file


def options_of(plan: Plan) -> list[str]:
    return ["-e", f"trace={','.join(WRITE_CALLS)}", *([] if plan.main_only else ["-f"])]


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


@dataclass(frozen=True)
class Place(PreparedHome):
    """The home, and the points of each plan as soon as they are known."""

    known: dict[Plan, list[FaultPoint]]

    def points(self, plan: Plan) -> list[FaultPoint]:
        """Give the points of a whole run."""
        if plan not in self.known:
            trace = self.home / "trace"
            self.prepare(plan)
            options = [*options_of(plan), "-o", str(trace)]
            result = run_under_strace(options, "user", "batch-create", "-f", self.file(plan))
            assert result.returncode == 0, result.stderr
            if plan.main_only:  # without -f, strace writes no thread ids
                trace.write_text("".join(f"1 {line}\n" for line in trace.read_text().splitlines()))
            self.known[plan] = points_in_trace(trace)
        return self.known[plan]


@pytest.fixture(scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("home"), {})


@pytest.fixture
def place(_place: Place, home: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    _place.use(monkeypatch)
    return _place


def _kill_and_go_on(
    plan: Plan, point: FaultPoint, anyscale: RunAnyscale, place: Place, tmp_path: Path
) -> None:
    data, file = place.data, place.file(plan)
    place.prepare(plan)
    inject = ["-e", f"inject={point.call}:signal=SIGKILL:when={point.nth}"]

    log = ["-o", str(tmp_path / "log")]
    killed = run_under_strace(
        [*options_of(plan), *inject, *log], "user", "batch-create", "-f", file
    )

    assert killed.returncode == -9, (point, killed)
    before = read_database_copy(data, tmp_path / "before")
    assert before.accounts in ([], emails_in_file(plan.users))
    # The last call deletes the state file: a command that is killed by it has reported everything.
    ended = f"{plan.users:,} users created." in killed.stderr and not run_state_files(data)

    again = anyscale("user", "batch-create", "-f", file)

    assert again.returncode == (1 if ended else 0), (point, again.stderr)
    assert ended <= (point.call == "unlink")
    assert "Traceback" not in again.stderr
    after = read_database_copy(data, tmp_path / "after")
    assert after.emails == emails_in_file(plan.users)
    assert len(after.hashes) == plan.passwords
    assert {email: after.hashes[email] for email in before.hashes} == before.hashes
    assert list(after.batches.values()) == ["published"]
    assert run_state_files(data) == []


def test_a_small_batch_survives_a_kill(
    number: int,
    request: pytest.FixtureRequest,
    place: Place,
    anyscale: RunAnyscale,
    home: Path,
    tmp_path: Path,
) -> None:
    count = request.config.getoption("--kill-points")
    point = spread_point(place.points(SMALL), count, number)

    _kill_and_go_on(SMALL, point, anyscale, place, tmp_path)


def test_a_large_batch_survives_a_kill(
    plan_name: str,
    number: int,
    request: pytest.FixtureRequest,
    place: Place,
    anyscale: RunAnyscale,
    home: Path,
    tmp_path: Path,
) -> None:
    plan = LARGE[plan_name]
    count = max(2, request.config.getoption("--kill-points") // 6)
    point = spread_point(place.points(plan), count, number)

    _kill_and_go_on(plan, point, anyscale, place, tmp_path)


def test_a_batch_completes_after_repeated_kills(
    anyscale: RunAnyscale, place: Place, tmp_path: Path
) -> None:
    plan = LARGE["reservations"]
    data, file = place.data, place.file(plan)
    place.prepare(plan)
    hashes: dict[str, str] = {}
    for nth in (3, 9, 30, 60, 120, 8, 20, 40, 4):
        kill = ["-e", f"inject=pwrite64:signal=SIGKILL:when={nth}", "-o", str(tmp_path / "log")]
        run_under_strace([*options_of(plan), *kill], "user", "batch-create", "-f", file)
        rows = read_database_copy(data, tmp_path / "copy")
        assert hashes.items() <= rows.hashes.items()
        hashes = rows.hashes

    last = anyscale("user", "batch-create", "-f", file)

    assert last.returncode == 0, last.stderr
    assert list_emails(anyscale) == emails_in_file(plan.users)
    assert read_database_copy(data, tmp_path / "copy").emails == emails_in_file(plan.users)


def test_an_acknowledged_batch_is_on_the_disk(place: Place, tmp_path: Path) -> None:
    """A power cut, unlike a kill, loses the data that was not synced."""
    trace = tmp_path / "trace"
    options = [*options_of(SMALL), "-y", "-s", "200", "-o", str(trace)]
    place.prepare(SMALL)

    run_under_strace(options, "user", "batch-create", "-f", place.file(SMALL))

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
