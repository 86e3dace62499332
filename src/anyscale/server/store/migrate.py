"""Brings a SQLite schema up, a numbered file at a time: each and its number in one transaction."""

import sqlite3
from pathlib import Path

from anyscale.errors import StoreUnavailable

__all__ = ["migrate"]


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the steps that are missing. Two processes may do so at once, and either may be killed.

    Raises:
        StoreUnavailable: a newer version of this program made the database.
    """
    steps = _steps()
    newest = max(steps)
    # Most starts find the schema current, and need no lock to see it.
    if (found := _version(connection)) > newest:
        raise StoreUnavailable(
            f"the database has schema {found}, and this version knows {newest}: "
            "use the version of musterroll that made it, or a newer one"
        )
    for number in range(found + 1, newest + 1):
        connection.execute("begin immediate")
        if _version(connection) < number:
            for statement in steps[number].split(";\n\n"):
                connection.execute(statement)
            # user_version is part of the transaction, as any page of the database is.
            connection.execute(f"pragma user_version = {number}")
        connection.execute("commit")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("pragma user_version").fetchone()[0])


def _steps() -> dict[int, str]:
    # Not importlib.resources, which takes 6 ms to load: wheels are unpacked.
    folder = Path(__file__).parent / "migrations" / "sqlite"
    return {
        int(file.name.partition("_")[0]): file.read_text(encoding="utf-8")
        for file in folder.glob("*.sql")
    }
