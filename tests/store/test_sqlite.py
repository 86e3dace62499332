"""The SQLite store: the rules of every store, and what is asked of a file."""

import fcntl
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.store.contract.steps import batch_row, rows_of, user_row
from tests.store.contract.suite import StoreContract
from tests.store.query_plans import explained
from tests.support.databases.stored_data import execute_sql
from tests.support.faults.permissions import NOBODY, without_root
from tests.support.waiting import wait_until

from anyscale.errors import StoreUnavailable
from anyscale.server.store.interface import Store, Transaction
from anyscale.server.store.records import AuditRecord
from anyscale.server.store.sqlite import migrate as sqlite_migrate
from anyscale.server.store.sqlite import store as sqlite_store
from anyscale.server.store.sqlite.store import SqliteStore


class TestSqlite(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        with closing(SqliteStore(tmp_path / "data" / "anyscale.db")) as store:
            yield store

    @pytest.fixture
    def set_schema(self, tmp_path: Path) -> Callable[[int], None]:
        def write(number: int) -> None:
            with sqlite3.connect(tmp_path / "data" / "anyscale.db") as connection:
                connection.execute(f"pragma user_version = {number}")
            connection.close()

        return write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "anyscale.db"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def add_batch(store: Store, number: int) -> None:
    with store.write() as tx:
        tx.batches.add(batch_row(number))


def count_batches(store: Store) -> int:
    with store.read() as tx:
        return len(tx.batches.list(open_only=False, before="", limit=100))


# Who can read it


def test_the_file_has_an_application_id_of_its_own(path: Path) -> None:
    SqliteStore(path).close()
    assert path.read_bytes()[68:72] == b"must"


def test_only_the_owner_can_read_the_files_whatever_the_umask(path: Path) -> None:
    umask = os.umask(0)
    try:
        with closing(SqliteStore(path)) as store:
            add_batch(store, 1)
            assert mode(path.parent) == 0o700
            assert {mode(file) for file in path.parent.iterdir()} == {0o600}
            assert (path.parent / "anyscale.db-wal").stat().st_size > 0
    finally:
        os.umask(umask)
    assert [file.name for file in path.parent.iterdir()] == ["anyscale.db"]


def test_a_file_that_others_can_read_becomes_private(path: Path) -> None:
    SqliteStore(path).close()
    path.chmod(0o644)

    SqliteStore(path).close()

    assert mode(path) == 0o600


def test_special_characters_of_urls_are_plain_in_a_file_name(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory#50%41" / "any scale.db"

    with closing(SqliteStore(path)) as store:
        add_batch(store, 1)

    with closing(SqliteStore(path, create=False)) as store:
        assert count_batches(store) == 1


# What survives


def test_every_connection_writes_ahead_and_to_the_disk(path: Path) -> None:
    with closing(SqliteStore(path)) as store, store.write() as writing, store.read() as reading:
        for tx in (writing, reading):
            assert execute_sql(tx, "pragma journal_mode").fetchone() == ("wal",)
            assert execute_sql(tx, "pragma synchronous").fetchone() == (2,)


def test_what_was_committed_is_there_for_the_next_process(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        add_batch(store, 1)

    with closing(SqliteStore(path)) as store:
        assert count_batches(store) == 1


def test_a_process_that_is_killed_in_a_transaction_leaves_nothing_of_it(path: Path) -> None:
    SqliteStore(path).close()
    code = (
        "import os, sys; from pathlib import Path\n"
        "from anyscale.server.store.sqlite.store import SqliteStore\n"
        "from tests.store.contract.steps import batch_row\n"
        "store = SqliteStore(Path(sys.argv[1]))\n"
        "with store.write() as tx: tx.batches.add(batch_row(1))\n"
        "with store.write() as tx: tx.batches.add(batch_row(2)); os.kill(os.getpid(), 9)\n"
    )

    killed = subprocess.run([sys.executable, "-c", code, str(path)], check=False)

    assert killed.returncode == -9
    with closing(SqliteStore(path)) as store:
        assert count_batches(store) == 1


def test_a_reader_does_not_wait_for_a_writer(path: Path) -> None:
    with closing(SqliteStore(path)) as one, closing(SqliteStore(path)) as other, one.write() as tx:
        tx.batches.add(batch_row(1))
        assert count_batches(one) == 0
        assert count_batches(other) == 0


def test_a_connection_that_is_being_closed_is_not_used(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite crashes the process when a connection is closed that a thread is using."""
    late: list[str] = []

    class ReadBeforeClosing(sqlite3.Connection):
        def close(self) -> None:
            try:
                with store.read() as tx:
                    super().close()
                    tx.batches.list(open_only=False, before="", limit=1)
            except StoreUnavailable as error:
                late.append(str(error))
                super().close()

    connect = partial(sqlite3.connect, factory=ReadBeforeClosing)
    monkeypatch.setattr(sqlite3, "connect", connect)
    store = SqliteStore(path)
    assert count_batches(store) == 0  # of the two connections one reads
    store.close()
    assert late == [f"{path} is closed"] * 2


def test_a_reader_closes_its_connection_when_its_store_was_closed_meanwhile(path: Path) -> None:
    store = SqliteStore(path)
    add_batch(store, 1)
    with store.read():
        store.close()
        assert len(list(path.parent.iterdir())) == 3
    assert [file.name for file in path.parent.iterdir()] == ["anyscale.db"]


def test_a_transaction_that_writes_ends_before_its_store_is_closed(path: Path) -> None:
    with closing(SqliteStore(path)) as store, ThreadPoolExecutor(1) as pool:
        with store.write() as tx:
            end = pool.submit(store.close)
            with pytest.raises(TimeoutError):
                end.result(timeout=0.1)
            tx.batches.add(batch_row(1))
        end.result(timeout=10)
    with closing(SqliteStore(path)) as store:
        assert count_batches(store) == 1


def test_the_error_says_that_another_process_writes_and_nothing_has_begun(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.server.store.sqlite.store.BUSY_SECONDS", 0.05)
    with closing(SqliteStore(path)) as one, closing(SqliteStore(path)) as other:
        with one.write(), pytest.raises(StoreUnavailable, match="has been writing") as caught:
            add_batch(other, 1)
        assert not caught.value.outcome_unknown
        add_batch(other, 1)


def test_only_the_connection_that_writes_has_a_large_cache_and_it_has_it_to_migrate(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caches: list[int] = []

    def migrate(connection: sqlite3.Connection) -> None:
        caches.extend(connection.execute("pragma cache_size").fetchone())
        sqlite_migrate.migrate(connection)

    monkeypatch.setattr(sqlite_store, "migrate", migrate)
    with closing(SqliteStore(path)) as store:
        for transaction in (store.write(), store.read()):
            with transaction as tx:
                caches += execute_sql(tx, "pragma cache_size").fetchone()
    assert caches == [-16384, -16384, -2000]  # KiB


def test_a_write_waits_for_another_process_no_longer_than_it_wants(path: Path) -> None:
    with closing(SqliteStore(path)) as one, closing(SqliteStore(path)) as other:
        started = time.monotonic()
        with one.write(), pytest.raises(StoreUnavailable, match="has been writing"):
            other.write(patience=0.05).__enter__()
        assert time.monotonic() - started < 20


def test_a_store_that_waits_for_another_process_can_be_closed(path: Path) -> None:
    with closing(SqliteStore(path)) as one, ThreadPoolExecutor(1) as pool:
        other = SqliteStore(path)
        with one.write():
            waiting = pool.submit(add_batch, other, 1)
            wait_until(other._writing.locked)
            started = time.monotonic()
            other.close()

            assert time.monotonic() - started < 10
            with pytest.raises(StoreUnavailable, match="has been writing"):
                waiting.result()


WAITING = """
import sys, threading, time
from pathlib import Path
from anyscale.server.store.sqlite.store import SqliteStore

def say_when_it_waits():
    while not store._writing.locked():
        time.sleep(0.01)
    print("waiting", flush=True)

store = SqliteStore(Path(sys.argv[1]))
threading.Thread(target=say_when_it_waits, daemon=True).start()
with store.write():
    pass
"""


def test_ctrl_c_is_noticed_while_another_process_writes(path: Path) -> None:
    command = [sys.executable, "-c", WAITING, str(path)]
    with (
        closing(SqliteStore(path)) as store,
        store.write(),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process,
    ):
        assert process.stdout
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == -signal.SIGINT


def test_the_error_of_a_failed_statement_says_that_the_transaction_had_begun(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        entry = AuditRecord(1, 1, "a", "e", "s", "{}", b"")
        with store.write() as tx:
            tx.batches.add(batch_row(1))
            tx.audit.add(entry)
        with pytest.raises(StoreUnavailable) as caught, store.write() as tx:
            tx.audit.add(entry)
        assert caught.value.outcome_unknown
        assert count_batches(store) == 1


# What is found by an index


USER = "usr_" + batch_row(1).batch_id[4:] + "00000000"


@pytest.mark.parametrize(
    ("index", "ask"),
    [
        ("sqlite_autoindex_users_1", lambda tx: tx.accounts.get(USER)),
        ("sqlite_autoindex_users_2", lambda tx: tx.accounts.find("a@x.org")),
        ("users_owners", lambda tx: tx.accounts.lock_owners()),
        (
            "sqlite_autoindex_users_1",
            lambda tx: tx.users.list_without_credentials("bat_1", sso=False, after="", limit=9),
        ),
        (
            "sqlite_autoindex_users_1",
            lambda tx: tx.users.count_without_credentials("bat_1", sso=False),
        ),
        ("sessions_user", lambda tx: tx.sessions.list(USER)),
        ("sessions_user", lambda tx: tx.sessions.delete(USER)),
        ("sessions_user", lambda tx: tx.accounts.delete(USER)),
        ("devices_user", lambda tx: tx.accounts.delete(USER)),
        ("tokens_user", lambda tx: tx.accounts.delete(USER)),
        ("sqlite_autoindex_users_1", lambda tx: tx.accounts.lock([USER, "usr_none"])),
        ("sqlite_autoindex_users_2", lambda tx: tx.users.find_holders(["a@x.org", "b@x.org"])),
        ("users_hash_due", lambda tx: tx.users.list_pending(1, [USER, "usr_none"])),
        ("users_hash_due", lambda tx: tx.users.count_pending(1)),
        ("batches_live_key", lambda tx: tx.batches.find("key-1")),
        ("sqlite_autoindex_tokens_1", lambda tx: tx.tokens.find("tok_1")),
        ("sqlite_autoindex_tokens_1", lambda tx: tx.tokens.touch("tok_1", 7)),
        ("sqlite_autoindex_tokens_1", lambda tx: tx.tokens.revoke("tok_1", "local:joe", 7)),
        ("sqlite_autoindex_tokens_2", lambda tx: tx.tokens.get(bytes(32))),
        ("tokens_name", lambda tx: tx.tokens.find_named("laptop")),
        ("tokens_name", lambda tx: tx.tokens.list_live(USER, 7)),
    ],
    ids=range(21),
)
def test_an_index_finds_the_rows(
    path: Path, index: str, ask: Callable[[Transaction], object]
) -> None:
    with closing(SqliteStore(path)) as store, store.write() as tx:
        batch = tx.batches.add(batch_row(1))
        assert batch
        tx.users.insert(batch.id, rows_of([user_row(batch, 0, "a@x.org")]))
        tx.batches.publish(batch.id, "local:joe", 5_000)
        with explained(tx, "explain query plan") as steps:
            ask(tx)
    assert any(f" INDEX {index}" in step for step in steps)
    # Conflicts have no index by email, and few are kept. The index of owners has no other rows, and
    # the watermark of the index of words is one row.
    small = (
        *("SCAN conflicts", "SCAN json_each", "SCAN search_index"),
        "SCAN users USING INDEX users_owners",
    )
    assert [step for step in steps if step.startswith("SCAN") and not step.startswith(small)] == []


# What is no database of ours


def no_database(path: Path) -> None:
    path.write_text("create_users: []\n" * 500)


def damaged(path: Path) -> None:
    SqliteStore(path).close()
    path.write_bytes(path.read_bytes()[:5_000])


def folder(path: Path) -> None:
    path.mkdir()


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("create table users (id integer)")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (no_database, "the file is not a database"),
        (damaged, "restore a backup"),
        (folder, "it is no regular file"),
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

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make it")


def text_file(path: Path) -> None:
    path.write_text("no database")
    path.chmod(0o644)


def device(path: Path) -> None:
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    path.chmod(0o666)


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


def another_user(path: Path) -> None:
    SqliteStore(path).close()
    path.chmod(0o666)
    os.chown(path, NOBODY, -1)


def folder_for_all(path: Path) -> None:
    path.parent.chmod(0o777)
    text_file(path)


@pytest.mark.parametrize("create", [True, False], ids=["writing", "reading"])
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (text_file, "not a database"),
        pytest.param(device, "no regular file", marks=needs_root),
        (pipe, "no regular file"),
        (link, "no regular file"),
        (other_application, "of another application"),
        (other_application_by_its_id, "of another application"),
        pytest.param(
            another_user,
            "the user nobody: run `runuser -u nobody -- env -u HOME anyscale ...`",
            marks=needs_root,
        ),
        (folder_for_all, "every user of this machine can write to its folder"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_not_ours_is_refused_and_not_changed(
    path: Path, spoil: Callable[[Path], None], reason: str, create: bool
) -> None:
    path.parent.mkdir()
    spoil(path)
    before = [(file.name, file.lstat()) for file in sorted(path.parent.iterdir())]

    with pytest.raises(StoreUnavailable, match=re.escape(reason)):
        SqliteStore(path, create=create)

    after = [(file.name, file.lstat()) for file in sorted(path.parent.iterdir())]
    unchanged = [
        [(name, s.st_mode, s.st_uid, s.st_size, s.st_mtime_ns) for name, s in state]
        for state in (before, after)
    ]
    assert unchanged[0] == unchanged[1]


@needs_root
def test_root_creates_no_database_in_another_users_folder(path: Path) -> None:
    path.parent.mkdir()
    os.chown(path.parent, 54321, -1)  # a user without a name
    mend = "uid 54321: run `setpriv --reuid=54321 --clear-groups env -u HOME anyscale ...`"
    with pytest.raises(StoreUnavailable, match=re.escape(mend)):
        SqliteStore(path)
    assert list(path.parent.iterdir()) == []


@needs_root
def test_another_users_file_is_refused_without_root_too(reachable: Path) -> None:
    os.chown(reachable, 0, -1)
    reachable.chmod(0o666)
    with without_root(), pytest.raises(StoreUnavailable, match="root: run the command as that"):
        SqliteStore(reachable)
    assert mode(reachable) == 0o666


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
        connection.execute("pragma user_version = -5")
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
    reachable.chmod(0o444)
    with without_root(), pytest.raises(StoreUnavailable, match="it is read-only for this user"):
        SqliteStore(reachable)


def test_a_folder_that_is_read_only_says_so(reachable: Path) -> None:
    reachable.unlink()
    reachable.parent.chmod(0o555)
    with without_root(), pytest.raises(StoreUnavailable, match="Permission denied"):
        SqliteStore(reachable)


# First use and newer versions


def test_a_newer_schema_is_refused_by_readers_and_writers(path: Path) -> None:
    SqliteStore(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("pragma user_version = 99")
    connection.close()

    for create in (True, False):
        with pytest.raises(StoreUnavailable, match="schema 99, and this version knows"):
            SqliteStore(path, create=create)


def test_only_reading_makes_nothing(path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="there is no control plane yet"):
        SqliteStore(path, create=False)
    assert not path.parent.exists()


def test_a_first_use_that_was_killed_before_its_schema_is_blank(path: Path) -> None:
    path.parent.mkdir()
    path.touch(0o600)

    with closing(SqliteStore(path, create=False)) as store:
        assert store.is_blank
        with pytest.raises(StoreUnavailable, match="start a server of this version"):
            store.ready()
    with closing(SqliteStore(path)) as store:
        assert not store.is_blank
        assert count_batches(store) == 0


def test_eight_processes_may_be_the_first_at_once(path: Path) -> None:
    code = (
        "import sys; from contextlib import closing; from pathlib import Path\n"
        "from anyscale.server.store.sqlite.store import SqliteStore\n"
        "from tests.store.contract.steps import batch_row\n"
        "sys.stdin.readline()\n"
        "with closing(SqliteStore(Path(sys.argv[1]))) as store, store.write() as tx:\n"
        "    tx.batches.add(batch_row(int(sys.argv[2])))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path), str(number)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    for process in processes:  # they have all started: now they go on at once
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()

    errors = [process.communicate()[1] for process in processes]

    assert errors == [""] * 8
    with closing(SqliteStore(path)) as store:
        assert count_batches(store) == 8


def test_eight_threads_may_be_the_first_at_once(tmp_path: Path) -> None:
    for attempt in range(10):
        path = tmp_path / str(attempt) / "anyscale.db"
        start = threading.Barrier(8)

        def use(number: int, path: Path = path, start: threading.Barrier = start) -> None:
            start.wait()
            with closing(SqliteStore(path)) as store:
                add_batch(store, number)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(use, range(8)))
        with closing(SqliteStore(path)) as store:
            assert count_batches(store) == 8


def test_a_first_use_waits_while_another_process_sets_the_file_up(path: Path) -> None:
    path.parent.mkdir()
    other = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with ThreadPoolExecutor(1) as pool:
        first_use = pool.submit(lambda: SqliteStore(path).close())
        with pytest.raises(TimeoutError):
            first_use.result(0.2)
        os.close(other)
        first_use.result(20)


# Transactions that are not durable


def test_only_a_transaction_that_is_not_durable_does_not_wait_for_the_disk(path: Path) -> None:
    def level(tx: Transaction) -> object:
        return execute_sql(tx, "pragma synchronous").fetchone()[0]

    with closing(SqliteStore(path)) as store:
        with store.write() as tx:
            assert level(tx) == 2  # full
        with store.write(durable=False) as tx:
            assert level(tx) == 1  # normal
        with store.write() as tx:
            assert level(tx) == 2


def test_transactions_that_are_not_durable_do_not_let_the_log_grow(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "_CHECKPOINT_EVERY", 4)
    with closing(SqliteStore(path)) as store:
        for number in range(1, 81):
            with store.write(durable=False) as tx:
                assert execute_sql(tx, "pragma wal_autocheckpoint").fetchone() == (0,)
                tx.audit.add(AuditRecord(number, 1, "a", "e", "s", "x" * 100_000, b"hash"))
        assert path.with_name(f"{path.name}-wal").stat().st_size < 2_000_000  # of 8 MB
        with store.write() as tx:
            assert execute_sql(tx, "pragma wal_autocheckpoint").fetchone() == (16_000,)
