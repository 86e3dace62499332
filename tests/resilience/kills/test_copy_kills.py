"""Kill -9 while a control plane is copied: nothing is lost, and the new database is whole or empty.

`--copy-kills N` sets the number of moments, of both directions together.
"""

import logging
import os
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from tests.support.commands.command_process import CommandProcess
from tests.support.commands.running import RunAnyscale
from tests.support.databases.all_rows import Rows, all_rows
from tests.support.databases.postgres import execute_at
from tests.support.users_files import write_users_file

_log = logging.getLogger(__name__)

USERS = 1_500

_END_OTHERS = """
    select pg_terminate_backend(pid, 20000) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
"""


class KilledCopies:
    """Copies a database into one that does not exist, and ends some of the copies by kill -9."""

    def __init__(self, source: Path | str, target: Path | str, folder: Path) -> None:
        self._source, self._target, self._folder = source, target, folder
        self._before = all_rows(source)
        #: how many copies were killed before the new database was complete, and after
        self.killed = Counter[str]()

    def time(self) -> float:
        """Run a copy to its end; give its seconds."""
        started = time.monotonic()
        process = self.start()
        assert process.wait() == 0, process.stderr
        seconds = time.monotonic() - started
        assert self._check()
        return seconds

    def kill_after(self, seconds: float) -> None:
        """Kill a copy after some time, and check both databases."""
        process = self.start()
        time.sleep(seconds)  # a random moment: there is nothing to wait for
        process.kill()
        self.killed["complete" if self._check() else "empty"] += 1

    def start(self) -> CommandProcess:
        """Start a copy."""
        urls = [
            f"sqlite:///{one}" if isinstance(one, Path) else one
            for one in (self._source, self._target)
        ]
        environment = os.environ | {"ANYSCALE_DATABASE_URL": urls[0]}
        return CommandProcess(["server", "copy", "--to", urls[1]], environment, folder=self._folder)

    def _check(self) -> bool:
        """Check that nothing is lost; remove the new database, and give whether it was complete."""
        now, copied = self._rows(self._source), self._rows(self._target)
        assert contains(now, self._before)
        if not copied:
            return False
        # If the kill came before the end, the old database lacks the entry about the copy.
        assert contains(copied, now)
        self._remove_target()
        return True

    def _rows(self, database: Path | str) -> Rows:
        if isinstance(database, Path):
            return all_rows(database) if database.exists() else {}
        # PostgreSQL may still undo or commit what the killed process had begun.
        execute_at(database, _END_OTHERS)
        return all_rows(database)

    def _remove_target(self) -> None:
        if isinstance(self._target, str):
            execute_at(self._target, "drop schema public cascade; create schema public")
        else:
            for file in self._target.parent.glob(f"{self._target.name}*"):
                file.unlink()


def contains(rows: Rows, before: Rows) -> bool:
    """Whether all rows are as before, and the audit log has only more of them."""
    return rows | {"audit": before["audit"]} == before and all(
        row in rows["audit"] for row in before["audit"]
    )


@pytest.fixture
def source(anyscale: RunAnyscale, tmp_path: Path) -> Path:
    """A SQLite file with accounts."""
    path = tmp_path / "anyscale.db"
    users = write_users_file(tmp_path / "users.yaml", USERS, 5)
    environment = {"ANYSCALE_DATABASE_URL": f"sqlite:///{path}"}
    anyscale("user", "batch-create", "-f", users, env=environment).check_returncode()
    return path


@pytest.mark.parametrize("direction", ["to PostgreSQL", "to SQLite"])
def test_a_copy_that_is_killed_at_any_moment_loses_nothing_and_starts_again(
    source: Path,
    blank_postgres_url: str,
    direction: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    copies = KilledCopies(source, blank_postgres_url, tmp_path)
    if direction == "to SQLite":
        assert copies.start().wait() == 0
        copies = KilledCopies(blank_postgres_url, tmp_path / "new.db", tmp_path)
    whole = copies.time()
    random = Random(request.node.name)
    for _ in range(request.config.getoption("--copy-kills") // 2):
        copies.kill_after(random.uniform(0, whole * 1.1))
    copies.time()
    _log.warning("%s: %s of %.2f s", direction, dict(copies.killed), whole)
