"""Failing and full disks: the message is clear, and the batch is whole or absent."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest
from tests.support.callers import OPERATOR
from tests.support.commands.running import RunAnyscale, list_emails
from tests.support.databases.stored_data import read_database_copy, run_state_files
from tests.support.faults.fault_injection import (
    FaultPoint,
    points_in_trace,
    run_under_strace,
    spread_point,
)
from tests.support.faults.prepared_home import Plan, PreparedHome
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import checked_users
from tests.support.users_files import emails_in_file, write_users_file

from anyscale.errors import StoreUnavailable
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.settings import Settings

CALLS = "openat,mkdir,pwrite64,write,pread64,fsync,fdatasync,ftruncate,unlink"
ERRORS = ("EIO", "ENOSPC")
#: of calls that open files
OPEN_ERRORS = ("EIO", "EACCES", "ENOSPC", "EMFILE")

REASON = re.compile(
    "disk failed|disk is full|disk fails|cannot be opened|read-only|Input/output error"
    "|No space left|Permission denied|Too many open files"
)


PLANS = {
    "small": Plan(500, 5),
    "large": Plan(1_500, 20),
    "resumed": Plan(1_500, 20, reserved=True),
}


@dataclass(frozen=True)
class Place(PreparedHome):
    """The home, and the options and points of each plan as soon as they are known."""

    known: dict[Plan, tuple[list[str], list[FaultPoint]]]

    def points(self, plan: Plan) -> tuple[list[str], list[FaultPoint]]:
        """Give the options of strace for the data directory, and the points of a whole run."""
        if plan not in self.known:
            trace = self.home / "trace"
            self.prepare(plan)
            every = ["-f", "-y", "-e", f"trace={CALLS}", "-o", str(trace)]
            run_under_strace(every, "user", "batch-create", "-f", self.file(plan))
            text = trace.read_text(errors="replace")
            found = re.findall(rf'["<]({re.escape(str(self.data))}[^">]*)[">]', text)
            follow = [option for path in sorted(set(found)) for option in ("-P", path)]
            self.prepare(plan)
            options = ["-f", "-e", f"trace={CALLS}", *follow]
            run_under_strace(
                [*options, "-o", str(trace)], "user", "batch-create", "-f", self.file(plan)
            )
            self.known[plan] = options, points_in_trace(trace)
        return self.known[plan]


@pytest.fixture(scope="module")
def _place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("home"), {})


@pytest.fixture
def place(_place: Place, home: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    _place.use(monkeypatch)
    return _place


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "number" in metafunc.fixturenames:
        count = metafunc.config.getoption("--fault-points")
        shares = {"small": count - 2 * (count // 4), "large": count // 4, "resumed": count // 4}
        each = [(name, at, share) for name, share in shares.items() for at in range(share)]
        metafunc.parametrize(("name", "number", "share"), each)


def test_a_failing_disk_is_named_and_the_batch_is_whole_or_absent(
    name: str, number: int, share: int, place: Place, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    plan = PLANS[name]
    options, points = place.points(plan)
    point = spread_point(points, share, number)
    errors = OPEN_ERRORS if point.call in ("openat", "mkdir") else ERRORS
    error = errors[number % len(errors)]
    # Every third disk fails from then on.
    when = f"{point.nth}{'+' if number % 3 == 0 else ''}"
    place.prepare(plan)

    inject = ["-e", f"inject={point.call}:error={error}:when={when}", "-o", str(tmp_path / "log")]
    failed = run_under_strace([*options, *inject], "user", "batch-create", "-f", place.file(plan))

    context = f"{point.call} {error} {when}: {failed.returncode}\n{failed.stderr}"
    assert "(INJECTED)" in (tmp_path / "log").read_text(errors="replace"), context
    assert failed.returncode in (0, 1, 3), context
    _is_clear(failed.returncode, failed.stderr, place.data, context)
    before = read_database_copy(place.data, tmp_path / "before")
    assert before.accounts in ([], emails_in_file(plan.users)), context
    if failed.returncode == 1:
        assert before.emails == [], context
        assert "open" not in before.batches.values(), context
    if failed.returncode == 0:
        assert before.accounts == emails_in_file(plan.users), context
    else:
        again = anyscale("user", "batch-create", "-f", place.file(plan))
        assert again.returncode == 0, context + again.stderr
    after = read_database_copy(place.data, tmp_path / "after")
    assert after.emails == emails_in_file(plan.users)
    assert list(after.batches.values()).count("published") == 1
    assert before.hashes.items() <= after.hashes.items()
    assert run_state_files(place.data) == []


def _is_clear(status: int, log: str, data: Path, context: str) -> None:
    assert "Traceback" not in log, context
    assert "fault of this program" not in log, context
    if status:
        (line,) = [line for line in log.splitlines() if line.startswith("error: ")]
        assert str(data) in line, context
        assert REASON.search(line), context
        again = [line for line in log.splitlines() if "Run the same command again" in line]
        assert len(again) == (status == 3), context


@pytest.fixture
def small_disk(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A file system for the data directory; only root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = f"size={request.param}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
    monkeypatch.setenv("ANYSCALE_DATA_DIR", str(disk / "data"))
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(
    ("plan", "small_disk"),
    [
        *((Plan(500, 5), size) for size in (4, 12, 48, 120, 240)),
        *((Plan(3_000, 20), size) for size in (12, 120, 240, 700)),
        (Plan(30_000, 0), 3_000),
    ],
    indirect=["small_disk"],
)
def test_a_full_disk_is_reported_and_the_same_command_completes_later(
    plan: Plan, small_disk: Path, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    data = small_disk / "data"
    file = write_users_file(tmp_path / "users.yaml", plan.users, plan.passwords)

    full = anyscale("user", "batch-create", "-f", file)

    assert full.returncode in (1, 3), full.stderr
    _is_clear(full.returncode, full.stderr, data, full.stderr)
    assert re.search("disk is full|No space left on device", full.stderr)
    # A copy is read, since SQLite needs space even for the index of its log.
    assert _seen(data, tmp_path / "copy") == 0
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert list_emails(anyscale) == []
    again = anyscale("user", "batch-create", "-f", file)
    assert again.returncode == 0, again.stderr
    assert read_database_copy(data, tmp_path / "copy").emails == emails_in_file(plan.users)
    assert _seen(data, tmp_path / "copy") == 1
    assert run_state_files(data) == []


@pytest.mark.parametrize("small_disk", [8_000], indirect=True)
def test_readiness_says_that_writes_wait_for_room(small_disk: Path) -> None:
    settings = Settings(database=small_disk / "data" / "anyscale.db")
    with (
        closing(ControlPlane(settings, profile=CHEAPEST)) as control_plane,
        serve_in_process(control_plane) as url,
    ):
        client = HttpClient(url)
        assert client.request("GET", "/readyz").json == {"status": "ready"}
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            _create_batches(control_plane)
        assert client.request("GET", "/readyz").json == {"status": "writes_wait"}
        subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
        assert client.request("GET", "/readyz").json == {"status": "ready"}


def _create_batches(control_plane: ControlPlane) -> NoReturn:
    for number in count():
        users = checked_users(f"user{number}")
        control_plane.batches.create(OPERATOR, f"key {number}", users, "fail")
    raise AssertionError


def _seen(data: Path, copy: Path) -> int:
    batches = read_database_copy(data, copy).batches if data.exists() else {}
    return sum(state == "published" for state in batches.values())


def test_a_file_where_a_folder_should_be_is_named(
    anyscale: RunAnyscale, tmp_path: Path, home: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    file = write_users_file(tmp_path / "users.yaml", 3, 0)

    result = anyscale(
        "user", "batch-create", "-f", file, env={"ANYSCALE_DATA_DIR": str(blocked / "data")}
    )

    assert result.returncode == 2
    assert f"error: ANYSCALE_DATA_DIR is {blocked}/data, and {blocked} is a file" in result.stderr
    assert list(home.iterdir()) == []
