"""The hash chain of the audit log: a check finds changed, removed and inserted entries."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from anyscale.audit_chain import FORGOTTEN, ROOT, AuditEntry, entry_hash, verify


def chained(count: int, *, last: AuditEntry | None = None) -> list[AuditEntry]:
    entries = []
    for _ in range(count):
        previous = bytes.fromhex(last.hash) if last else ROOT
        number = last.number + 1 if last else 1
        entry = AuditEntry(number, number * 10, "token:ann", "batch.published", "bat", "{}", "")
        last = structs.replace(entry, hash=entry_hash(previous, entry).hex())
        entries.append(last)
    return entries


def head(entries: Sequence[AuditEntry]) -> str:
    return f"{entries[-1].number}:{entries[-1].hash}"


def test_an_unchanged_log_is_valid() -> None:
    entries = chained(5)
    verdict = verify(entries)
    assert (verdict.entries, verdict.fault, verdict.head) == (5, None, head(entries))
    assert verify(chained(9), head(entries)).fault is None
    assert verify([]).fault is None


@given(
    st.integers(0, 4),
    st.sampled_from(["at", "actor", "event", "subject", "data", "hash"]),
)
def test_any_change_is_found(at: int, field: str) -> None:
    entries = chained(5)
    value: object = {"at": 1, "hash": "00" * 32}.get(field, "other")
    entries[at] = structs.replace(entries[at], **{field: value})
    assert verify(entries).fault


@pytest.mark.parametrize("at", range(1, 4))
def test_a_missing_entry_is_found(at: int) -> None:
    entries = chained(5)
    del entries[at]
    fault = verify(entries).fault
    assert fault
    assert f"entry {at + 1} is missing" in fault


def test_a_log_that_was_cut_or_rewritten_lacks_its_head() -> None:
    noted = head(chained(5))
    assert verify(chained(3), noted).fault
    other = structs.replace(chained(1)[0], actor="token:eve")
    other = structs.replace(other, hash=entry_hash(ROOT, other).hex())
    anew = [other, *chained(6, last=other)]
    assert verify(anew).fault is None
    assert verify(anew, noted).fault


def test_removed_entries_are_missed_unless_a_later_entry_records_the_removal() -> None:
    entries = chained(5)
    assert verify(entries[2:]).fault
    purge = AuditEntry(6, 60, "system", FORGOTTEN, "3", "{}", "")
    signed = entry_hash(bytes.fromhex(entries[-1].hash), purge).hex()
    assert verify([*entries[2:], structs.replace(purge, hash=signed)]).fault is None
