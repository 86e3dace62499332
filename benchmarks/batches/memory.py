"""Create users without passwords: peak memory in MiB, minus that with few users."""

import statistics
from pathlib import Path

from benchmarks.support.files import write_users
from benchmarks.support.measuring import anyscale, pairs, run_afresh, show


def measure(folder: Path, users: int) -> None:
    few_users = users // 1_000
    many, few = (
        anyscale("user", "batch-create", "-f", write_users(folder / f"{count}.yaml", count))
        for count in (users, few_users)
    )
    found = pairs(lambda: run_afresh(many, folder), lambda: run_afresh(few, folder))
    differences = (o.peak - b.peak for o, b in zip(found.ours, found.bound, strict=True))
    show(
        f"peak memory with {users:,} users minus peak memory with {few_users:,}",
        statistics.median(differences),
        64,
        unit=" MiB",
        note=f" ({found.ours[-1].wall / users * 1e6:.0f} us a user)",
    )
