"""`python -m benchmarks.report.plots RESULTS FOLDER`: draw the plots of a file of results.

Each plot is an SVG file on a white background, so that it is legible on light and dark pages. Its
text is text, not outlines, which keeps the file small.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

#: Okabe and Ito's colours, which colour-blind people tell apart
_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#666666"
_COLOURS = (_BLUE, _ORANGE, _GREEN, _PURPLE, _GREY)
#: p50 and p99 of SQLite, then of PostgreSQL: a light and a dark one each
_BY_STORE = ("#8cc4e8", _BLUE, "#f4b183", _ORANGE)
#: milliseconds
_SEARCH_LIMIT = 100

_MARKERS = ("o", "s", "^", "D", "v")
#: the fourth line may be on another one: the command takes as much memory with either store
_DASHES = ("-", "-", "-", "--", "-")

_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "font.family": "sans-serif",
    "font.size": 10,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 6,
    "svg.fonttype": "none",
    "svg.hashsalt": "musterroll",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
}

#: the points of a plot: by series, then by place on the axis
_Series = Mapping[str, Mapping[Any, float]]


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    folder = Path(sys.argv[2])
    folder.mkdir(exist_ok=True)
    mpl.use("svg")
    with mpl.rc_context(_STYLE):
        for name, draw in _PLOTS.items():
            if series := _series(results, name):
                figure = draw(series)
                figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def _series(results: Mapping[str, Any], plot: str) -> dict[str, dict[Any, float]]:
    found: dict[str, dict[Any, float]] = {}
    for name, series, at, value in results["points"]:
        if name == plot:
            found.setdefault(series, {})[at] = value
    return found


def _speed(series: _Series) -> Figure:
    figure, panels = _panels(2)
    for axes, store in zip(panels, ("SQLite", "PostgreSQL"), strict=True):
        names = {
            f"HTTP, {store}": "musterroll, over HTTP",
            f"Django, {store}": "Django, bulk_create",
        }
        if store == "SQLite":
            names["embedded"] = "musterroll, without a server"
        _lines(axes, {names[name]: series[name] for name in names if name in series})
        axes.set(title=store, xscale="log", xlabel="users in the batch")
        _count_axis(axes.xaxis)
        _count_axis(axes.yaxis)
    # After both panels, which share it.
    panels[0].set(ylabel="users a second", ylim=(0, None))
    _legend(figure, panels[0])
    return figure


def _memory(series: _Series) -> Figure:
    figure, (axes,) = _panels(1)
    _lines(axes, series)
    axes.set(xscale="log", xlabel="users in the batch", ylabel="peak memory of creating (MiB)")
    axes.set_ylim(bottom=0)
    _count_axis(axes.xaxis)
    figure.legend(loc="outside right center")
    return figure


def _passwords(series: _Series) -> Figure:
    figure, (axes,) = _panels(1)
    _bars(axes, series, (_BLUE, _ORANGE))
    axes.set(xlabel="cores", ylabel="users with a password, a second")
    _legend(figure, axes)
    return figure


def _latency(series: _Series) -> Figure:
    figure, panels = _panels(2)
    for axes, request in zip(panels, ("list 100 users", "sign in"), strict=True):
        chosen = {
            name.replace(f": {request}", ""): values
            for name, values in series.items()
            if f": {request}," in name
        }
        _bars(axes, chosen, _BY_STORE)
        axes.set(title=request, yscale="log", xlabel="what the server does meanwhile")
        _count_axis(axes.yaxis)
    panels[0].set_ylabel("response time (ms)")
    _legend(figure, panels[0])
    return figure


def _growth(series: _Series) -> Figure:
    figure, (axes,) = _panels(1)
    in_millions = {
        name: {at / 1e6: value for at, value in values.items()} for name, values in series.items()
    }
    _lines(axes, in_millions)
    axes.set(xlabel="users in the database before (millions)", ylabel="microseconds a new user")
    axes.set_ylim(bottom=0)
    _legend(figure, axes)
    return figure


def _panels(count: int, height: float = 3.6) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(8, height))
    axes = figure.subplots(1, count, sharey=count > 1, squeeze=False)
    return figure, list(axes[0])


def _legend(figure: Figure, axes: Axes) -> None:
    """Name the series above the panels, where no line is behind the names."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=5)


def _lines(axes: Axes, series: _Series) -> None:
    styles = zip(series.items(), _COLOURS, _MARKERS, _DASHES, strict=False)
    for (name, values), colour, marker, dashes in styles:
        style = {"color": colour, "marker": marker, "linestyle": dashes}
        axes.plot(list(values), list(values.values()), label=name, **style)


def _bars(axes: Axes, series: _Series, colours: Sequence[str]) -> None:
    places = list(dict.fromkeys(at for values in series.values() for at in values))
    width = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        left = (number - (len(series) - 1) / 2) * width
        x = [places.index(at) + left for at in values]
        bars = axes.bar(x, list(values.values()), width, color=colours[number], label=name)
        axes.bar_label(bars, fmt=_short, fontsize=8, padding=2)
    axes.set_xticks(range(len(places)), [_place(at) for at in places])
    axes.grid(visible=False, axis="x")
    axes.margins(y=0.2)


def _place(at: str | float) -> str:
    return at.replace(" ", "\n", 1) if isinstance(at, str) else f"{at:g}"


def _short(value: float, _: object = None) -> str:
    """Write a number with two or three digits: 0.5, 23, 1,200, 50k, 1M."""
    for limit, unit in ((1_000_000, "M"), (10_000, "k")):
        if value >= limit:
            return f"{value / (limit if unit == 'M' else 1_000):.3g}{unit}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _count_axis(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(_short))
    axis.set_minor_locator(NullLocator())


def _search(series: _Series) -> Figure:
    figure, (axes,) = _panels(1, height=6.5)
    names = ("SQLite, p50", "SQLite, p99", "PostgreSQL, p50", "PostgreSQL, p99")
    for name, colour, marker in zip(names, _BY_STORE, ("o", "o", "s", "s"), strict=True):
        values = series[name]
        axes.plot(list(values.values()), list(values), marker, color=colour, label=name)
    axes.axvline(_SEARCH_LIMIT, color=_GREY, linestyle="--", label="limit of p99")
    axes.set(xscale="log", xlabel="response time (ms)")
    axes.invert_yaxis()
    _count_axis(axes.xaxis)
    _legend(figure, axes)
    return figure


_PLOTS = {
    "speed": _speed,
    "memory": _memory,
    "passwords": _passwords,
    "latency": _latency,
    "growth": _growth,
    "search": _search,
}

main()
