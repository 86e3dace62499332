"""Passwords a second through a Ray cluster of three nodes, beside PyNaCl on the same cores."""

import os
import subprocess
from pathlib import Path

from tests.support.paths import ANYSCALE
from tests.support.postgres import PostgresServer, with_database
from tests.support.ray_cluster import RayCluster

from benchmarks.hashing.passwords import HASHING, PYNACL
from benchmarks.support.files import write_users
from benchmarks.support.measuring import pairs, python, run, show, timed

_USERS = 2_000
#: after the warm-up
_PAIRS = 3


def measure(folder: Path) -> None:
    server = PostgresServer(settings={})
    server.execute("create database ray encoding 'UTF8' template template0")
    try:
        with RayCluster(with_database(server.url, "ray")).running() as cluster:
            _measure(cluster, folder)
    finally:
        server.remove()


def _measure(cluster: RayCluster, folder: Path) -> None:
    created = cluster.run([ANYSCALE, "server", "create-token", "--name", "bench"])
    created.check_returncode()
    variables = {"ANYSCALE_CLI_TOKEN": created.stdout.strip(), "ANYSCALE_DATA_DIR": str(folder)}
    numbers = iter(range(1_000))

    def create_users() -> None:
        number = next(numbers)
        users = write_users(
            folder / f"users{number}.yaml", _USERS, passwords=True, first=number * _USERS
        )
        process = cluster.command("user", "batch-create", "-f", users, env=variables)
        _, stderr = process.communicate()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args, stderr=stderr)

    hashing = python(HASHING.format(code=PYNACL, count=_USERS))
    found = pairs(lambda: timed(create_users), lambda: run(hashing), _PAIRS)
    ratio = found.ratio(lambda cost: cost.wall)
    rate = _USERS / min(cost.wall for cost in found.ours)
    show(
        f"Ray, 3 nodes: time of {_USERS:,} users with passwords / of hashing alone by PyNaCl",
        ratio,
        1 / 0.75,
        note=f" ({rate:.0f} a second; {1 / ratio:.2f} of PyNaCl on {_cores()} cores)",
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0))
