"""The entries of the audit log, and the hash chain that reveals changes of them."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from msgspec import Struct, json

from anyscale.user.models import from_milliseconds

__all__ = ["ROOT", "AuditEntry", "Verdict", "entry_hash", "verify"]

#: The hash before the first entry.
ROOT = bytes(32)

#: The event of removing entries after their retention time; its subject is the first one left.
FORGOTTEN = "audit.forgotten"


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
    hash: str

    @property
    def time(self) -> datetime:
        """When the entry was written."""
        return from_milliseconds(self.at)


class Verdict(Struct, frozen=True):
    """The result of a check of the audit log."""

    #: entries that were checked
    entries: int
    #: `NUMBER:HASH` of the last entry, to be stored elsewhere; empty if there is none
    head: str
    #: what is wrong; None if nothing is
    fault: str | None


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


def verify(entries: Iterable[AuditEntry], head: str | None = None) -> Verdict:
    """Check the hash chain, and that it contains a head that was stored before.

    Args:
        entries: in their order. If the first one has a number above 1, a later entry has to tell
            that the entries before it were removed after their retention time.
        head: `NUMBER:HASH`, from an earlier check.
    """
    count, last, first = 0, None, None
    removed, is_found = set(), head is None
    for entry in entries:
        first = first or entry
        if fault := _fault(last, entry):
            return Verdict(count, _head(last), fault)
        if entry.event == FORGOTTEN:
            removed.add(entry.subject)
        is_found = is_found or _head(entry) == head
        count, last = count + 1, entry
    fault = _missing(first, removed)
    if fault is None and not is_found:
        fault = f"the audit log does not contain the head {head}: entries were changed or cut off"
    return Verdict(count, _head(last), fault)


def _fault(last: AuditEntry | None, entry: AuditEntry) -> str | None:
    if last is None and entry.number > 1:
        return None  # the entries before it, and so the hash before it, were removed
    if entry.number != (last.number if last else 0) + 1:
        return f"entry {(last.number if last else 0) + 1} is missing"
    if entry_hash(bytes.fromhex(last.hash) if last else ROOT, entry).hex() != entry.hash:
        return f"entry {entry.number} was changed, or one before it"
    return None


def _missing(first: AuditEntry | None, removed: set[str]) -> str | None:
    if first and first.number > 1 and f"{first.number}" not in removed:
        return f"the entries before {first.number} are missing, and no entry says why"
    return None


def _head(entry: AuditEntry | None) -> str:
    return f"{entry.number}:{entry.hash}" if entry else ""
