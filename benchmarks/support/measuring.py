"""Run a command and its bound in pairs, compare their costs, and record the results."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

#: seconds between a response and the next request
_INTERVAL = 0.005


class Cost(NamedTuple):
    """The cost of a process, or of a function of which only the time counts."""

    #: seconds
    wall: float
    #: seconds in user and system mode of all threads
    cpu: float = 0
    #: MiB
    peak: float = 0


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


#: Run a command, print its costs. The kernel counts the memory of the process that starts a command
#: to that of the command, so a small process starts it.
_LAUNCHER = """
import json, os, sys, time
null = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
start = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=null)
_, status, used = os.wait4(pid, 0)
costs = time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
print(json.dumps([os.waitstatus_to_exitcode(status), *costs]))
"""


def run(
    command: Sequence[str], environment: dict[str, str] | None = None, *, cores: int | None = None
) -> Cost:
    """Run a process to its end, on some cores or all of them, and return its cost."""
    if cores:
        names = sorted(os.sched_getaffinity(0))[:cores]
        command = ["taskset", "--cpu-list", ",".join(map(str, names)), *command]
    # Let Python write bytecode, as in an installation.
    inherited = {key: text for key, text in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command],
        env=inherited | (environment or {}),
        check=True,
        capture_output=True,
        text=True,
    )
    status, *costs = json.loads(done.stdout)
    if status:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr}")
    return Cost(*costs)


def run_afresh(command: Sequence[str], folder: Path, *, cores: int | None = None) -> Cost:
    """Run a command on a new control plane below a folder, and remove that afterwards."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        return run(command, {"ANYSCALE_DATA_DIR": home}, cores=cores)


def timed(work: Callable[[], object]) -> Cost:
    """Call a function in this process, and return its time."""
    start = time.perf_counter()
    work()
    return Cost(time.perf_counter() - start)


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile: one of the values, and the highest one of at most a hundred."""
    return sorted(values)[len(values) * 99 // 100]


def p99_of_requests(request: Callable[[int], object], count: int) -> Cost:
    """Return the 99th percentile of response times: a request gets its number."""
    times = []
    for number in range(count):
        time.sleep(_INTERVAL)  # the rate of the requests is part of the measurement
        times.append(timed(partial(request, number)).wall)
    return Cost(p99(times))


def python(code: str, *arguments: str | Path) -> list[str]:
    """Return the command that runs Python code."""
    return [sys.executable, "-c", code, *map(str, arguments)]


def anyscale(*arguments: str | Path) -> list[str]:
    """Return the command that runs `anyscale`."""
    return [str(Path(sys.executable).parent / "anyscale"), *map(str, arguments)]


def latest_batch(environment: Mapping[str, str]) -> str:
    """Return the id of the batch that was opened last, by a command with more variables."""
    command = anyscale("batch", "list", "-o", "json")
    listed = subprocess.run(command, env=os.environ | environment, check=True, capture_output=True)
    batch_id: str = json.loads(listed.stdout)[0]["batch_id"]
    return batch_id


class Result(NamedTuple):
    """A measured value and its limit."""

    what: str
    value: float
    limit: float
    unit: str
    note: str
    #: whether the value should be at least the limit, not at most
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit


class Point(NamedTuple):
    """A measured value in a plot of the report."""

    plot: str
    series: str
    #: where it is on the other axis: a count, or the name of a bar
    at: int | str
    value: float


#: what the benchmarks of this process have shown so far, for the report
RESULTS: list[Result] = []
POINTS: list[Point] = []


def show(
    what: str,
    value: float,
    limit: float,
    unit: str = "x",
    note: str = "",
    *,
    at_least: bool = False,
) -> None:
    """Print one result and its limit, and record them for the report."""
    result = Result(what, value, limit, unit, note, at_least)
    RESULTS.append(result)
    verdict = "ok  " if result.is_met else "OVER" if not at_least else "LESS"
    side = "at least" if at_least else "at most"
    print(f"{verdict} {value:8.2f}{unit} ({side} {limit:g}{unit})  {what}{note}", flush=True)


def show_beside_idle(what: str, found: Pairs, limit: float) -> None:
    """Print and record how many times as long something takes as when the server is idle."""
    idle = statistics.median(cost.wall for cost in found.bound) * 1e3
    ratio = found.ratio(lambda cost: cost.wall)
    show(f"{what} / when idle", ratio, limit, note=f" (idle {idle:.2f} ms)")


def point(plot: str, series: str, at: int | str, value: float, unit: str) -> None:
    """Print one value of a plot, and record it for the report.

    The plot `search` has series such as "SQLite, p99", at what is searched for.
    """
    POINTS.append(Point(plot, series, at, value))
    place = f"{at:,}" if isinstance(at, int) else at
    print(f"     {value:8.2f} {unit}  {plot}: {series}, {place}", flush=True)


def claim(what: str, *, is_met: bool, note: str = "") -> bool:
    """Print whether something holds, and return it."""
    print(f"{'ok    ' if is_met else 'FAILED'} {what}{note}", flush=True)
    return is_met
