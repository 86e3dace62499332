"""A disk that fails or is full, at each call that touches it: a clear message, whole or nothing."""

import collections
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.acceptance.faults import (
    COMMAND,
    Point,
    emails,
    listed,
    rows_of,
    spread,
    state_files,
    traced,
    write_users,
)
from tests.conftest import Anyscale, Result

CALLS = ("pwrite64", "fsync", "fdatasync", "ftruncate", "openat", "mkdir", "write", "unlink")
OPENING = {"openat": ("EIO", "EACCES", "EMFILE", "ENOSPC"), "mkdir": ("ENOSPC", "EACCES")}

USERS, PASSWORDS = 500, 5


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "number" in metafunc.fixturenames:
        metafunc.parametrize("number", range(metafunc.config.getoption("--fault-points")))


@pytest.fixture(scope="module")
def points() -> list[Point]:
    """The points at which a run touches its data directory, filled when first asked for."""
    return []


def fill(points: list[Point], folder: Path) -> None:
    home = folder / "counting"
    home.mkdir()
    users = write_users(folder / "users.yaml", USERS, PASSWORDS)
    trace = folder / "trace"
    options = ["-f", "-y", "-e", f"trace={','.join(CALLS)}", "-o", str(trace)]
    result = traced(options, "user", "batch-create", "-f", users, env={"HOME": str(home)})
    assert result.returncode == 0, result.stderr
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    for line in trace.read_text(errors="replace").splitlines():
        if found := re.match(r"(\d+) +(\w+)\(", line):
            thread, call = found.groups()
            counts[thread, call] += 1
            if str(home / ".local") in line:
                points.append(Point(call, counts[thread, call]))


def assert_clear(result: Result, data: Path) -> None:
    assert result.returncode in (1, 3), result
    assert "Traceback" not in result.stderr
    assert "fault of this program" not in result.stderr
    error = next(line for line in result.stderr.splitlines() if line.startswith("error: "))
    # It names a file or a folder, and says what is the matter with it.
    assert str(data) in error, error
    assert re.search(
        r"disk is full|No space left|reading or writing the disk failed|Input/output error"
        r"|cannot be opened|Permission denied|Too many open files|read-only",
        error,
    ), error


def test_a_call_that_fails_is_said_and_leaves_nothing_half_done(
    number: int,
    request: pytest.FixtureRequest,
    points: list[Point],
    anyscale: Anyscale,
    home: Path,
    data: Path,
    tmp_path: Path,
) -> None:
    if not points:
        fill(points, tmp_path)
    count = request.config.getoption("--fault-points")
    point = spread(points, count, number)
    error = OPENING.get(point.call, ("EIO", "ENOSPC"))[number % 2]
    users = write_users(tmp_path / "users.yaml", USERS, PASSWORDS)
    inject = ["-f", "-o", str(tmp_path / "log"), "-e", f"trace={','.join(CALLS)}"]
    inject += ["-e", f"inject={point.call}:error={error}:when={point.nth}"]

    result = traced(inject, "user", "batch-create", "-f", users)

    assert f"= -1 {error}" in (tmp_path / "log").read_text(errors="replace"), point
    visible = listed(anyscale)
    if result.returncode == 0:  # SQLite can do without some calls
        assert visible == emails(USERS)
        return
    assert_clear(result, data)
    assert visible in ([], emails(USERS))
    rows_of(data, tmp_path / "copy")  # which is whole

    again = anyscale("user", "batch-create", "-f", users)

    if result.returncode == 3 or not visible:
        assert again.returncode == 0, (point, error, again.stderr)
        assert state_files(data) == []
    assert listed(anyscale) == emails(USERS)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, of 3 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(disk)]
    subprocess.run(mount, check=True)
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(("count", "passwords"), [(1_000, 0), (30_000, 0), (3_000, 40)])
def test_on_a_full_disk_nothing_is_half_done_and_room_mends_it(
    count: int, passwords: int, anyscale: Anyscale, small_disk: Path, tmp_path: Path
) -> None:
    on_disk = {"ANYSCALE_DATA_DIR": str(small_disk / "data")}
    users = write_users(tmp_path / "users.yaml", count, passwords)
    filler = small_disk / "filler"
    free = os.statvfs(small_disk)
    filler.write_bytes(b"x" * (free.f_bavail * free.f_frsize - 200_000))

    full = anyscale("user", "batch-create", "-f", users, env=on_disk)

    assert full.returncode in (1, 3), full.stderr
    assert_clear(full, small_disk)
    assert re.search("disk is full|No space left", full.stderr)
    filler.unlink()
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    assert anyscale("user", "list", "-o", "csv", env=on_disk).stdout.count("\n") == 1
    again = anyscale("user", "batch-create", "-f", users, env=on_disk)
    assert again.returncode == 0, again.stderr
    lines = anyscale("user", "list", "-o", "csv", env=on_disk).stdout
    assert lines.count("\n") == 1 + count


def test_strace_and_the_command_are_there() -> None:
    assert subprocess.run(["strace", "-V"], capture_output=True, check=True).stdout
    assert Path(COMMAND).exists()
