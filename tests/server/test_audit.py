"""The audit log: each entry is chained to the previous one."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json, structs
from tests.support.databases.stored_data import execute_sql
from tests.support.servers.control_planes import Deployment

from anyscale.domain.audit_chain import (
    FORGOTTEN,
    AuditEntry,
    Verdict,
    entry_hash,
    verify,
    verify_log,
)
from anyscale.domain.models.audit import AuditFilter
from anyscale.errors import StoreUnavailable
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.audit.entries import AuditLog, Entry, append_entries, append_entry
from anyscale.server.core.audit.verification import verify_next_slice
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.audit import AuditRecord
from anyscale.server.store.sqlite.store import SqliteStore

ROW = AuditRecord(
    1, 1_700_000_000_000, "local:jane", "batch.published", "bat_1", '{"users":2}', b""
)


def test_the_hash_of_an_entry_does_not_change() -> None:
    """Logs of earlier releases have to verify: this value never changes."""
    text = b'[1,1700000000000,"local:jane","batch.published","bat_1","{\\"users\\":2}"]'
    import hashlib

    assert entry_hash(bytes(32), ROW) == hashlib.sha256(bytes(32) + text).digest()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number", 2),
        ("at", 1_700_000_000_001),
        ("actor", "local:joe"),
        ("event", "batch.dropped"),
        ("subject", "bat_2"),
        ("data", '{"users":3}'),
    ],
)
def test_every_field_is_in_the_hash(field: str, value: object) -> None:
    changed = structs.replace(ROW, **{field: value})
    assert entry_hash(bytes(32), changed) != entry_hash(bytes(32), ROW)


def test_the_previous_entry_is_in_the_hash() -> None:
    assert entry_hash(b"\x01" * 32, ROW) != entry_hash(bytes(32), ROW)


@given(st.text(), st.text(), st.text(), st.text())
def test_text_that_moves_to_the_next_field_changes_the_hash(
    actor: str, event: str, other_actor: str, other_event: str
) -> None:
    one = structs.replace(ROW, actor=actor, event=event)
    other = structs.replace(ROW, actor=other_actor, event=other_event)
    same = (actor, event) == (other_actor, other_event)
    assert (entry_hash(bytes(32), one) == entry_hash(bytes(32), other)) == same


def test_entries_are_numbered_and_chained_with_sorted_data(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "anyscale.db")) as store:
        for data in ({"b": 1, "a": "x"}, {"a": "x", "b": 1}, {}):
            with store.write() as tx:
                append_entry(tx, "local:jane", "batch.dropped", "bat_1", data)
        with store.read() as tx:
            audit_entries = tx.audit.list(0, 10)
            now = tx.now()
    assert [row.number for row in audit_entries] == [1, 2, 3]
    assert [row.data for row in audit_entries] == ['{"a":"x","b":1}', '{"a":"x","b":1}', "{}"]
    assert all(0 <= now - row.at < 60_000 for row in audit_entries)
    previous = bytes(32)
    for row in audit_entries:
        assert row.hash == entry_hash(previous, row)
        previous = row.hash


def test_an_entry_of_denials_has_the_number_of_those_since_the_previous_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0  # of a machine that has just started
    monkeypatch.setattr("anyscale.server.core.audit.entries.time.monotonic", lambda: now)
    with closing(SqliteStore(tmp_path / "anyscale.db")) as store:
        log = AuditLog(Transactions(store))
        for seconds in (0, 1, 58.9, 0.1, 59.9, 0.1, 60):
            now += seconds
            log.record_denied("token:carl", "not_permitted", "GET /v1/users")
            log.record_denied("token:carl", "not_authenticated", "GET /v1/users")
        entries = [entry for entry in log.list(0, 100) if "not_permitted" in entry.data]
    assert [(entry.actor, entry.event, entry.data) for entry in entries] == [
        (
            "token:carl",
            "access.denied",
            f'{{"call":"GET /v1/users","reason":"not_permitted","times":{times}}}',
        )
        for times in (1, 3, 2, 1)
    ]


def denied_times(log: AuditLog) -> list[int]:
    """Return how many denials each entry has, in order."""
    entries = log.list(0, 100, only=AuditFilter(event="access.denied"))
    return [json.decode(entry.data)["times"] for entry in entries]


def test_denials_that_end_within_a_minute_are_recorded_by_a_later_clean_up(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, later, monotonic = control_plane.audit_log, 0.0, time.monotonic
    monkeypatch.setattr(
        "anyscale.server.core.audit.entries.time.monotonic", lambda: monotonic() + later
    )
    for _ in range(500):
        log.record_denied("anonymous", "invalid_credentials", "sign in")
    control_plane.clean_up()
    assert denied_times(log) == [1]  # there is at most one entry a minute
    for _ in range(2):
        later += 60
        control_plane.clean_up()
    assert denied_times(log) == [1, 499]


def test_denials_that_were_only_counted_are_recorded_when_the_server_stops(
    store_deployment: Deployment,
) -> None:
    with closing(store_deployment.control_plane()) as control_plane:
        for _ in range(3):
            control_plane.audit_log.record_denied("anonymous", "invalid_credentials", "sign in")
    with closing(store_deployment.control_plane()) as control_plane:
        assert denied_times(control_plane.audit_log) == [1, 2]


def fail(**_: object) -> None:
    raise StoreUnavailable("the disk is full")


def test_denials_that_cannot_be_written_are_in_the_next_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteStore(tmp_path / "anyscale.db")) as store:
        log = AuditLog(Transactions(store))
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(store, "write", fail)
            for _ in range(2):
                with pytest.raises(StoreUnavailable):
                    log.record_denied("token:carl", "not_permitted", "GET /v1/users")
        log.record_denied("token:carl", "not_permitted", "GET /v1/users")
        assert denied_times(log) == [3]


def test_a_forged_removal_is_found_with_the_head_that_was_noted(tmp_path: Path) -> None:
    """An intruder deletes entries 1-3, overwrites the fourth, and appends an entry to excuse it."""
    database = tmp_path / "anyscale.db"
    with closing(SqliteStore(database)) as store:
        log = AuditLog(Transactions(store))
        for number in range(6):
            with store.write() as tx:
                append_entry(tx, "local:jane", "batch.dropped", f"bat_{number}", {})
        entries = log.list(0, 10)
        noted = verify(entries).head
        with closing(sqlite3.connect(database)) as intruder, intruder:
            intruder.execute("delete from audit where number < 4")
            intruder.execute("update audit set actor = 'local:eve' where number = 4")
        for details in ({"before": 1}, {"before": 1, "last_removed": f"3:{entries[2].hash}"}):
            with store.write() as tx:
                append_entry(tx, "system", FORGOTTEN, "4", details)
            forged = log.list(0, 10)
            assert "entries 1-3 were removed, says entry 7" in str(verify(forged, noted).fault)
        # The first entry about a removal counts. It has no hash that would verify entry 4.
        assert verify(forged, noted, may_begin_at=4).fault
        assert "entry 4 are not verified" in str(verify(forged, noted, may_begin_at=5).removed)


def test_a_removal_has_the_hash_by_which_the_first_remaining_entry_is_verified(
    tmp_path: Path,
) -> None:
    with closing(SqliteStore(tmp_path / "anyscale.db")) as store:
        log = AuditLog(Transactions(store))
        for number in range(4):
            with store.write() as tx:
                append_entry(tx, "local:jane", "batch.dropped", f"bat_{number}", {})
        removed = log.list(0, 10)[2]
        log.purge(2**53)
        entries = log.list(0, 10)
    assert json.decode(entries[-1].data)["last_removed"] == f"3:{removed.hash}"
    verdict = verify(entries, may_begin_at=4)
    assert verdict.fault is None
    assert str(verdict.removed).startswith("entries 1-3 were removed, says entry 5 of ")
    changed = structs.replace(entries[0], actor="local:eve")
    assert "entry 4 was changed" in str(verify([changed, *entries[1:]]).fault)


class PurgedMeanwhile(AuditLog):
    """A log of which another server removes the old entries after the second read."""

    reads = 0

    def list(self, *args: Any, **kwargs: Any) -> list[AuditEntry]:
        found = super().list(*args, **kwargs)
        self.reads += 1
        if self.reads == 2:
            AuditLog(self._transactions).purge(2**53)
        return found


def test_a_check_finds_no_fault_where_old_entries_are_removed_meanwhile(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "anyscale.db")) as store:
        transactions = Transactions(store)

        def purged_meanwhile() -> AuditLog:
            with store.write() as tx:
                append_entries(tx, [Entry("local:jane", "batch.dropped", "bat_1", {})] * 4)
            return PurgedMeanwhile(transactions)

        def verdict_of(log: AuditLog) -> Verdict:
            def entries_after(number: int) -> Iterator[AuditEntry]:
                while page := log.list(number, 1):
                    yield from page
                    number = page[0].number

            return verify_log(entries_after)

        for _ in range(2):  # at the second time, the first removal is removed as well
            verdict = verdict_of(purged_meanwhile())
            assert (verdict.fault, verdict.entries) == (None, 2)
            done = verify_next_slice(purged_meanwhile(), "")
            assert (done.fault, done.is_last) == (None, True)
        with store.write() as tx:
            execute_sql(tx, "update audit set actor = 'local:eve' where event = 'audit.forgotten'")
        assert "was changed" in str(verdict_of(AuditLog(transactions)).fault)


def test_old_entries_are_deleted_at_most_once_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0  # of a machine that has just started
    monkeypatch.setattr("anyscale.server.core.audit.entries.time.monotonic", lambda: now)
    with closing(SqliteStore(tmp_path / "anyscale.db")) as store:
        log = AuditLog(Transactions(store))

        def append_and_purge() -> list[int]:
            with store.write() as tx:
                for _ in range(2):
                    append_entry(tx, "local:jane", "batch.dropped", "bat_1", {})
                later = tx.now() + 1_000
            log.purge(later)
            return [entry.number for entry in log.list(0, 100)]

        # The last old entry stays, and a new one records the removal.
        assert append_and_purge() == [2, 3]
        now += 24 * 60 * 60 - 1
        assert append_and_purge() == [2, 3, 4, 5]
        now += 1
        assert append_and_purge() == [7, 8]


def test_a_deletion_of_old_entries_that_failed_is_repeated_by_the_next_clean_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteStore(tmp_path / "anyscale.db")) as store:
        log = AuditLog(Transactions(store))
        with store.write() as tx:
            append_entries(tx, [Entry("local:jane", "batch.dropped", "bat_1", {})] * 2)
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(store, "write", fail)
            with pytest.raises(StoreUnavailable):
                log.purge(2**53)
        log.purge(2**53)
        assert [entry.event for entry in log.list(0, 100)] == ["batch.dropped", FORGOTTEN]


def test_the_head_is_logged_when_the_chain_has_grown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "anyscale.server")
    heads = []
    with closing(SqliteStore(tmp_path / "anyscale.db")) as store:
        log = AuditLog(Transactions(store))
        log.log_head()
        for _ in range(2):
            with store.write() as tx:
                append_entry(tx, "local:jane", "batch.dropped", "bat_1", {})
            log.log_head()
            log.log_head()
            last = log.list(0, 100)[-1]
            heads.append(f"{last.number}:{last.hash}")
    records = [record for record in caplog.records if record.message == "audit head"]
    assert [vars(record)["head"] for record in records] == heads


def test_the_number_of_remembered_denials_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("anyscale.server.core.audit.entries._MAX_DENIALS", 3)
    with closing(SqliteStore(tmp_path / "anyscale.db")) as store:
        log = AuditLog(Transactions(store))
        for number in (1, 2, 3, 1, 4):
            log.record_denied(f"user:usr_{number}", "invalid_credentials", "sign in")
        assert [actor for actor, _ in log._denied] == ["user:usr_2", "user:usr_3", "user:usr_4"]
