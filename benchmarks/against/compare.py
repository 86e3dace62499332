"""Create, verify and undo a batch with two trees in turns, and compare their processor time.

Wall time also depends on what else the machine does. The processor time of one run varies by a
tenth, too: the median of the rounds' ratios counts, and it takes eight rounds to tell a twentieth.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.against.pages import compare_pages
from benchmarks.against.trees import Tree, extract, this_tree
from benchmarks.support.databases import (
    Databases,
    PostgresDatabases,
    SqliteDatabases,
    configure,
    postgres_server,
)
from benchmarks.support.files import write_users
from benchmarks.support.measuring import anyscale, latest_batch, python, run, show
from benchmarks.support.serving import Server
from benchmarks.support.sites import site

#: of the batch, which are compared if no name is given
BATCH = ("reading", "embedded", "http", "postgres")

NAMES = (*BATCH, "console")

#: times the processor time of the other commit, at most
_LIMITS = {"read": 1.03, "create": 1.03, "verify": 1.05, "undo": 1.05}

# Each tree has its own names of modules.
_READ = "from benchmarks.batches.reading import OURS; exec(OURS)"

#: What PostgreSQL does now and then would take a second of the one run and not of the other.
_POSTGRES = {"autovacuum": "off", "checkpoint_timeout": "1h", "max_wal_size": "16GB"}

#: All accounts have their words: no server fills the index of the search beside the steps.
_FINISH_INDEX = "update search_index set publication = 1000000"


class _Times(NamedTuple):
    """The seconds of a step: of the processor, and of the clock."""

    client: float
    server: float
    database: float
    wall: float

    @property
    def cpu(self) -> float:
        return self.client + self.server + self.database


#: the times of each step of a run
_Steps = Mapping[str, _Times]


def compare(commit: str, names: Sequence[str], users: int, rounds: int) -> None:
    """Compare this tree with a commit, and print the ratios and their limits."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trees = this_tree(), extract(commit, folder / "commit")
        file = write_users(folder / "users.yaml", users)
        for target in names:
            if target == "console":
                compare_pages(trees, users, rounds)
                continue
            with _databases(target, folder) as databases:
                _compare(trees, _Target(target, file, users, databases), rounds)


class _Target(NamedTuple):
    """What the trees are compared by."""

    name: str
    file: Path
    users: int
    #: None without a server
    databases: Databases | None


@contextmanager
def _databases(target: str, folder: Path) -> Iterator[Databases | None]:
    if target == "postgres":
        with postgres_server() as server:
            configure(server, _POSTGRES)
            yield PostgresDatabases(server)
    else:
        yield SqliteDatabases(folder) if target == "http" else None


def _compare(trees: Sequence[Tree], target: _Target, rounds: int) -> None:
    """Run the target with each tree in turns; each of them is first in every second round."""
    runs: dict[Tree, list[_Steps]] = {tree: [] for tree in trees}
    for number in range(rounds):
        for tree in trees[:: -1 if number % 2 else 1]:
            runs[tree].append(_run(tree, target))
    for step in runs[trees[0]][0]:
        ours, theirs = ([costs[step] for costs in runs[tree]] for tree in trees)
        _show(f"{target.name}: {step} {target.users:,} users", ours, theirs, _LIMITS[step])


def _run(tree: Tree, target: _Target) -> _Steps:
    with tempfile.TemporaryDirectory() as name, tree.used(Path(name)):
        folder = Path(name)
        if target.name == "reading":
            cost = run(python(_READ, target.file, str(target.users)))
            return {"read": _Times(cost.cpu, 0, 0, cost.wall)}
        if not target.databases:
            return _batch(target, {"ANYSCALE_DATA_DIR": name})
        with target.databases.new() as database, site(database, folder) as place:
            database.execute(_FINISH_INDEX)
            return _batch(target, place.client, place.server)


def _batch(target: _Target, environment: Mapping[str, str], server: Server | None = None) -> _Steps:
    """Create, verify and undo a batch."""

    def step(*arguments: str | Path) -> _Times:
        before = _others(server, target.databases)
        cost = run(anyscale(*arguments), dict(environment))
        after = _others(server, target.databases)
        return _Times(cost.cpu, after[0] - before[0], after[1] - before[1], cost.wall)

    return {
        "create": step("user", "batch-create", "-f", target.file),
        "verify": step("user", "verify", "-f", target.file),
        "undo": step("batch", "undo", latest_batch(environment), "--yes"),
    }


def _others(server: Server | None, databases: Databases | None) -> tuple[float, float]:
    """Return the processor time of the server and of PostgreSQL so far."""
    postgres = databases.cpu_seconds if isinstance(databases, PostgresDatabases) else 0
    return (server.cpu_seconds if server else 0), postgres


def _show(what: str, ours: Sequence[_Times], theirs: Sequence[_Times], limit: float) -> None:
    """Print the median of the ratios of all rounds, and the medians of each part."""
    ratio = median(mine.cpu / other.cpu for mine, other in zip(ours, theirs, strict=True))
    medians = {
        part: [median(getattr(times, part) for times in of_tree) for of_tree in (ours, theirs)]
        for part in _Times._fields
    }
    notes = [
        f"{part} {mine:.2f} / {other:.2f} s = {mine / other:.3f}"
        for part, (mine, other) in medians.items()
        if other
    ]
    show(what, ratio, limit, note=f" ({', '.join(notes)})")
