"""The audit trail: its entries, and the chain by which a change of any of them shows."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct, json, structs

__all__ = ["ROOT", "AuditEntry", "Verdict", "entry_hash", "verify"]

#: What the first entry is chained to.
ROOT = bytes(32)

#: The event that says which entries were removed when their time was over.
FORGOTTEN = "audit.forgotten"


class AuditEntry(Struct, frozen=True):
    """One entry of the trail."""

    number: int
    #: milliseconds since 1970, UTC
    at: int
    #: `local:jane` for a system user of the control plane's machine, `token:NAME`, or `system`
    actor: str
    #: `batch.published` and the like
    event: str
    #: the id of what it happened to
    subject: str
    #: what else is known, as JSON: the text that the hash covers
    data: str
    #: SHA-256 over the hash before it and the fields of this entry, in hexadecimal digits
    hash: str

    @property
    def time(self) -> datetime:
        """When it was written."""
        from anyscale.user.models import from_milliseconds

        return from_milliseconds(self.at)

    def to_dict(self) -> dict[str, Any]:
        """Give the entry as plain values."""
        return structs.asdict(self)


class Verdict(Struct, frozen=True):
    """What checking the trail came to."""

    #: entries that were checked
    entries: int
    #: `NUMBER:HASH` of the last one, to be noted elsewhere; empty if there is none
    head: str
    #: What is wrong; None if nothing is.
    fault: str | None


class Fields(Protocol):
    """What the hash of an entry covers; the control plane's row has the same fields."""

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
    """Give the hash of an entry: SHA-256 over the hash before it and all of its own fields."""
    fields = [entry.number, entry.at, entry.actor, entry.event, entry.subject, entry.data]
    return hashlib.sha256(previous + json.encode(fields)).digest()


def verify(entries: Iterable[AuditEntry], head: str | None = None) -> Verdict:
    """Check the chain of a trail, and that it goes through a head that was noted before.

    Args:
        entries: in their order. The first is taken as it is when entries before it were removed in
            their time, which a later entry then has to say.
        head: `NUMBER:HASH`, as an earlier check gave it.
    """
    count, last, first = 0, None, None
    removed, passed = set(), head is None
    for entry in entries:
        first = first or entry
        if fault := _fault(last, entry):
            return Verdict(count, _head(last), fault)
        if entry.event == FORGOTTEN:
            removed.add(entry.subject)
        passed = passed or _head(entry) == head
        count, last = count + 1, entry
    return Verdict(count, _head(last), _missing(first, removed) or _unpassed(head, passed=passed))


def _fault(last: AuditEntry | None, entry: AuditEntry) -> str | None:
    if last is None and entry.number > 1:
        return None  # it is what entries that were removed left to chain to
    if entry.number != (last.number if last else 0) + 1:
        return f"entry {(last.number if last else 0) + 1} is missing"
    if entry_hash(bytes.fromhex(last.hash) if last else ROOT, entry).hex() != entry.hash:
        return f"entry {entry.number} was changed, or one before it"
    return None


def _missing(first: AuditEntry | None, removed: set[str]) -> str | None:
    if first and first.number > 1 and f"{first.number}" not in removed:
        return f"the entries before {first.number} are missing, and no entry says why"
    return None


def _unpassed(head: str | None, *, passed: bool) -> str | None:
    return None if passed else f"the trail does not go through {head}: entries were changed or cut"


def _head(entry: AuditEntry | None) -> str:
    return f"{entry.number}:{entry.hash}" if entry else ""
