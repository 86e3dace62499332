"""Read and validate a file of 100,000 users, with positions and the search for duplicates."""

from pathlib import Path

from benchmarks.support.files import write_users
from benchmarks.support.measuring import pairs, python, run, show

BARE = """
import sys
from yaml._yaml import CParser
next_event = CParser(open(sys.argv[1], "rb")).get_event
while next_event() is not None:
    pass
"""

OURS = """
import sys
from anyscale.user.files import UsersFile
from anyscale.user.validation import Policy
reading = UsersFile.open(sys.argv[1]).reading(Policy())
assert sum(1 for _ in reading) == 100_000
assert not reading.problems
"""


def measure(folder: Path) -> None:
    users = write_users(folder / "users.yaml", 100_000)

    found = pairs(lambda: run(python(OURS, users)), lambda: run(python(BARE, users)))
    show(
        "reading and validating 100,000 users / a bare loop over libyaml's events",
        found.ratio(lambda cost: cost.wall),
        16 / 9,
        note=f" ({found.ours[-1].wall * 10:.1f} and {found.bound[-1].wall * 10:.1f} us a user)",
    )
