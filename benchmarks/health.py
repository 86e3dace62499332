"""How soon a server says that it is alive, while it hashes on every core."""

import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.files import write_users
from benchmarks.measuring import Cost, anyscale, pairs, show
from benchmarks.serving import Connection, served, token

_SAMPLES = 1_000
_EVERY = 0.005


def measure(folder: Path) -> None:
    server = {"ANYSCALE_DATA_DIR": str(folder / "server")}
    secret = token(server)
    with served(server, folder / "server.log") as url:
        client = {"ANYSCALE_HOST": url, "ANYSCALE_CLI_TOKEN": secret}
        numbers = iter(range(1_000))

        def busy() -> Cost:
            number = next(numbers)
            path = folder / f"users{number}.yaml"
            users = write_users(path, 2_000, passwords=True, first=number * 2_000)
            with _hashing(users, client | {"ANYSCALE_DATA_DIR": str(folder / "client")}):
                return _slow(url)

        found = pairs(busy, lambda: _slow(url))
    bound = statistics.median(cost.wall for cost in found.bound) * 1e3
    show(
        "p99 of GET /healthz while 2,000 passwords are hashed, of the same when idle",
        found.ratio(lambda cost: cost.wall),
        1.5,
        note=f" (idle {bound:.2f} ms)",
    )


def _slow(url: str) -> Cost:
    """Give the 99th percentile of many answers."""
    connection = Connection(url)
    connection.get("/healthz")
    times = []
    for _ in range(_SAMPLES):
        time.sleep(_EVERY)
        times.append(connection.seconds("/healthz"))
    return Cost(statistics.quantiles(times, n=100)[-1], 0, 0)


@contextmanager
def _hashing(users: Path, environment: dict[str, str]) -> Iterator[None]:
    """Have a client send a batch that is hashed all the while."""
    command = anyscale("user", "batch-create", "-f", users)
    with subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as client:
        assert client.stderr is not None
        while b"Hashing" not in client.stderr.readline():
            assert client.poll() is None
        yield
        is_done = client.poll() is not None
        said = client.communicate()[1]
    if is_done or client.returncode:
        raise SystemExit(f"the batch was not hashed all the while:\n{said.decode()}")
