"""Create users with passwords on 3 Ray nodes: the time, beside hashing alone by PyNaCl."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.paths import ANYSCALE
from tests.support.ray.ray_cluster import RayCluster

from benchmarks.hashing.passwords import HASHING, PYNACL
from benchmarks.support.databases import PostgresDatabases, postgres_server
from benchmarks.support.files import write_users
from benchmarks.support.measuring import Pairs, pairs, python, run, show, timed

#: after the warm-up
_PAIRS = 3


def measure(folder: Path, users: int) -> None:
    with (
        postgres_server() as server,
        PostgresDatabases(server).new() as database,
        RayCluster(database.url).running() as cluster,
    ):
        _measure(cluster, folder, users // 500)


def _measure(cluster: RayCluster, folder: Path, count: int) -> None:
    token = cluster.run([ANYSCALE, "server", "create-token", "--name", "bench"])
    token.check_returncode()
    variables = {"ANYSCALE_CLI_TOKEN": token.stdout.strip(), "ANYSCALE_DATA_DIR": str(folder)}
    numbers = iter(range(1_000))

    def create_users() -> None:
        number = next(numbers)
        path = folder / f"users{number}.yaml"
        _create(cluster, write_users(path, count, passwords=True, first=number * count), variables)

    hashing = python(HASHING.format(code=PYNACL, count=count))
    _show(pairs(lambda: timed(create_users), lambda: run(hashing), _PAIRS), count)


def _create(cluster: RayCluster, users: Path, variables: Mapping[str, str]) -> None:
    process = cluster.command("user", "batch-create", "-f", users, env=variables)
    _, stderr = process.communicate()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args, stderr=stderr)


def _show(found: Pairs, count: int) -> None:
    ratio = found.ratio(lambda cost: cost.wall)
    rate = count / min(cost.wall for cost in found.ours)
    cores = len(os.sched_getaffinity(0))
    show(
        f"Ray, 3 nodes: time of {count:,} users with passwords / of hashing alone by PyNaCl",
        ratio,
        1 / 0.75,
        note=f" ({rate:.0f} a second; {1 / ratio:.2f} of PyNaCl on {cores} cores)",
    )
