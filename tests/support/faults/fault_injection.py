"""Injected faults: the command under strace, which kills it or fails a system call.

strace counts the calls of each thread by name. A point is therefore a call's name and a number: the
fault happens in the first thread that makes the call so many times.
"""

import collections
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.commands.running import CommandResult, start_command
from tests.support.faults.stopping import process_state
from tests.support.programs import program
from tests.support.waiting import wait_until

#: the system calls that change a disk
WRITE_CALLS = ("pwrite64", "write", "fsync", "fdatasync", "ftruncate", "unlink", "rename")


class FaultPoint(NamedTuple):
    """The nth time that a thread makes a call."""

    call: str
    nth: int


def run_under_strace(
    options: Sequence[str], *arguments: str | Path, env: Mapping[str, str] | None = None
) -> CommandResult:
    """Run the command in a forked process, which strace traces from its first instruction."""
    process = start_command(*arguments, env=env, stopped=True)
    try:
        wait_until(lambda: process_state(Path(f"/proc/{process.pid}")) == "T")
        command = [program("strace"), "-qq", *options, "-p", str(process.pid)]
        with subprocess.Popen(command) as strace:
            wait_until(lambda: _is_traced(process.pid) or strace.poll() is not None)
            process.send_signal(signal.SIGCONT)
            return process.finish()
    finally:
        process.kill()


def _is_traced(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text("utf-8")
    return "TracerPid:\t0\n" not in status


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
