"""The results of a report, as they are stored."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.support.measuring import Point

#: the values of a plot: by series, then by place on the axis
Plot = Mapping[str, Mapping[int | str, float]]


class ShownResult(msgspec.Struct, kw_only=True):
    """A value, its limit, and the benchmark that measured it."""

    benchmark: str
    what: str
    value: float
    limit: float
    unit: str
    at_least: bool
    is_met: bool


class Results(msgspec.Struct):
    """Everything that a report shows."""

    date: str
    #: the most users of a batch
    users: int
    machine: dict[str, str]
    results: list[ShownResult]
    points: list[Point]

    def plot(self, name: str) -> Plot:
        """Return the points of a plot: by series, then by place on the axis."""
        found: dict[str, dict[int | str, float]] = {}
        for point in self.points:
            if point.plot == name:
                found.setdefault(point.series, {})[point.at] = point.value
        return found


def read_results(path: Path) -> Results:
    """Read stored results."""
    return msgspec.json.decode(path.read_bytes(), type=Results)
