"""Random histories of two clients, with kills, on both stores, compared with a model.

`--histories N` takes so many on each store, from `--first-history` on, and plants more faults;
`-rP` shows how often which steps, refusals and kills there were.
"""

import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

import pytest
from tests.resilience.histories.clients import Client, open_watched
from tests.resilience.histories.history import History
from tests.resilience.histories.planted_faults import FAULTS, Fault
from tests.resilience.histories.world import World
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.server_process import ServerProcess

from anyscale.config import EMBEDDED
from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings

ROUNDS = 6

#: Of each six histories: on SQLite, every second one has a server.
SPECIAL = ("kill", "kill", "cut off", "", "", "")

#: what happens in twelve histories, whichever they are, and in sixty
OFTEN = {"Sync", "Create", "Update", "two at once", "between the calls of a sync"}
ALWAYS = OFTEN | {
    *("two syncs at once", "a client died between its calls", "a sync with a file that is cut off"),
    *("days pass", "a command to be killed", "kill -9 of a server"),
}

#: histories after which a planted fault was not found
ENOUGH = 300


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault" in metafunc.fixturenames:
        faults = FAULTS[: max(2, metafunc.config.getoption("--histories") // 10)]
        metafunc.parametrize("fault", faults, ids=[fault.name for fault in faults])


@pytest.fixture
def control_plane(
    database: str, store_kind: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ControlPlane]:
    """A control plane on the database of the test, beside those of the clients."""
    monkeypatch.setenv("ANYSCALE_RESERVATION_WAIT_SECONDS", "0")
    if store_kind == "sqlite":
        monkeypatch.setenv("ANYSCALE_DATABASE_URL", database)
    for sdk in ("anyscale.user.sdk", "anyscale.user.account_calls", "anyscale.batch.sdk"):
        monkeypatch.setattr(import_module(sdk), "open_transport", open_watched)
    path = Path("/" + database.removeprefix("sqlite:").lstrip("/"))
    place = path if store_kind == "sqlite" else database
    with closing(cheap_control_plane(Settings(database=place))) as control_plane:
        yield control_plane


@pytest.mark.both_stores
def test_random_histories_of_accounts_are_those_of_the_model(
    control_plane: ControlPlane,
    server: ServerProcess,
    store_kind: str,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> None:
    worlds = [World(control_plane, Client(server.url, server.token()), server)]
    if store_kind == "sqlite":
        worlds.append(World(control_plane, Client(EMBEDDED)))
    counts = Counter[str]()
    first, number = (pytestconfig.getoption(name) for name in ("--first-history", "--histories"))
    for at in range(first, first + number):
        world = worlds[at % len(worlds)]
        History(world, at, tmp_path, counts).run(ROUNDS, special=SPECIAL[at % len(SPECIAL)])
    sys.stdout.writelines(f"{count:7} {name}\n" for name, count in sorted(counts.items()))
    assert not (ALWAYS if number >= 60 else OFTEN) - {*+counts}


def test_histories_find_a_planted_fault(
    fault: Fault, control_plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in fault.planted.items():
        owner, _, constant = name.rpartition(".")
        monkeypatch.setattr(resolve_name(owner), constant, value)
    world = World(control_plane, Client(EMBEDDED), constants=fault.planted)
    for at in range(ENOUGH):
        try:
            History(world, at, tmp_path, Counter()).run(ROUNDS, special=fault.special)
        except (AssertionError, sqlite3.Error) as found:
            sys.stdout.write(f"found by history {at}: {found}\n")
            return
    pytest.fail(f"{ENOUGH} histories have not found it")
