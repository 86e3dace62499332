"""The moment in which a batch becomes accounts, and what is shown of it."""

import hashlib

from msgspec import structs

from anyscale.errors import BatchUnfinished, KeyReused
from anyscale.server.core.audit import log as audit
from anyscale.server.store.interface import BatchRecord, Transaction
from anyscale.user.models import AdminCreatedUser, Batch, from_milliseconds

__all__ = ["counted_batch", "created_users", "publish", "require_same_count", "shown_batch"]


def require_same_count(rows: Transaction, batch: BatchRecord, entries: int) -> None:
    """Check that a batch is not one of a longer list that begins like the client's.

    Raises:
        KeyReused: it has more entries than the client says or, if it is published, other ones.
    """
    claimed = sum(page.users + page.skipped for page in rows.pages(batch.id))
    if claimed > entries or (batch.state == "published" and claimed != entries):
        raise KeyReused(f"batch {batch.batch_id} has {claimed} users, and not {entries}")


def publish(rows: Transaction, batch: BatchRecord, entries: int, actor: str) -> None:
    """Publish an open batch if it is whole, with its entry in the audit trail.

    It adds up what the chunks left, so that its time does not grow with the users.

    Raises:
        BatchUnfinished: chunks or hashes are missing, or emails are taken.
    """
    pages = rows.pages(batch.id)
    users, skipped = sum(page.users for page in pages), sum(page.skipped for page in pages)
    conflicts = sum(page.conflicts for page in pages)
    if conflicts or users + skipped != entries:
        raise BatchUnfinished(
            f"batch {batch.batch_id} has {users + skipped} of {entries} users, "
            f"and {conflicts} whose emails are taken",
            batch.batch_id,
        )
    if due := rows.count_due(batch.id):
        raise BatchUnfinished(f"{due} passwords are not hashed yet", batch.batch_id)
    rows.publish(batch.id, actor, rows.now())
    root = hashlib.sha256(b"".join(page.user_root for page in pages)).hexdigest()
    told = {"users": users, "skipped": skipped, "opened_by": batch.opened_by, "user_root": root}
    audit.append(rows, actor, "batch.published", batch.batch_id, told)


def shown_batch(rows: Transaction, batch: BatchRecord) -> Batch:
    """Give a batch as people and clients see it."""
    pages = rows.pages(batch.id) if batch.state in ("open", "published") else []
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
        users=sum(page.users for page in pages),
        skipped=sum(page.skipped for page in pages),
        hashes_due=rows.count_due(batch.id) if batch.state == "open" else 0,
    )


def counted_batch(rows: Transaction, batch: BatchRecord, *, sso: bool) -> Batch:
    """Give the same, with the accounts of a published one that nobody can sign in to yet.

    That reads all of its accounts, so it is done where one batch is asked for.

    Args:
        rows: the transaction.
        batch: which one.
        sso: whether there is an identity provider, by which SSO users come in.
    """
    shown = shown_batch(rows, batch)
    if batch.state != "published":
        return shown
    count = rows.count_without_way_in(batch.batch_id, sso=sso)
    return structs.replace(shown, without_way_in=count)


def created_users(
    rows: Transaction, batch_id: str, after: str, limit: int
) -> list[AdminCreatedUser]:
    """Give users of a published batch in the order of the input, after a `user_id`."""
    return [
        AdminCreatedUser(
            user_id, name, email, from_milliseconds(created_at), bool(is_sso_user), lastname, title
        )
        for user_id, name, email, created_at, is_sso_user, lastname, title in rows.created_users(
            batch_id, after, limit
        )
    ]
