"""Create users without passwords: the time of the command, beside PyYAML on the file."""

from pathlib import Path

from benchmarks.support.files import write_users
from benchmarks.support.measuring import anyscale, pairs, python, run, run_afresh, show

LOAD = "import sys, yaml; yaml.load(open(sys.argv[1], 'rb'), yaml.CSafeLoader)"


def measure(folder: Path, users: int) -> None:
    count = users // 10
    file = write_users(folder / "users.yaml", count)
    create = anyscale("user", "batch-create", "-f", file)
    found = pairs(lambda: run_afresh(create, folder), lambda: run(python(LOAD, file)))
    show(
        f"{count:,} users from file to published rows / PyYAML's C loader reading the file",
        found.ratio(lambda cost: cost.wall),
        0.30,
        note=f" ({found.ours[-1].wall / count * 1e6:.0f} us a user)",
    )
