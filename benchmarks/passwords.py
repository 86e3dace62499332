"""2,000 users with passwords."""

import os
import statistics
from pathlib import Path

from benchmarks.files import write_users
from benchmarks.measuring import Cost, anyscale, pairs, python, run, show

HASHING_ALONE = """
import os
from concurrent.futures import ThreadPoolExecutor
from argon2.low_level import Type, hash_secret
def one(i):
    return hash_secret(b"Xk9-vq%ddtrz" % i, os.urandom(16), 2, 19456, 1, 32, Type.ID)
with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
    assert len(list(pool.map(one, range(2_000)))) == 2_000
"""


def measure(folder: Path) -> None:
    users = write_users(folder / "users.yaml", 2_000, passwords=True)
    homes = iter(range(1_000))

    def ours() -> Cost:
        home = {"ANYSCALE_DATA_DIR": str(folder / f"home{next(homes)}")}
        return run(anyscale("user", "batch-create", "-f", users), home)

    found = pairs(ours, lambda: run(python(HASHING_ALONE)))
    show(
        "CPU of 2,000 users with passwords, of hashing alone on as many threads",
        found.ratio(lambda cost: cost.cpu),
        1.05,
    )
    cores = len(os.sched_getaffinity(0))
    idle = statistics.median(1 - cost.cpu / cost.wall / cores for cost in found.ours)
    show(f"of {cores} cores idle meanwhile", idle * 100, 5, unit=" %")
