"""Create users with hashes made elsewhere, beside others; export and copy them."""

from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.support.databases import Database, Databases, each_kind
from benchmarks.support.files import write_users
from benchmarks.support.measuring import Cost, anyscale, pairs, run, run_afresh, show
from benchmarks.support.sites import site

#: times as long as the same users without hashes, at most
_WITH_HASHES = 2

#: times as long as creating the users, at most
_EXPORT = 1

#: MiB, at most, over the peak of the export of a thousandth of the users
_MEMORY = 32

#: microseconds an account of a copy, at most: a million in three minutes
_COPY = 180


class _Files(NamedTuple):
    hashed: Path
    plain: Path
    #: a thousandth of them, with hashes
    few: Path


def measure(folder: Path, users: int) -> None:
    files = _Files(
        write_users(folder / "hashed.yaml", users, password_hashes="$2b$10$"),
        write_users(folder / "plain.yaml", users),
        write_users(folder / "few.yaml", users // 1_000, password_hashes="$2b$10$"),
    )
    hashed, plain = (anyscale("user", "batch-create", "-f", file) for file in files[:2])
    found = pairs(lambda: run_afresh(hashed, folder), lambda: run_afresh(plain, folder), 1)
    _show_hashes("embedded", users, found.ratio(lambda cost: cost.wall), found.ours[-1])
    with each_kind(folder) as kinds:
        for databases in kinds:
            ours, bound = (partial(_create, databases, folder, file) for file in files[:2])
            found = pairs(ours, bound, 1)
            wall = found.ratio(lambda cost: cost.wall)
            _show_hashes(f"HTTP, {databases.name}", users, wall, found.ours[-1])
        sqlite, postgres = kinds
        with sqlite.new() as source, sqlite.new() as small, postgres.new() as other:
            creating = run(hashed, _environment(source))
            run(anyscale("user", "batch-create", "-f", files.few), _environment(small))
            _measure_exports(folder, source, small, creating)
            _measure_copy("to PostgreSQL", source, other, users)
            with sqlite.new() as back:
                _measure_copy("to SQLite", other, back, users)


def _show_hashes(where: str, users: int, wall: float, cost: Cost) -> None:
    what = f"{where}: creating {users:,} users with hashes made elsewhere / without"
    show(what, wall, _WITH_HASHES, note=f" ({cost.wall:.1f} s)")


def _create(databases: Databases, folder: Path, file: Path) -> Cost:
    with databases.new() as database, site(database, folder) as place:
        return run(anyscale("user", "batch-create", "-f", file), place.client)


def _environment(database: Database) -> dict[str, str]:
    """Return the variables of an operator's command; with SQLite also of an embedded run."""
    path = database.sqlite_path
    home = {"ANYSCALE_DATA_DIR": str(path.parent)} if path else {}
    return home | {"ANYSCALE_DATABASE_URL": database.url}


def _measure_exports(folder: Path, source: Database, small: Database, creating: Cost) -> None:
    for ending in ("jsonl", "csv", "ldif"):
        ours, few = (_export(database, folder / f"out.{ending}") for database in (source, small))
        note = f" ({ours.wall:.1f} and {creating.wall:.1f} s)"
        show(f"export as {ending} / creating", ours.wall / creating.wall, _EXPORT, note=note)
        what = f"export as {ending}, peak memory minus that of a thousandth of the users"
        show(what, ours.peak - few.peak, _MEMORY, " MiB")


def _export(database: Database, file: Path) -> Cost:
    command = anyscale("user", "export", "-o", file, "--with-password-hashes")
    try:
        return run(command, _environment(database))
    finally:
        for path in file.parent.glob(f"{file.name}*"):  # the manifest of CSV too
            path.unlink()


def _measure_copy(where: str, source: Database, target: Database, users: int) -> None:
    cost = run(anyscale("server", "copy", "--to", target.url), _environment(source))
    each = cost.wall / users * 1e6
    show(f"copy {where}", each, _COPY, " us", f" an account ({cost.wall:.1f} s)")
