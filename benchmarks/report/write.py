"""Measure, store the results, and write the page and its plots."""

import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.django_peer.run import PYTHON
from benchmarks.report.machine import machine
from benchmarks.report.page import page
from benchmarks.report.results import Results, ShownResult, read_results
from benchmarks.support.measuring import POINTS, RESULTS, Point, Result

_FOLDER = Path(__file__).parents[2] / "docs" / "benchmarks"
_PAGE = _FOLDER.parent / "benchmarks.md"
RESULTS_FILE = _FOLDER / "results.json"


def measure_and_write(names: Sequence[str], measure: Callable[[str], None], users: int) -> None:
    """Run benchmarks, and write everything, with the stored results of the other benchmarks.

    The results are stored after each benchmark, so that a failure loses one.

    Args:
        names: of the benchmarks.
        measure: runs one of them.
        users: the most users of a batch. Stored results with other sizes are not kept.
    """
    for name in names:
        first_result, first_point = len(RESULTS), len(POINTS)
        measure(name)
        shown = [_shown(name, result) for result in RESULTS[first_result:]]
        points = [point._replace(value=_four_digits(point.value)) for point in POINTS[first_point:]]
        _store(name, users, shown, points)
    redraw()


def _store(name: str, users: int, shown: list[ShownResult], points: list[Point]) -> None:
    kept_results: list[ShownResult] = []
    kept_points: list[Point] = []
    if RESULTS_FILE.exists() and (stored := read_results(RESULTS_FILE)).users == users:
        plots = {point.plot for point in points}
        kept_results = [result for result in stored.results if result.benchmark != name]
        kept_points = [point for point in stored.points if point.plot not in plots]
    today = datetime.now(UTC).date().isoformat()
    results = Results(today, users, machine(), kept_results + shown, kept_points + points)
    _FOLDER.mkdir(exist_ok=True)
    RESULTS_FILE.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1) + b"\n")


def redraw() -> None:
    """Write the page and its plots from the stored results."""
    _PAGE.write_text(page(read_results(RESULTS_FILE)), encoding="utf-8")
    command = [PYTHON, "-m", "benchmarks.report.plots", RESULTS_FILE, _FOLDER]
    subprocess.run([str(part) for part in command], check=True)
    print(f"written: {_PAGE.name} and {_FOLDER.name}/", flush=True)


def _shown(benchmark: str, result: Result) -> ShownResult:
    return ShownResult(
        benchmark=benchmark,
        what=result.what,
        value=_four_digits(result.value),
        limit=result.limit,
        unit=result.unit,
        at_least=result.at_least,
        is_met=result.is_met,
    )


def _four_digits(value: float) -> float:
    return float(f"{value:.4g}")
