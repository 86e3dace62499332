"""Files that are not a database of ours, or belong to others, are refused and stay as they are."""

import os
import pwd
import re
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.store.sqlite.steps import add_batch, count_batches, foreign, mode
from tests.support.faults.permissions import NOBODY, without_root

from anyscale.errors import StoreUnavailable
from anyscale.server.store.sqlite.store import SqliteStore


def no_database(path: Path) -> None:
    path.write_text("create_users: []\n" * 500)


def damaged(path: Path) -> None:
    SqliteStore(path).close()
    path.write_bytes(path.read_bytes()[:5_000])


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (no_database, "the file is not a database: name a new file, or restore a backup"),
        (damaged, "restore a backup"),
        (folder, "it is not a regular file"),
        (foreign, "the database of another application"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_file_that_cannot_be_used_is_named_with_the_reason(
    path: Path, spoil: object, reason: str
) -> None:
    path.parent.mkdir()
    assert callable(spoil)
    spoil(path)

    with pytest.raises(StoreUnavailable, match=reason) as caught:
        SqliteStore(path)

    assert str(caught.value).startswith(str(path))
    assert not caught.value.outcome_unknown


def test_a_file_that_is_no_database_is_found_when_only_reading_too(path: Path) -> None:
    path.parent.mkdir()
    no_database(path)
    with pytest.raises(StoreUnavailable, match="the file is not a database"):
        SqliteStore(path, create=False)


# What belongs to others, and stays as it is


def text_file(path: Path) -> None:
    path.write_text("no database")
    path.chmod(0o644)


def pipe(path: Path) -> None:
    os.mkfifo(path, 0o644)


def link(path: Path) -> None:
    SqliteStore(path.with_name("other.db")).close()
    path.with_name("other.db").chmod(0o644)
    path.symlink_to("other.db")


def other_application(path: Path) -> None:
    foreign(path)
    path.chmod(0o644)


def other_application_by_its_id(path: Path) -> None:
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("pragma application_id = 7")
    connection.close()
    path.chmod(0o644)


def folder_for_all(path: Path) -> None:
    path.parent.chmod(0o777)
    text_file(path)


@pytest.mark.parametrize("create", [True, False], ids=["writing", "reading"])
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (text_file, "not a database"),
        (pipe, "not a regular file"),
        (link, "not a regular file"),
        (other_application, "of another application"),
        (other_application_by_its_id, "of another application"),
        (folder_for_all, "every user of this machine can write to its folder"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_file_of_another_program_is_refused_and_not_changed(
    path: Path, spoil: Callable[[Path], None], reason: str, create: bool
) -> None:
    path.parent.mkdir()
    spoil(path)
    before = files_in(path.parent)
    with pytest.raises(StoreUnavailable, match=re.escape(reason)):
        SqliteStore(path, create=create)
    assert files_in(path.parent) == before


def files_in(folder: Path) -> list[tuple[object, ...]]:
    found = [(file.name, file.lstat()) for file in sorted(folder.iterdir())]
    return [(name, s.st_mode, s.st_uid, s.st_size, s.st_mtime_ns) for name, s in found]


@pytest.fixture
def other_user(monkeypatch: pytest.MonkeyPatch) -> int:
    """A user beside root. If no root runs the tests, who does is that user, and acts as root."""
    if os.geteuid() == 0:
        return NOBODY
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return os.getuid()


@pytest.mark.parametrize("create", [True, False], ids=["writing", "reading"])
def test_another_users_file_is_refused_to_root_and_not_changed(
    path: Path, create: bool, other_user: int
) -> None:
    path.parent.mkdir()
    no_database(path)
    path.chmod(0o666)
    os.chown(path, other_user, -1)
    before = files_in(path.parent)
    name = pwd.getpwuid(other_user).pw_name
    mend = f"the user {name}: run `runuser --pty -u {name} -- env -u HOME anyscale ...`"
    with pytest.raises(StoreUnavailable, match=re.escape(mend)):
        SqliteStore(path, create=create)
    assert files_in(path.parent) == before


@pytest.mark.parametrize("create", [True, False], ids=["writing", "reading"])
def test_a_device_is_refused_and_not_changed(create: bool) -> None:
    controller, terminal = os.openpty()  # a device that every user may make
    path = Path(os.ttyname(terminal))
    before = path.lstat()

    with pytest.raises(StoreUnavailable, match="not a regular file"):
        SqliteStore(path, create=create)

    after = path.lstat()
    assert stat.S_ISCHR(after.st_mode)
    assert (before.st_mode, before.st_uid) == (after.st_mode, after.st_uid)
    os.set_blocking(controller, False)
    with pytest.raises(BlockingIOError):
        os.read(controller, 1)  # nothing was written
    os.close(controller)
    os.close(terminal)


def test_root_creates_no_database_in_another_users_folder(
    path: Path, other_user: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.parent.mkdir()
    os.chown(path.parent, other_user, -1)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)  # users without names
    become = f"setsid --wait setpriv --reuid={other_user} --clear-groups"
    mend = f"uid {other_user}: run `{become} env -u HOME anyscale ...`"
    with pytest.raises(StoreUnavailable, match=re.escape(mend)):
        SqliteStore(path)
    assert list(path.parent.iterdir()) == []


def test_another_users_file_is_refused_without_root_too(reachable: Path) -> None:
    path = Path("/etc/passwd")  # nobody but root can make a file of root
    if os.geteuid() == 0:
        path = reachable
        os.chown(path, 0, -1)
        path.chmod(0o666)
    before = mode(path)
    mend = re.escape(f" {path}` as root")
    with without_root(), pytest.raises(StoreUnavailable, match=rf"root: run `chown \d+{mend}"):
        SqliteStore(path)
    assert mode(path) == before


def test_an_ordinary_user_of_another_users_file_may_be_given_it(
    reachable: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = reachable.rename(reachable.with_name("it's.db"))
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    mend = f"`chown 54321 '{path.parent}/it'\"'\"'s.db'` as root"
    reason = f"run the command as that user, or {mend}"
    with pytest.raises(StoreUnavailable, match=re.escape(reason)):
        SqliteStore(path)


def test_a_folder_to_which_a_group_can_write_is_a_warning(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.parent.chmod(0o770)
    SqliteStore(path).close()
    assert f"run `chmod g-w` on {path.parent}" in caplog.text


def test_a_database_without_an_application_id_is_ours_by_its_tables(path: Path) -> None:
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("pragma application_id = 0")
    connection.close()
    SqliteStore(path).close()


def test_a_damaged_schema_number_is_an_error_of_the_store(path: Path) -> None:
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("update schema_version set version = -5")
    connection.close()
    with pytest.raises(StoreUnavailable, match="damaged, with schema -5"):
        SqliteStore(path)


def test_a_folder_that_is_a_file_is_named(path: Path) -> None:
    path.parent.write_text("")
    with pytest.raises(StoreUnavailable, match=str(path.parent)):
        SqliteStore(path)


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A database in a folder into which everybody may look."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "anyscale.db"
        with closing(SqliteStore(path)) as store:
            add_batch(store, 1)
        if os.geteuid() == 0:
            os.chown(path, NOBODY, -1)
        yield path
        Path(folder).chmod(0o755)


@pytest.mark.parametrize("create", [True, False], ids=["writing", "reading"])
def test_a_file_that_is_not_readable_says_so(reachable: Path, create: bool) -> None:
    reachable.chmod(0o000)
    with (
        without_root(),
        pytest.raises(StoreUnavailable, match=r"Permission denied|check the folder") as caught,
    ):
        SqliteStore(reachable, create=create)
    assert str(reachable) in str(caught.value)


def test_a_database_in_a_read_only_folder_can_be_read(reachable: Path) -> None:
    reachable.chmod(0o440)
    reachable.parent.chmod(0o555)
    with without_root(), closing(SqliteStore(reachable, create=False)) as store:
        assert count_batches(store) == 1
        assert count_batches(store) == 1  # by another connection
        with pytest.raises(StoreUnavailable, match="read-only"):
            add_batch(store, 2)
    assert mode(reachable) == 0o440
    assert [file.name for file in reachable.parent.iterdir()] == ["anyscale.db"]


def test_a_database_in_a_read_only_folder_is_not_read_without_its_log(reachable: Path) -> None:
    with closing(SqliteStore(reachable.parent / "x.db")) as store:
        add_batch(store, 1)
        shutil.copy(reachable.parent / "x.db-wal", f"{reachable}-wal")
    if os.geteuid() == 0:
        os.chown(f"{reachable}-wal", NOBODY, -1)
    reachable.parent.chmod(0o555)
    with without_root(), pytest.raises(StoreUnavailable, match="check the folder"):
        SqliteStore(reachable, create=False)


def test_a_file_that_is_read_only_says_so(reachable: Path) -> None:
    reachable.chmod(0o400)
    with (
        without_root(),
        pytest.raises(StoreUnavailable, match="it is read-only for this user"),
        closing(SqliteStore(reachable)) as store,  # opens it in a folder of this user
    ):
        add_batch(store, 2)


def test_a_folder_that_is_read_only_says_so(reachable: Path) -> None:
    reachable.unlink()
    reachable.parent.chmod(0o555)
    with without_root(), pytest.raises(StoreUnavailable, match="Permission denied"):
        SqliteStore(reachable)
