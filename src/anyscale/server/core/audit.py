"""The trail: who did what and when, each entry chained to the one before by its hash."""

import hashlib
from typing import Any

import msgspec

from anyscale.server.store.base import AuditRow, Transaction

__all__ = ["append", "entry_hash"]

#: What the first entry is chained to.
_ROOT = bytes(32)


def append(rows: Transaction, actor: str, event: str, subject: str, data: dict[str, Any]) -> None:
    """Add an entry, in the transaction of what it tells of.

    Args:
        rows: that transaction.
        actor: who did it: `local:jane` for a system user of this machine.
        event: `batch.published` and the like.
        subject: an id, never an email, so that a person can be erased and the trail stays.
        data: what else is to be known; no password and no email.
    """
    last = rows.last_audit()
    row = AuditRow(
        number=last.number + 1 if last else 1,
        at=rows.now(),
        actor=actor,
        event=event,
        subject=subject,
        data=msgspec.json.encode(data, order="deterministic").decode(),
        hash=b"",
    )
    rows.add_audit(msgspec.structs.replace(row, hash=entry_hash(last.hash if last else _ROOT, row)))


def entry_hash(previous: bytes, row: AuditRow) -> bytes:
    """Give the hash of an entry: SHA-256 over the hash before it and all of its own fields."""
    fields = [row.number, row.at, row.actor, row.event, row.subject, row.data]
    return hashlib.sha256(previous + msgspec.json.encode(fields)).digest()
