"""What clients see of a batch, and of the users that it created."""

from msgspec import structs

from anyscale.server.store.interface import Transaction
from anyscale.server.store.records import BatchRecord
from anyscale.user.models import AdminCreatedUser, Batch, from_milliseconds

__all__ = ["batch_details", "batch_details_with_counts", "created_users"]


def batch_details(tx: Transaction, batch: BatchRecord) -> Batch:
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


def batch_details_with_counts(tx: Transaction, batch: BatchRecord, *, has_provider: bool) -> Batch:
    """Return a batch as clients see it; of one that was published, count the accounts.

    The counts are of the accounts to which no user can sign in, and of the deleted and remaining
    ones. This reads all accounts of the batch, so lists of batches do without it.
    """
    details = batch_details(tx, batch)
    if batch.published_at is None:
        return details
    counts = tx.users.count_accounts(batch.batch_id, has_provider=has_provider)
    return structs.replace(
        details,
        without_way_in=counts.without_credentials,
        removed=details.users - counts.all,
        remaining=counts.all,
    )


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
