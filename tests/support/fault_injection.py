"""Faults on purpose: the real command under strace, which kills it or makes a system call fail.

strace counts the calls of each thread by name. A point is therefore a call's name and a number: the
first thread whose call it is meets the fault there.
"""

import collections
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.conftest import Anyscale, Result

COMMAND = str(Path(sys.executable).parent / "anyscale")

#: what leaves something behind on a disk
WRITES = ("pwrite64", "write", "fsync", "fdatasync", "ftruncate", "unlink", "rename")


class Point(NamedTuple):
    """The nth time that a thread makes a call."""

    call: str
    nth: int


def write_users(path: Path, count: int, passwords: int, prefix: str = "user") -> Path:
    """Write a users file; the passwords are spread over it."""
    every = count // passwords if passwords else 0
    lines = ["create_users:"]
    for i in range(count):
        lines += [f"- name: Name {i}", f"  email: {prefix}{i}@example.com"]
        if every and i % every == 0 and i // every < passwords:
            lines.append(f"  password: correct horse {i} battery")
    path.write_text("\n".join(lines) + "\n")
    return path


def emails(count: int, prefix: str = "user") -> list[str]:
    """Give the emails of such a file, sorted."""
    return sorted(f"{prefix}{i}@example.com" for i in range(count))


def traced(
    options: Sequence[str], *arguments: str | Path, env: Mapping[str, str] | None = None
) -> Result:
    """Run the command under strace."""
    return subprocess.run(
        ["strace", "-qq", *options, COMMAND, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        env=os.environ | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def points_of(trace: Path) -> list[Point]:
    """List the points that a trace shows to be reachable, by their time in the trace."""
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    points: dict[Point, None] = {}
    for thread, call in re.findall(r"(?m)^(\d+) +(\w+)\(", trace.read_text(errors="replace")):
        counts[thread, call] += 1
        points[Point(call, counts[thread, call])] = None
    return list(points)


def spread(points: Sequence[Point], count: int, number: int) -> Point:
    """Give one of `count` points that lie evenly over all, the first and the last included."""
    return points[round(number * (len(points) - 1) / max(1, count - 1))]


def listed(anyscale: Anyscale) -> list[str]:
    """Give the emails of the accounts, sorted, as the command shows them."""
    result = anyscale("user", "list", "-o", "jsonl")
    assert result.returncode == 0, result.stderr
    return sorted(re.findall(r'"email":"([^"]+)"', result.stdout))


class Rows(NamedTuple):
    """What the database holds, whoever may see it."""

    emails: list[str]
    #: email -> PHC string
    hashes: dict[str, str]
    #: batch_id -> state
    batches: dict[str, str]


def rows_of(data: Path, copy: Path) -> Rows:
    """Read a copy of the database, so that reading mends nothing; the copy has to be whole."""
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for file in data.glob("anyscale.db*"):
        if not file.name.endswith("-shm"):  # it is made again from the log
            shutil.copy(file, copy)
    path = copy / "anyscale.db"
    if not path.exists():
        return Rows([], {}, {})
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
        if not connection.execute("pragma user_version").fetchone()[0]:
            return Rows([], {}, {})
        found = connection.execute("select email, password_hash from users order by email")
        users = dict(found.fetchall())
        batches = dict(connection.execute("select batch_id, state from batches").fetchall())
    finally:
        connection.close()
    return Rows(list(users), {email: phc for email, phc in users.items() if phc}, batches)


def state_files(data: Path) -> list[Path]:
    """List the files of unfinished runs."""
    return sorted((data / "runs").glob("*"))


def until(true: Callable[[], object], seconds: float = 30) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


def start(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[str]:
    """Start the command, and go on."""
    return subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | dict(env or {}),
    )


def end(process: subprocess.Popen[str]) -> Result:
    """Wait for a command's end."""
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def end_all(processes: Iterable[subprocess.Popen[str]]) -> list[Result]:
    """Wait for the ends of commands that run at once."""
    return [end(process) for process in processes]


def ask(data: Path, sql: str) -> list[tuple[object, ...]]:
    """Ask the database of a running command; nothing, as long as there is none."""
    try:
        connection = sqlite3.connect(f"file:{data / 'anyscale.db'}?mode=ro", uri=True)
    except sqlite3.OperationalError:
        return []
    try:
        return connection.execute(sql).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


def hashes_stored(data: Path) -> int:
    """Count the password hashes that a running command has stored."""
    rows = ask(data, "select count(*) from users where password_hash is not null")
    return int(str(rows[0][0])) if rows else 0
