"""Injected faults: the installed command under strace, which kills it or fails a system call.

strace counts the calls of each thread by name. A point is therefore a call's name and a number: the
fault happens in the first thread that makes the call so many times.
"""

import collections
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.commands.running import CommandResult
from tests.support.paths import ANYSCALE

__all__ = ["WRITE_CALLS", "FaultPoint", "points_in_trace", "run_under_strace", "spread_point"]

#: the system calls that change a disk
WRITE_CALLS = ("pwrite64", "write", "fsync", "fdatasync", "ftruncate", "unlink", "rename")


class FaultPoint(NamedTuple):
    """The nth time that a thread makes a call."""

    call: str
    nth: int


def run_under_strace(
    options: Sequence[str], *arguments: str | Path, env: Mapping[str, str] | None = None
) -> CommandResult:
    """Run the command under strace."""
    # Other calls than the traced ones do not stop then. It needs the threads, and sends no signal.
    is_quick = "-f" in options and not any("signal=" in option for option in options)
    quick = ["--seccomp-bpf"] if is_quick else []
    return subprocess.run(
        ["strace", "-qq", *quick, *options, ANYSCALE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        env=os.environ | dict(env or {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def points_in_trace(trace: Path) -> list[FaultPoint]:
    """List the points that a run reached, in the order of its trace."""
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    points: dict[FaultPoint, None] = {}
    for thread, call in re.findall(r"(?m)^(\d+) +(\w+)\(", trace.read_text(errors="replace")):
        counts[thread, call] += 1
        points[FaultPoint(call, counts[thread, call])] = None
    return list(points)


def spread_point(points: Sequence[FaultPoint], count: int, number: int) -> FaultPoint:
    """Give one of `count` points that lie evenly over all, the first and the last included."""
    return points[round(number * (len(points) - 1) / max(1, count - 1))]
