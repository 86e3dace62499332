"""The chain of the trail: what was changed, cut or put in shows."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from anyscale.audit_log import FORGOTTEN, ROOT, AuditEntry, entry_hash, verify


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


def test_a_trail_that_nobody_touched_is_right() -> None:
    entries = chained(5)
    verdict = verify(entries)
    assert (verdict.entries, verdict.fault, verdict.head) == (5, None, head(entries))
    assert verify(chained(9), head(entries)).fault is None
    assert verify([]).fault is None


@given(
    st.integers(0, 4),
    st.sampled_from(["at", "actor", "event", "subject", "data", "hash"]),
)
def test_any_change_shows(at: int, field: str) -> None:
    entries = chained(5)
    value: object = {"at": 1, "hash": "00" * 32}.get(field, "other")
    entries[at] = structs.replace(entries[at], **{field: value})
    assert verify(entries).fault


@pytest.mark.parametrize("at", range(1, 4))
def test_an_entry_that_is_missing_shows(at: int) -> None:
    entries = chained(5)
    del entries[at]
    fault = verify(entries).fault
    assert fault
    assert f"entry {at + 1} is missing" in fault


def test_a_trail_that_was_cut_or_written_anew_does_not_go_through_its_head() -> None:
    noted = head(chained(5))
    assert verify(chained(3), noted).fault
    other = structs.replace(chained(1)[0], actor="token:eve")
    other = structs.replace(other, hash=entry_hash(ROOT, other).hex())
    anew = [other, *chained(6, last=other)]
    assert verify(anew).fault is None
    assert verify(anew, noted).fault


def test_entries_that_were_removed_in_their_time_are_missed_unless_the_trail_says_so() -> None:
    entries = chained(5)
    assert verify(entries[2:]).fault
    said = AuditEntry(6, 60, "system", FORGOTTEN, "3", "{}", "")
    signed = entry_hash(bytes.fromhex(entries[-1].hash), said).hex()
    assert verify([*entries[2:], structs.replace(said, hash=signed)]).fault is None
