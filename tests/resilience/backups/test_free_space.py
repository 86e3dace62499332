"""Free pages of SQLite: used again by new accounts, and given back by the command of the guide."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.resilience.backups.test_backup_sqlite import page_command, shell
from tests.support.callers import operator
from tests.support.users import checked_users

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings

CALLER = operator("jane")
NAMES = [f"user{number}" for number in range(1_500)]


def pages(file: Path, what: str) -> int:
    with closing(sqlite3.connect(file)) as connection:
        return int(connection.execute(f"pragma {what}").fetchone()[0])


def create(control_plane: ControlPlane, key: str, *names: str) -> None:
    control_plane.batches.create(CALLER, key, checked_users(*names, password=None), "fail", ())


def undo_all(control_plane: ControlPlane) -> None:
    (batch, *_) = control_plane.batches.page(open_only=False, before="", limit=1)
    after: str | None = ""
    while after is not None:
        after = control_plane.batches.undo(
            CALLER, batch.batch_id, after, force=False, dry_run=False
        ).after


def test_an_undo_leaves_free_pages_that_new_accounts_use_and_the_guide_gives_back(
    tmp_path: Path,
) -> None:
    file = tmp_path / "anyscale.db"
    journal = file.with_name("anyscale.db-wal")
    with closing(ControlPlane(Settings(database=file))) as control_plane:  # as a server that runs
        empty = pages(file, "page_count")
        create(control_plane, "first", *NAMES)
        full = pages(file, "page_count")
        undo_all(control_plane)
        free = pages(file, "freelist_count")
        assert pages(file, "page_count") == full
        assert free > (full - empty) * 3 / 4
        create(control_plane, "second", *NAMES)
        assert pages(file, "page_count") <= full + 1
        undo_all(control_plane)
        assert journal.stat().st_size > file.stat().st_size
        shell(page_command("wal_checkpoint(truncate)"), tmp_path, DB=str(file))
        assert (pages(file, "freelist_count"), journal.stat().st_size) == (0, 0)
        assert file.stat().st_size == pages(file, "page_count") * pages(file, "page_size")
        assert pages(file, "page_count") < full - free / 2
        create(control_plane, "jane", "jane")  # the server continues
        assert journal.exists()
    assert not journal.exists()
