"""The hash chain of the audit log: a check finds changed, removed and inserted entries."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json, structs

from anyscale.domain.audit_chain import FORGOTTEN, ROOT, AuditEntry, Removal, entry_hash, verify


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


@pytest.mark.parametrize("number", [0, -1])
def test_a_log_that_begins_before_its_first_entry_is_not_valid(number: int) -> None:
    entries = [structs.replace(entry, number=number) for entry in chained(1)]
    assert verify(entries).fault == "entry 1 is missing"


def test_a_log_that_was_cut_or_rewritten_lacks_its_head() -> None:
    noted = head(chained(5))
    assert verify(chained(3), noted).fault
    other = structs.replace(chained(1)[0], actor="token:eve")
    other = structs.replace(other, hash=entry_hash(ROOT, other).hex())
    anew = [other, *chained(6, last=other)]
    assert verify(anew).fault is None
    assert verify(anew, noted).fault


def removal(entries: Sequence[AuditEntry], first: int, last_removed: str | None) -> AuditEntry:
    """Build the entry after others that says that those before a number were removed."""
    details = Removal(first * 10, last_removed)
    data = json.encode({key: v for key, v in structs.asdict(details).items() if v}).decode()
    number = entries[-1].number + 1
    entry = AuditEntry(number, number * 10, "system", FORGOTTEN, f"{first}", data, "")
    return structs.replace(entry, hash=entry_hash(bytes.fromhex(entries[-1].hash), entry).hex())


def purged(last_removed: str | None) -> list[AuditEntry]:
    """Build a log of entries 3 to 6, the last of which records the removal of 1 and 2."""
    entries = chained(5)
    return [*entries[2:], removal(entries, 3, last_removed)]


#: the head of the entries that `purged` lacks
LAST_REMOVED = head(chained(2))

REMOVED = "entries 1-2 were removed, says entry 6 of 1970-01-01 00:00:00 UTC"


def test_removed_entries_are_missed_unless_a_later_entry_records_the_removal() -> None:
    assert verify(chained(5)[2:]).fault == "the entries before 3 are missing, and no entry says why"
    verdict = verify(purged(LAST_REMOVED))
    assert (verdict.entries, verdict.fault, verdict.removed) == (4, None, REMOVED)
    assert verify(chained(5)).removed is None


def test_a_removal_before_the_noted_head_is_covered_by_the_head() -> None:
    entries = purged(LAST_REMOVED)
    assert verify([*entries, *chained(2, last=entries[-1])], head(entries)).fault is None


def test_a_removal_after_the_noted_head_counts_only_as_far_as_the_caller_allows() -> None:
    entries, noted = purged(LAST_REMOVED), head(chained(5))
    for may_begin_at in (None, 1, 2):
        fault = verify(entries, noted, may_begin_at).fault
        assert fault
        assert fault.startswith(REMOVED)
        assert fault.endswith("verify with --may-begin-at 3")
    assert verify(entries, noted, 3).fault is None
    assert verify(entries, noted, 4).fault is None
    assert verify(entries, None, 2).fault


def test_a_head_that_was_removed_is_the_one_to_which_the_log_chains() -> None:
    entries = purged(LAST_REMOVED)
    assert verify(entries, LAST_REMOVED).fault
    assert verify(entries, LAST_REMOVED, 3).fault is None
    for other in (f"2:{'0' * 64}", head(chained(1))):
        fault = verify(entries, other, 3).fault
        assert fault
        assert "does not contain the head" in fault


@pytest.mark.parametrize("field", ["at", "actor", "event", "subject", "data"])
def test_a_change_of_the_first_remaining_entry_is_found_by_the_last_removed_hash(
    field: str,
) -> None:
    entries = purged(LAST_REMOVED)
    value: object = 1 if field == "at" else "other"
    entries[0] = structs.replace(entries[0], **{field: value})
    assert verify(entries).fault == "entry 3 was changed, or entry 6 about the removal"


@pytest.mark.parametrize("last_removed", [head(chained(1)), f"1:{LAST_REMOVED[2:]}"])
def test_a_removal_of_other_entries_than_those_missing_excuses_nothing(last_removed: str) -> None:
    assert verify(purged(last_removed)).fault


@pytest.mark.parametrize("last_removed", [None, "2", "2:", "x:" + "0" * 64])
def test_a_removal_without_a_hash_is_verified_as_far_as_possible(last_removed: str | None) -> None:
    entries, noted = purged(last_removed), head(chained(5))
    removed = f"{REMOVED}, without their last hash: the contents of entry 3 are not verified"
    verdict = verify(entries)
    assert (verdict.fault, verdict.removed) == (None, removed)
    assert verify(entries, head(entries)).fault is None
    for may_begin_at in (None, 3):  # entry 3 is as good as removed
        assert str(verify(entries, noted, may_begin_at).fault).endswith("--may-begin-at 4")
    assert verify(entries, noted, 4).fault is None
    entries[1] = structs.replace(entries[1], actor="other")
    assert verify(entries).fault


def test_the_earliest_record_of_a_removal_counts() -> None:
    entries = purged(LAST_REMOVED)
    assert verify([*entries, removal(entries, 3, f"2:{'0' * 64}")]).fault is None
