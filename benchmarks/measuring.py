"""Pairs of runs, and what they cost."""

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
    """What a process took."""

    wall: float
    #: user and system, of all threads
    cpu: float
    #: MiB
    peak: float


class Pairs(NamedTuple):
    """The costs of what is measured and of its bound, run in turns."""

    ours: Sequence[Cost]
    bound: Sequence[Cost]

    def ratio(self, part: Callable[[Cost], float]) -> float:
        """Give the median of the ratios of the pairs."""
        return statistics.median(
            part(ours) / part(bound) for ours, bound in zip(self.ours, self.bound, strict=True)
        )


def pairs(ours: Callable[[], Cost], bound: Callable[[], Cost], count: int = 5) -> Pairs:
    """Run both in turns. The first pair only warms the machine up."""
    costs = [(ours(), bound()) for _ in range(count + 1)][1:]
    return Pairs([cost for cost, _ in costs], [cost for _, cost in costs])


def run(command: Sequence[str], environment: dict[str, str] | None = None) -> Cost:
    """Run a process to its end, and give its cost."""
    begun = time.perf_counter()
    # As where it is installed: each module is compiled once.
    inherited = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(
        command,
        env=inherited | (environment or {}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begun
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{said}")
    return _cost(wall, used)


def timed(work: Callable[[], object]) -> Cost:
    """Do something in this process, and give its time."""
    begun = time.perf_counter()
    work()
    return Cost(time.perf_counter() - begun, 0, 0)


def _cost(wall: float, used: resource.struct_rusage) -> Cost:
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def python(code: str, *arguments: str | Path) -> list[str]:
    """Give the command that runs Python code."""
    return [sys.executable, "-c", code, *map(str, arguments)]


def anyscale(*arguments: str | Path) -> list[str]:
    """Give the command that runs ours."""
    return [str(Path(sys.executable).parent / "anyscale"), *map(str, arguments)]


def show(what: str, value: float, limit: float, unit: str = "x", note: str = "") -> None:
    """Print one figure beside its limit."""
    verdict = "ok  " if value <= limit else "OVER"
    print(f"{verdict} {value:8.2f}{unit} (at most {limit:g}{unit})  {what}{note}", flush=True)
