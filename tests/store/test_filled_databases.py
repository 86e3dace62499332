"""The benchmarks fill databases by statements of their own, which fit the schema."""

from pathlib import Path

from benchmarks.support.databases import SqliteDatabases
from benchmarks.support.filling import fill, fill_console


def test_a_benchmark_fills_a_database_with_accounts_and_an_open_batch(tmp_path: Path) -> None:
    with SqliteDatabases(tmp_path).new() as database:
        fill(database, 1_000)
        fill_console(database)

        states = database.rows("select state, users from batches join chunks on batch = batches.id")
        assert states == [("published", 1_000), ("open", 1_000)]
