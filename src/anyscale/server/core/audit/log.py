"""The trail: who did what and when, each entry chained to the one before by its hash."""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from anyscale.audit_log import FORGOTTEN, ROOT, AuditEntry, entry_hash
from anyscale.server.store.interface import Store, Transaction
from anyscale.server.store.records import AuditRecord

__all__ = ["AuditLog", "Entry", "append", "append_all"]

_log = logging.getLogger("anyscale.server")

#: Seconds between two entries of the same refusal, so that nobody fills the database by asking.
_REFUSAL_EVERY = 60.0

_FORGET_EVERY = 24 * 60 * 60.0


class Entry(NamedTuple):
    """What is to be told."""

    #: who did it: `local:jane` for a system user of this machine
    actor: str
    #: `batch.published` and the like
    event: str
    #: an id, never an email, so that a person can be erased and the trail stays
    subject: str
    #: what else is to be known; no password and no email
    data: dict[str, Any]


def append(tx: Transaction, actor: str, event: str, subject: str, data: dict[str, Any]) -> None:
    """Add an `Entry`, in the transaction of what it tells of."""
    append_all(tx, [Entry(actor, event, subject, data)])


def append_all(tx: Transaction, entries: Sequence[Entry]) -> None:
    """Add entries in their order, in the transaction of what they tell of."""
    last, now = tx.audit.lock(), tx.now()
    for entry in entries:
        last = _after(last, entry, now)
        tx.audit.add(last)


class AuditLog:
    """Reading the trail, and noting refusals in it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        #: (actor, reason) -> when it was last written, and how often it happened since
        self._refusals: dict[tuple[str, str], tuple[float, int]] = {}
        self._logged = 0
        self._forgot = -_FORGET_EVERY

    def page(self, after: int, limit: int) -> list[AuditEntry]:
        """Give entries by number, after one."""
        with self._store.read() as tx:
            return [_entry(row) for row in tx.audit.list(after, limit)]

    def refuse(self, actor: str, reason: str, call: str) -> None:
        """Note that a call was refused: the first at once, then once a minute with their number.

        Args:
            actor: who asked, `anonymous` if that is not known.
            reason: the error's code.
            call: what was asked for.
        """
        if times := self._due(actor, reason):
            with self._store.write() as tx:
                told = {"reason": reason, "call": call, "times": times}
                append(tx, actor, "access.refused", "", told)

    def forget(self, before: int) -> None:
        """Remove the entries from before a time, and say so in one; once a day is enough."""
        if time.monotonic() - self._forgot < _FORGET_EVERY:
            return
        self._forgot = time.monotonic()
        with self._store.write() as tx:
            if first := tx.audit.purge(before):
                append(tx, "system", FORGOTTEN, str(first), {"before": before})

    def log_head(self) -> None:
        """Print where the chain is, if it has grown, to be compared with it later."""
        with self._store.read() as tx:
            last = tx.audit.get_last()
        if last and last.number > self._logged:
            self._logged = last.number
            _log.info("audit head", extra={"head": f"{last.number}:{last.hash.hex()}"})

    def _due(self, actor: str, reason: str) -> int:
        now = time.monotonic()
        with self._lock:
            written, times = self._refusals.get((actor, reason), (-_REFUSAL_EVERY, 0))
            if now - written < _REFUSAL_EVERY:
                self._refusals[actor, reason] = (written, times + 1)
                return 0
            self._refusals[actor, reason] = (now, 0)
            return times + 1


def _after(last: AuditRecord | None, entry: Entry, now: int) -> AuditRecord:
    text = msgspec.json.encode(entry.data, order="deterministic").decode()
    number = last.number + 1 if last else 1
    row = AuditRecord(number, now, entry.actor, entry.event, entry.subject, text, hash=b"")
    return msgspec.structs.replace(row, hash=entry_hash(last.hash if last else ROOT, row))


def _entry(row: AuditRecord) -> AuditEntry:
    return AuditEntry(
        row.number, row.at, row.actor, row.event, row.subject, row.data, row.hash.hex()
    )
