"""Create 100,000 users without passwords, from the start of the command to published rows."""

from pathlib import Path

from benchmarks.support.files import write_users
from benchmarks.support.measuring import Cost, anyscale, pairs, python, run, show

LOAD = "import sys, yaml; yaml.load(open(sys.argv[1], 'rb'), yaml.CSafeLoader)"


def measure(folder: Path) -> None:
    users = write_users(folder / "users.yaml", 100_000)
    homes = iter(range(1_000))

    def ours() -> Cost:
        home = {"ANYSCALE_DATA_DIR": str(folder / f"home{next(homes)}")}
        return run(anyscale("user", "batch-create", "-f", users), home)

    found = pairs(ours, lambda: run(python(LOAD, users)))
    show(
        "100,000 users from file to published rows / PyYAML's C loader reading the file",
        found.ratio(lambda cost: cost.wall),
        0.30,
        note=f" ({found.ours[-1].wall / 0.1:.0f} us a user)",
    )
