"""The entries of the audit log, and the hash chain that reveals changes of them."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Annotated, NamedTuple, Protocol

from msgspec import DecodeError, Meta, Struct, json

from anyscale.domain.times import TIME, from_milliseconds

#: The hash before the first entry.
ROOT = bytes(32)

#: The event of removing entries after their retention time; its subject is the number of the first
#: remaining entry, and its data are a `Removal`.
FORGOTTEN = "audit.forgotten"

#: The pattern of the head of a log: NUMBER:HASH of its last entry.
HEAD = r"[0-9]{1,18}:[0-9a-f]{64}"


class Removal(Struct, frozen=True):
    """The details of a removal of old entries."""

    #: The time before which they were written; milliseconds since 1970, UTC.
    before: int
    #: `NUMBER:HASH` of the last removed entry, to which the first remaining one chains. Entries
    #: that were written before this field existed have none.
    last_removed: Annotated[str, Meta(pattern=f"^{HEAD}$")] | None = None


class AuditEntry(Struct, frozen=True):
    """One entry of the audit log."""

    number: int
    #: milliseconds since 1970, UTC
    at: int
    #: `local:jane` for a system user of the control plane's machine, `token:NAME`, or `system`
    actor: str
    #: `batch.published` and the like
    event: str
    #: the id of the account, batch, token or session that the event is about
    subject: str
    #: details, as a JSON text, which the hash covers as it is
    data: str
    #: SHA-256 over the previous hash and the fields of this entry, in hexadecimal digits
    hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]

    @property
    def time(self) -> datetime:
        return from_milliseconds(self.at)


class Verdict(Struct, frozen=True):
    """The result of a check of the audit log."""

    #: entries that were checked
    entries: int
    #: `NUMBER:HASH` of the last entry, to be stored elsewhere; empty if there is none
    head: str
    #: what is wrong; None if nothing is
    fault: str | None
    #: which entries were removed after their retention time, and which entry says so; or None
    removed: str | None = None


class Fields(Protocol):
    """The fields that the hash of an entry covers; the store's record has the same."""

    @property
    def number(self) -> int: ...
    @property
    def at(self) -> int: ...
    @property
    def actor(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def data(self) -> str: ...


def entry_hash(previous: bytes, entry: Fields) -> bytes:
    """Return the hash of an entry: SHA-256 over the previous hash and all of its own fields."""
    fields = [entry.number, entry.at, entry.actor, entry.event, entry.subject, entry.data]
    return hashlib.sha256(previous + json.encode(fields)).digest()


def verify(
    entries: Iterable[AuditEntry], head: str | None = None, may_begin_at: int | None = None
) -> Verdict:
    """Check the hash chain, and that it contains a head that was stored before.

    If the first entry has a number above 1, an entry has to record the removal of earlier ones.
    An attacker can append such an entry. So with a `head`, one after the head counts only as far as
    `may_begin_at` says.

    Args:
        entries: in their order.
        head: `NUMBER:HASH`, from an earlier check.
        may_begin_at: the number before which entries may have been removed since.
    """
    first, last, count, fault = None, None, 0, None
    removals: dict[str, AuditEntry] = {}
    is_found = head is None
    for entry in entries:
        if fault := _fault(last, entry):
            break
        if entry.event == FORGOTTEN:
            removals.setdefault(entry.subject, entry)
        is_found = is_found or head_of(entry) == head
        first, last, count = first or entry, entry, count + 1
    if not (first and first.number > 1):
        removed = None
    elif not (by := removals.get(f"{first.number}")):
        removed = None
        fault = fault or _unexplained(first)
    else:
        removed = _Removed(first, by)
        fault = fault or removed.fault(head, may_begin_at)
        is_found = is_found or removed.last == head
    if not fault and not is_found:
        fault = f"the audit log does not contain the head {head}: entries were changed or cut off"
    return Verdict(count, head_of(last), fault, str(removed) if removed else None)


def verify_log(
    entries_after: Callable[[int], Iterator[AuditEntry]],
    head: str | None = None,
    may_begin_at: int | None = None,
) -> Verdict:
    """Check a log as `verify` does, of which old entries may be removed meanwhile.

    Args:
        entries_after: gives the entries after a number, in parts that are read one after the other.
        head: see `verify`.
        may_begin_at: see `verify`.
    """
    while True:
        first = next(entries_after(0), None)
        verdict = verify(entries_after(0), head, may_begin_at)
        # What was removed between two parts seems to be missing: the log then begins later.
        if verdict.fault is None or next(entries_after(0), None) == first:
            return verdict


def verify_slice(last: AuditEntry | None, entries: Iterable[AuditEntry]) -> Verdict:
    """Check entries that follow the last one of an earlier slice; None before the first slice.

    What may be missing before the first slice is for `verify_beginning`.
    """
    count, fault = 0, None
    for entry in entries:
        if fault := _fault(last, entry):
            break
        last, count = entry, count + 1
    return Verdict(count, head_of(last), fault)


def verify_beginning(
    first: AuditEntry, removal: AuditEntry | None, head: str | None = None
) -> Verdict:
    """Check that an entry records the removal of all entries before the first one.

    `removal` is the earliest entry whose subject is the number of the first one. It counts only as
    far as a `head` that was stored before covers it.
    """
    if first.number == 1:
        return Verdict(1, head_of(first), None)
    if removal is None:
        return Verdict(1, head_of(first), _unexplained(first))
    removed = _Removed(first, removal)
    return Verdict(1, head_of(first), removed.fault(head, None), str(removed))


def _unexplained(first: AuditEntry) -> str:
    return f"the entries before {first.number} are missing, and no entry says why"


def _fault(last: AuditEntry | None, entry: AuditEntry) -> str | None:
    if last is None and entry.number > 1:
        return None  # the entries before it, and so the hash before it, were removed
    if entry.number != (last.number if last else 0) + 1:
        return f"entry {(last.number if last else 0) + 1} is missing"
    if entry_hash(bytes.fromhex(last.hash) if last else ROOT, entry).hex() != entry.hash:
        return f"entry {entry.number} was changed, or an earlier one"
    return None


class _Removed(NamedTuple):
    """The entries that were removed before the first remaining one."""

    first: AuditEntry
    #: the earliest entry about it
    by: AuditEntry

    @property
    def last(self) -> str | None:
        """The number and the hash of the last of them, if they were recorded."""
        with suppress(DecodeError):
            return json.decode(self.by.data, type=Removal).last_removed
        return None

    def __str__(self) -> str:
        number, time = self.first.number, f"{self.by.time:{TIME}}"
        text = f"entries 1-{number - 1} were removed, says entry {self.by.number} of {time}"
        if self.last:
            return text
        return f"{text}, without their last hash: the contents of entry {number} are not verified"

    def fault(self, head: str | None, may_begin_at: int | None) -> str | None:
        """Return why the removal is not right, or not allowed."""
        number = self.first.number
        if self.last:
            last, _, digest = self.last.partition(":")
            chained = entry_hash(bytes.fromhex(digest), self.first).hex()
            if (int(last), chained) != (number - 1, self.first.hash):
                return f"entry {number} was changed, or entry {self.by.number} about the removal"
        noted = int(head.partition(":")[0]) if head else None
        is_covered = may_begin_at is None if noted is None else self.by.number <= noted
        verified = number if self.last else number + 1  # the first entry whose contents are
        if is_covered or verified <= (may_begin_at or 0):
            return None
        return (
            f"{self}, and no noted head covers that: if ANYSCALE_AUDIT_DAYS is the reason, "
            f"verify with --may-begin-at {verified}"
        )


def head_of(entry: AuditEntry | None) -> str:
    """Return `NUMBER:HASH` of an entry; an empty text for none."""
    return f"{entry.number}:{entry.hash}" if entry else ""
