"""A copy of a SQLite database, which is restored under the servers that have it open."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Self


class SqliteSnapshot:
    """The content of a database at one moment, in memory.

    Args:
        database: its file.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._copy = sqlite3.connect(":memory:")
        with closing(sqlite3.connect(database)) as source:
            source.backup(self._copy)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._copy.close()

    def restore(self) -> None:
        """Write it to the file in one transaction, once no other one writes."""
        with closing(sqlite3.connect(self._database, timeout=30)) as target:
            self._copy.backup(target)
