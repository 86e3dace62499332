"""Create, compare and undo a batch of 1,000,000 users: embedded, and over HTTP on both stores."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres import PostgresServer

from benchmarks.files import write_users
from benchmarks.measuring import Cost, anyscale, run, show
from benchmarks.serving import served, token

_COUNT, _FEW = 1_000_000, 10_000

#: microseconds a user, at most
_CREATE, _CREATE_EMBEDDED = 20, 25
_VERIFY, _VERIFY_EMBEDDED = 25, 35
_UNDO = 60

#: MiB, at most, over the peak with 10,000 users
_MEMORY = 64


def measure(folder: Path) -> None:
    files = [write_users(folder / f"{count}.yaml", count) for count in (_FEW, _COUNT)]
    _measure("embedded", {"ANYSCALE_DATA_DIR": str(folder / "embedded")}, files)
    sqlite = {"ANYSCALE_DATABASE_URL": f"sqlite:///{folder}/served/anyscale.db"}
    with _client(sqlite, folder) as environment:
        _measure("HTTP, SQLite", environment, files)
    server = PostgresServer(settings={})
    try:
        with _client({"ANYSCALE_DATABASE_URL": server.url}, folder) as environment:
            _measure("HTTP, PostgreSQL", environment, files)
    finally:
        server.remove()


@contextmanager
def _client(settings: Mapping[str, str], folder: Path) -> Iterator[dict[str, str]]:
    """Start a server, and give the environment of its client."""
    settings = {"ANYSCALE_DATA_DIR": str(folder / "data"), **settings}
    secret = token(settings)
    with served(settings, folder / "server.log") as server:
        yield {"ANYSCALE_HOST": server.url, "ANYSCALE_CLI_TOKEN": secret}


def _measure(kind: str, environment: dict[str, str], files: Sequence[Path]) -> None:
    is_embedded = kind == "embedded"
    few, many = ([_step(environment, step, file) for step in _STEPS] for file in files)
    bounds = (
        _CREATE_EMBEDDED if is_embedded else _CREATE,
        _VERIFY_EMBEDDED if is_embedded else _VERIFY,
        _UNDO,
    )
    for name, cost, small, bound in zip(_STEPS, many, few, bounds, strict=True):
        of_create = f", {cost.wall / many[0].wall:.2f} of creating them" if name != "create" else ""
        show(f"{kind}: {name} 1,000,000 users", cost.wall, bound, " us a user", of_create)
        memory = cost.peak - small.peak
        show(f"{kind}: {name}, peak memory of the command over 10,000", memory, _MEMORY, " MiB")


_STEPS = ("create", "verify", "undo")


def _step(environment: dict[str, str], step: str, file: Path) -> Cost:
    command = {
        "create": ("user", "batch-create", "-f", file),
        "verify": ("user", "verify", "-f", file),
        "undo": ("batch", "undo"),
    }[step]
    if step == "undo":
        command = (*command, _latest_batch(environment))
    cost = run(anyscale(*command), environment)
    users = _COUNT if file.stem == str(_COUNT) else _FEW
    return cost._replace(wall=cost.wall / users * 1e6)


def _latest_batch(environment: Mapping[str, str]) -> str:
    command = anyscale("batch", "list", "-o", "json")
    listed = subprocess.run(
        command, env=os.environ | environment, check=True, capture_output=True, text=True
    )
    batch_id: str = json.loads(listed.stdout)[0]["batch_id"]
    return batch_id
