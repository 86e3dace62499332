"""Publish a batch, and describe a batch and its users to clients."""

import hashlib

from msgspec import structs

from anyscale.errors import BatchUnfinished, KeyReused
from anyscale.server.core.audit import log as audit
from anyscale.server.store.interface import Transaction
from anyscale.server.store.records import BatchRecord
from anyscale.user.models import AdminCreatedUser, Batch, from_milliseconds

__all__ = ["counted_batch", "created_users", "publish", "require_same_count", "shown_batch"]


def require_same_count(tx: Transaction, batch: BatchRecord, entries: int) -> None:
    """Raise `KeyReused` if more entries are reserved than the client has sent.

    Of a published batch the number must be the same.
    """
    reserved = sum(chunk.users + chunk.skipped for chunk in tx.chunks.list(batch.id))
    if reserved > entries or (batch.state == "published" and reserved != entries):
        raise KeyReused(f"batch {batch.batch_id} has {reserved} users, and not {entries}")


def publish(tx: Transaction, batch: BatchRecord, entries: int, actor: str) -> None:
    """Publish an open batch that is complete, with its entry in the audit log.

    It adds up the counts of the chunks, so that its time does not grow with the number of users.
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
    root = hashlib.sha256(b"".join(chunk.user_root for chunk in chunks)).hexdigest()
    data = {"users": users, "skipped": skipped, "opened_by": batch.opened_by, "user_root": root}
    audit.append(tx, actor, "batch.published", batch.batch_id, data)


def shown_batch(tx: Transaction, batch: BatchRecord) -> Batch:
    """Return a batch as clients see it."""
    chunks = tx.chunks.list(batch.id) if batch.state not in ("dropped", "expired") else []
    published = batch.published_at
    return Batch(
        batch_id=batch.batch_id,
        state=batch.state,
        if_exists=batch.if_exists,
        opened_by=batch.opened_by,
        opened_at=from_milliseconds(batch.opened_at),
        touched_at=from_milliseconds(batch.touched_at),
        published_by=batch.published_by,
        published_at=None if published is None else from_milliseconds(published),
        users=sum(chunk.users for chunk in chunks),
        skipped=sum(chunk.skipped for chunk in chunks),
        hashes_due=tx.users.count_pending(batch.id) if batch.state == "open" else 0,
    )


def counted_batch(tx: Transaction, batch: BatchRecord, *, sso: bool) -> Batch:
    """Return a batch with the number of its accounts whose users cannot sign in.

    A batch that is being undone, or was, also has the numbers of its deleted and remaining
    accounts. This reads all accounts of the batch, so it is for one batch and not for lists.
    """
    shown = shown_batch(tx, batch)
    if batch.published_at is None:
        return shown
    count = tx.users.count_without_credentials(batch.batch_id, sso=sso)
    shown = structs.replace(shown, without_way_in=count)
    if batch.state == "published":
        return shown
    remaining = tx.users.count_accounts_of(batch.batch_id)
    return structs.replace(shown, removed=shown.users - remaining, remaining=remaining)


def created_users(tx: Transaction, batch_id: str, after: str, limit: int) -> list[AdminCreatedUser]:
    """Return users of a published batch in the order of the input, after a `user_id`."""
    return [
        AdminCreatedUser(
            user.user_id,
            user.name,
            user.email,
            from_milliseconds(user.created_at),
            user.is_sso_user,
            user.lastname,
            user.title,
        )
        for user in tx.users.list_created(batch_id, after, limit)
    ]
