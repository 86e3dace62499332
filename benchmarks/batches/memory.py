"""Peak memory of the command with 1,000,000 users."""

import shutil
import statistics
from pathlib import Path

from benchmarks.support.files import write_users
from benchmarks.support.measuring import Cost, anyscale, pairs, run, show


def measure(folder: Path) -> None:
    many = write_users(folder / "many.yaml", 1_000_000)
    few = write_users(folder / "few.yaml", 1_000)
    home = folder / "home"

    def create(users: Path) -> Cost:
        shutil.rmtree(home, ignore_errors=True)
        command = anyscale("user", "batch-create", "-f", users)
        return run(command, {"ANYSCALE_DATA_DIR": str(home)})

    found = pairs(lambda: create(many), lambda: create(few))
    differences = (o.peak - b.peak for o, b in zip(found.ours, found.bound, strict=True))
    show(
        "peak memory with 1,000,000 users minus peak memory with 1,000",
        statistics.median(differences),
        64,
        unit=" MiB",
        note=f" ({found.ours[-1].wall:.0f} us a user)",
    )
