"""Publish a batch: one changed row makes all of its users accounts."""

import hashlib

from anyscale.errors import BatchUnfinished, KeyReused
from anyscale.server.core.audit.entries import Entry, append_entries, append_entry
from anyscale.server.core.mail.outbox import Outbox
from anyscale.server.store.records.batches import BatchRecord
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.user_ids import user_id


def require_same_count(tx: Transaction, batch: BatchRecord, entries: int) -> None:
    """Raise `KeyReused` if more entries are reserved than the client has sent.

    Of a published batch the number must be the same.
    """
    reserved = sum(chunk.users + chunk.skipped for chunk in tx.chunks.list(batch.id))
    if reserved > entries or (batch.state == "published" and reserved != entries):
        raise KeyReused(f"batch {batch.batch_id} has {reserved} users, and not {entries}")


def publish(
    tx: Transaction, batch: BatchRecord, entries: int, actor: str, outbox: Outbox | None = None
) -> None:
    """Publish an open batch, with its entry in the audit log.

    It adds up the counts of the chunks, so its time does not grow with the number of users. With an
    `outbox` it adds one row, from which its accounts without credentials get links by mail.

    Raises:
        BatchUnfinished: chunks or hashes are missing, or emails are taken.
        LinkRefused, MailUnavailable: see `Outbox.require_links`.
    """
    chunks = tx.chunks.list(batch.id)
    users, skipped = sum(chunk.users for chunk in chunks), sum(chunk.skipped for chunk in chunks)
    conflicts = sum(chunk.conflicts for chunk in chunks)
    has_gaps = [chunk.number for chunk in chunks] != list(range(len(chunks)))
    if conflicts or has_gaps or users + skipped != entries:
        raise BatchUnfinished(
            f"batch {batch.batch_id} has {users + skipped} of {entries} users, "
            f"and {conflicts} whose emails are taken" + ("; chunks are missing" * has_gaps),
            batch.batch_id,
        )
    if pending := tx.users.count_pending(batch.id):
        raise BatchUnfinished(f"{pending} passwords are not hashed yet", batch.batch_id)
    tx.batches.publish(batch.id, actor, tx.now())
    if batch.origin == "account":
        if users:
            append_entry(tx, actor, "account.created", user_id(batch.batch_id, 0), {})
        return
    root = hashlib.sha256(b"".join(chunk.user_root for chunk in chunks)).hexdigest()
    data = {"users": users, "skipped": skipped, "opened_by": batch.opened_by, "user_root": root}
    published = Entry(actor, "batch.published", batch.batch_id, data)
    mailing = [add_mailing(tx, batch, actor, outbox)] if outbox else []
    append_entries(tx, [published, *mailing])


def add_mailing(tx: Transaction, batch: BatchRecord, actor: str, outbox: Outbox) -> Entry:
    """Add the mailing of a new batch; return its entry in the audit log."""
    total = tx.chunks.count_accounts(batch.id).without_credentials
    return outbox.add_mailing(tx, batch.batch_id, total, actor)[1]
