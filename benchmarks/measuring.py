"""Run a command and its bound in pairs, and compare their costs."""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["Cost", "Pairs", "anyscale", "pairs", "python", "run", "show", "timed"]


class Cost(NamedTuple):
    """The cost of a process."""

    wall: float
    #: user and system time of all threads
    cpu: float
    #: MiB
    peak: float


class Pairs(NamedTuple):
    """The costs of the measured runs and of the runs of the bound, in turns."""

    ours: Sequence[Cost]
    bound: Sequence[Cost]

    def ratio(self, part: Callable[[Cost], float]) -> float:
        """Return the median of the ratios of the pairs."""
        return statistics.median(
            part(ours) / part(bound) for ours, bound in zip(self.ours, self.bound, strict=True)
        )


def pairs(ours: Callable[[], Cost], bound: Callable[[], Cost], count: int = 5) -> Pairs:
    """Run both in turns. The first pair is a warm-up and does not count."""
    costs = [(ours(), bound()) for _ in range(count + 1)][1:]
    return Pairs([cost for cost, _ in costs], [cost for _, cost in costs])


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> Cost:
    """Run a process to its end, and return its cost."""
    start = time.perf_counter()
    # Let Python write bytecode, as in an installation.
    inherited = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        command,
        env=inherited | (environment or {}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    stderr = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{stderr}")
    return _cost(wall, used)


def timed(work: Callable[[], object]) -> Cost:
    """Call a function in this process, and return its time."""
    start = time.perf_counter()
    work()
    return Cost(time.perf_counter() - start, 0, 0)


def _cost(wall: float, used: resource.struct_rusage) -> Cost:
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def python(code: str, *arguments: str | Path) -> list[str]:
    """Return the command that runs Python code."""
    return [sys.executable, "-c", code, *map(str, arguments)]


def anyscale(*arguments: str | Path) -> list[str]:
    """Return the command that runs `anyscale`."""
    return [str(Path(sys.executable).parent / "anyscale"), *map(str, arguments)]


def show(what: str, value: float, limit: float, unit: str = "x", note: str = "") -> None:
    """Print one result and its limit."""
    verdict = "ok  " if value <= limit else "OVER"
    print(f"{verdict} {value:8.2f}{unit} (at most {limit:g}{unit})  {what}{note}", flush=True)
