"""Read and validate a users file: the time, beside a bare loop over libyaml's events."""

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
from anyscale.users_file import UsersFile
from anyscale.domain.validation import Policy
reading = UsersFile.open(sys.argv[1]).reading(Policy())
assert sum(1 for _ in reading) == int(sys.argv[2])
assert not reading.problems
"""


def measure(folder: Path, users: int) -> None:
    count = users // 10
    file = write_users(folder / "users.yaml", count)
    found = pairs(lambda: run(python(OURS, file, str(count))), lambda: run(python(BARE, file)))
    ours, bare = (costs[-1].wall / count * 1e6 for costs in found)
    show(
        f"reading and validating {count:,} users / a bare loop over libyaml's events",
        found.ratio(lambda cost: cost.wall),
        16 / 9,
        note=f" ({ours:.1f} and {bare:.1f} us a user)",
    )
