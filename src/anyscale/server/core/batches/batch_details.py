"""What clients see of a batch, and of the users that it created."""

from datetime import datetime

from msgspec import Struct, structs

from anyscale.domain.models.batches import Batch
from anyscale.domain.models.users import AdminCreatedUser
from anyscale.domain.times import from_milliseconds
from anyscale.server.core.callers import Caller
from anyscale.server.store.records.batches import BatchRecord
from anyscale.server.store.records.user_models import created_user_of
from anyscale.server.store.transaction import Transaction


def batch_details(tx: Transaction, batch: BatchRecord) -> Batch:
    """Return a batch as clients see it."""
    chunks = [] if batch.is_dropped_or_expired else tx.chunks.list(batch.id)
    published = batch.published_at
    return Batch(
        batch_id=batch.batch_id,
        state=batch.state,
        if_exists=batch.if_exists,
        label=batch.label,
        opened_by=batch.opened_by,
        opened_at=from_milliseconds(batch.opened_at),
        touched_at=from_milliseconds(batch.touched_at),
        published_by=batch.published_by,
        published_at=None if published is None else from_milliseconds(published),
        users=sum(chunk.users for chunk in chunks),
        skipped=sum(chunk.skipped for chunk in chunks),
        hashes_due=sum(chunk.hashes_due for chunk in chunks),
    )


class BatchName(Struct, frozen=True):
    """By what people recognize a batch, and the actor that opened it."""

    label: str | None
    opened_at: datetime
    opened_by: str
    #: whether its one account was created by itself, and not from a file or a list
    is_single: bool


def batch_name(batch: BatchRecord) -> BatchName:
    """Return what names a batch, without reading its chunks."""
    opened_at = from_milliseconds(batch.opened_at)
    return BatchName(batch.label, opened_at, batch.opened_by, batch.origin == "account")


class InitialSignIns(Struct, frozen=True):
    """How many users of a batch could sign in when it was created, by method."""

    passwords: int
    sso_users: int


def initial_sign_ins(tx: Transaction, batch: BatchRecord) -> InitialSignIns:
    """Add up the numbers that the chunks of a batch have, without reading its users."""
    chunks = tx.chunks.list(batch.id)
    return InitialSignIns(
        sum(chunk.passwords for chunk in chunks), sum(chunk.sso_users for chunk in chunks)
    )


def shown_batch(tx: Transaction, batch: BatchRecord, caller: Caller) -> Batch:
    """Return a batch as clients see it, with the fields that lists of batches omit.

    These are whether the caller opened it and, of a published batch, the counts of its accounts.
    """
    is_published = batch.published_at is not None
    details = published_batch(tx, batch) if is_published else batch_details(tx, batch)
    return structs.replace(details, opened_by_caller=batch.opened_by == caller.actor)


def published_batch(tx: Transaction, batch: BatchRecord, *, is_new: bool = False) -> Batch:
    """Return a published batch as clients see it, with the counts of its accounts.

    These are the accounts without usable credentials, the deleted and the remaining accounts, and
    the suspended ones among those that were skipped. To count them takes reading all of these
    accounts, unless the batch `is_new`: nobody has used or deleted an account of it yet.
    """
    details = batch_details(tx, batch)
    if is_new:
        counts = tx.chunks.count_accounts(batch.id)
    else:
        counts = tx.users.count_accounts(batch.batch_id)
    return structs.replace(
        details,
        without_credentials=counts.without_credentials,
        removed=details.users - counts.all,
        remaining=counts.all,
        skipped_suspended=tx.chunks.count_suspended(batch.id),
    )


def created_users(tx: Transaction, batch_id: str, after: str, limit: int) -> list[AdminCreatedUser]:
    """Return users of a published batch in the order of the input, after a `user_id`."""
    return [created_user_of(record) for record in tx.users.list_created(batch_id, after, limit)]
