"""Plan a sync of a file with as many accounts, of which 1 % have changed, beside `user verify`."""

import re
import shlex
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.support.databases import each_kind
from benchmarks.support.files import write_users
from benchmarks.support.measuring import Pairs, anyscale, pairs, run, show
from benchmarks.support.sites import site

#: times as long as `verify`, at most
_VERIFY = 1.5

#: MiB, at most, over the peak of `verify`
_MEMORY = 32

#: one of so many users is new, one has left, and one has another last name
_PART = 300


class _Target(NamedTuple):
    name: str
    environment: Mapping[str, str]


def measure(folder: Path, users: int) -> None:
    count = users // 10
    before = write_users(folder / "before.yaml", count)
    after = _changed(write_users(folder / "after.yaml", count, first=count // _PART))
    for target in _targets(folder):
        environment = dict(target.environment)
        run(anyscale("user", "batch-create", "-f", before), environment)
        # Its status is 1, since something is different.
        verify = f"{shlex.join(anyscale('user', 'verify', '-f', after))} || test $? = 1"
        sync = anyscale("user", "sync", "-f", after, "--dry-run")
        found = pairs(
            partial(run, sync, environment), partial(run, ["sh", "-c", verify], environment)
        )
        _show(f"{target.name}: the plan of a sync of {count:,} users", found)


def _show(what: str, found: Pairs) -> None:
    ours, bound = found.ours[-1], found.bound[-1]
    note = f" ({ours.wall:.1f} and {bound.wall:.1f} s)"
    show(f"{what} / verifying them", found.ratio(lambda cost: cost.wall), _VERIFY, note=note)
    memory = max(a.peak - b.peak for a, b in zip(found.ours, found.bound, strict=True))
    note = f" ({ours.peak:.0f} MiB)"
    show(f"{what}, peak memory over that of verifying", memory, _MEMORY, " MiB", note)


def _targets(folder: Path) -> Iterator[_Target]:
    yield _Target("embedded", {"ANYSCALE_DATA_DIR": str(folder / "embedded")})
    with each_kind(folder) as kinds:
        for databases in kinds:
            with databases.new() as database, site(database, folder) as place:
                yield _Target(f"HTTP, {databases.name}", place.client)


def _changed(file: Path) -> Path:
    """Give one of some users another last name."""
    text = file.read_text(encoding="utf-8")

    def other(found: re.Match[str]) -> str:
        return f"{found[0]}{'-other' if int(found[1]) % _PART == 0 else ''}"

    file.write_text(re.sub(r"lastname: lastname(\d+)", other, text), encoding="utf-8")
    return file
