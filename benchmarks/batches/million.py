"""Create, verify and undo a batch: us a user and MiB, embedded and over HTTP, beside Django.

Smaller batches come first, for the plots of the report. Beside each batch over HTTP, Django's
`bulk_create` inserts the same users into the same table on the same database.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.batches.reading import BARE
from benchmarks.django_peer.run import bulk_create_seconds
from benchmarks.support.databases import Databases, each_kind
from benchmarks.support.files import write_users
from benchmarks.support.measuring import anyscale, latest_batch, point, python, run, show
from benchmarks.support.serving import Server
from benchmarks.support.sites import site

#: microseconds a user, at most
_CREATE, _CREATE_EMBEDDED = 20, 25
_VERIFY, _VERIFY_EMBEDDED = 25, 35
_UNDO = 60

#: Microseconds a user of libyaml and of PyYAML's objects on an earlier machine: 4 and 7. The limits
#: in times of a bare loop over the events are those above divided by it.
_PARSING = 11

#: MiB, at most, over the peak with a hundredth of the users
_MEMORY = 64

#: times as fast as Django, at least: PostgreSQL itself takes a third of a user's time
_DJANGO = {"HTTP, SQLite": 4, "HTTP, PostgreSQL": 2}


class _Target(NamedTuple):
    """A control plane to measure."""

    name: str
    environment: Mapping[str, str]
    server: Server | None = None
    #: where Django inserts the same users
    databases: Databases | None = None


class _Step(NamedTuple):
    """The cost of a command, or of Django."""

    #: microseconds a user
    each: float
    #: MiB, of the command and of the server
    client_peak: float = 0
    server_peak: float = 0


def measure(folder: Path, users: int) -> None:
    sizes = [users // part for part in (1_000, 100, 10, 1)]
    files = {size: write_users(folder / f"{size}.yaml", size) for size in sizes}
    _measure(_Target("embedded", {"ANYSCALE_DATA_DIR": str(folder / "embedded")}), files)
    with each_kind(folder) as kinds:
        for databases in kinds:
            with databases.new() as database, site(database, folder) as place:
                name = f"HTTP, {databases.name}"
                _measure(_Target(name, place.client, place.server, databases), files)


def _measure(target: _Target, files: Mapping[int, Path]) -> None:
    costs = {size: _measure_size(target, size, file) for size, file in files.items()}
    _, few, _, many = files
    _show_times(target.name, many, costs[many])
    _show_memory(target, few, many, costs)


def _measure_size(target: _Target, size: int, file: Path) -> dict[str, _Step]:
    """Run each step with a file, and leave the control plane as it was."""
    parse = _Step(run(python(BARE, file)).wall / size * 1e6, 0, 0)
    create = _step(target, size, ("user", "batch-create", "-f", file))
    verify = _step(target, size, ("user", "verify", "-f", file))
    undo = _step(target, size, ("batch", "undo", latest_batch(target.environment), "--yes"))
    steps = {"parse": parse, "create": create, "verify": verify, "undo": undo}
    if target.databases:
        steps["django"] = _Step(bulk_create_seconds(target.databases, size) / size * 1e6)
    _add_points(target, size, steps)
    return steps


def _step(target: _Target, size: int, command: Sequence[str | Path]) -> _Step:
    if target.server:
        target.server.forget_peak_memory()
    cost = run(anyscale(*command), dict(target.environment))
    server_peak = target.server.peak_memory if target.server else 0
    return _Step(cost.wall / size * 1e6, cost.peak, server_peak)


def _add_points(target: _Target, size: int, steps: Mapping[str, _Step]) -> None:
    create = steps["create"]
    point("speed", target.name, size, 1e6 / create.each, "users/s")
    point("memory", f"{target.name}: command", size, create.client_peak, "MiB")
    if target.server:
        point("memory", f"{target.name}: server", size, create.server_peak, "MiB")
        name = target.name.replace("HTTP", "Django")
        point("speed", name, size, 1e6 / steps["django"].each, "users/s")


def _show_times(name: str, size: int, steps: Mapping[str, _Step]) -> None:
    is_embedded = name == "embedded"
    bounds = {
        "create": _CREATE_EMBEDDED if is_embedded else _CREATE,
        "verify": _VERIFY_EMBEDDED if is_embedded else _VERIFY,
        "undo": _UNDO,
    }
    for step, bound in bounds.items():
        _show_time(f"{name}: {step} {size:,} users", steps[step].each, steps["parse"].each, bound)
    if "django" in steps:
        _show_ratio_to_django(name, size, steps["django"].each, steps["create"].each)


def _show_time(what: str, each: float, parse: float, bound: float) -> None:
    show(what, each, bound, " us a user")
    note = f" ({each:.1f} and {parse:.1f} us a user)"
    show(f"{what} / a bare loop over libyaml's events", each / parse, bound / _PARSING, note=note)


def _show_ratio_to_django(name: str, size: int, django: float, create: float) -> None:
    show(
        f"{name}: Django's bulk_create of {size:,} users / creating them",
        django / create,
        _DJANGO[name],
        note=f" ({django:.1f} and {create:.1f} us a user)",
        at_least=True,
    )


def _show_memory(
    target: _Target, few: int, many: int, costs: Mapping[int, Mapping[str, _Step]]
) -> None:
    for step in ("create", "verify", "undo"):
        cost, small = costs[many][step], costs[few][step]
        what = f"{target.name}: {step} {many:,} users, peak memory over that with {few:,}"
        memory = cost.client_peak - small.client_peak
        show(f"{what}: the command", memory, _MEMORY, " MiB", f" ({cost.client_peak:.0f} MiB)")
        if target.server:
            memory = cost.server_peak - small.server_peak
            show(f"{what}: the server", memory, _MEMORY, " MiB", f" ({cost.server_peak:.0f} MiB)")
