"""Undo a published batch: delete its accounts in slices, each in one transaction."""

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from anyscale.domain.models.batches import KeptUser
from anyscale.domain.schemas.batches import UndoPart
from anyscale.errors import AnyscaleError, BatchGone, RequestInvalid
from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.batches.batch_state import lock_batch, require_batch
from anyscale.server.core.callers import Caller, user_actor
from anyscale.server.core.mail.outbox import end_links, stop_mailings
from anyscale.server.core.permissions import Permission
from anyscale.server.core.search import defer_filling
from anyscale.server.core.transactions import Transactions, pause_between_slices
from anyscale.server.store.records.batches import BatchRecord
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction
from anyscale.server.store.user_ids import id_prefix, is_id_of, position_of

#: accounts of a slice, which takes the writer for less than 50 ms
_SLICE = 500
#: seconds after which a call returns, so that clients see progress
_SECONDS_A_CALL = 1.0
#: accounts that a response names
_MOST_KEPT = 10_000


class _Slice(NamedTuple):
    """Accounts of a batch that one transaction has read, by `user_id`."""

    removed: Sequence[AccountRecord]
    kept: Sequence[KeptUser]
    #: the `user_id` of the last one; None if no account is left to read
    last: str | None
    #: unused links that users of removed accounts created for others
    links: int


class _LockedBatch(NamedTuple):
    """What the transaction of a slice locks before the accounts, and these."""

    batch: BatchRecord
    #: see `_spared_owner`
    spared: str
    #: the accounts of the slice, by `user_id`
    ids: Sequence[str]


def undo_part(
    transactions: Transactions,
    batch_id: str,
    after: str,
    caller: Caller,
    *,
    force: bool,
    dry_run: bool,
) -> UndoPart:
    """Undo slices of a published batch for about a second, after a `user_id`.

    If a slice fails, the result is that of the slices before it, and the next call raises.

    Raises:
        NotFound: there is no such batch.
        BatchGone: it was never published.
        RequestInvalid: `after` is not an id of this batch, or no undo has come so far.
        NotAuthenticated, NotPermitted: the caller has lost its permission.
    """
    _check_after(batch_id, after)
    deadline = time.monotonic() + _SECONDS_A_CALL
    step = _look_at_slice if dry_run else _undo_slice
    first, removed, suspended, links, kept = after, 0, 0, 0, list[KeptUser]()
    while True:
        try:
            done = step(transactions, batch_id, after, caller, force=force)
        except AnyscaleError:
            if after == first:
                raise
            # Accounts are deleted already: a client that does not know them reports a wrong count.
            return UndoPart(batch_id, removed, kept, after, suspended, links)
        removed += len(done.removed)
        suspended += sum(account.suspended_at is not None for account in done.removed)
        links += done.links
        kept += done.kept
        if done.last is None or time.monotonic() >= deadline or len(kept) >= _MOST_KEPT:
            return UndoPart(batch_id, removed, kept, done.last, suspended, links)
        after = done.last
        pause_between_slices()


def _check_after(batch_id: str, after: str) -> None:
    if after and not is_id_of(batch_id, after):
        # With an id of a later batch, the undo would find no account, and end.
        raise RequestInvalid(f"after must be the id of a user of batch {batch_id}")


def _look_at_slice(
    transactions: Transactions, batch_id: str, after: str, caller: Caller, *, force: bool
) -> _Slice:
    with transactions.read() as tx:
        batch = _require_published(require_batch(tx, batch_id))
        accounts = tx.users.list_accounts(batch_id, after, _SLICE)
        spared = _spared_owner(batch, tx.accounts.list_owners(), caller)
        removed, kept = _divide(accounts, spared, caller.actor, force=force)
        links = _count_links(tx, removed)
    return _Slice(removed, kept, accounts[-1].user_id if accounts else None, links)


def _undo_slice(
    transactions: Transactions, batch_id: str, after: str, caller: Caller, *, force: bool
) -> _Slice:
    with transactions.write_after(
        lambda tx: _lock_before_accounts(tx, batch_id, after, caller),
        caller,
        Permission.CHANGE_ACCOUNTS,
        lambda first: first.ids,
        recent=True,
        is_slice=True,
    ) as (tx, (batch, spared, ids), locked):
        accounts = [locked[user_id] for user_id in ids if user_id in locked]
        removed, kept = _divide(accounts, spared, caller.actor, force=force)
        if batch.state == "published":  # also if all accounts of the slice are kept
            stop_mailings(tx, batch_id=batch_id)
        links = _delete(tx, batch, removed, kept, caller) if removed else 0
        if ids:
            tx.batches.advance_undo(batch.id, position_of(ids[-1]))
        elif batch.state != "undone":
            tx.batches.set_undone(batch.id, "undone")
            append_entry(tx, caller.actor, "batch.undone", batch_id, {})
        return _Slice(removed, kept, ids[-1] if ids else None, links)


def _lock_before_accounts(
    tx: Transaction, batch_id: str, after: str, caller: Caller
) -> _LockedBatch:
    batch = _require_published(lock_batch(tx, batch_id, exclusive=True))
    _require_reached(batch, after)
    spared = _spared_owner(batch, tx.accounts.lock_owners(), caller)
    return _LockedBatch(batch, spared, tx.users.list_account_ids(batch_id, after, _SLICE))


def _require_reached(batch: BatchRecord, after: str) -> None:
    # Accounts that no undo has looked at would stay, and the batch would be undone all the same.
    if after and position_of(after) > batch.undone_position:
        raise RequestInvalid(f"no undo of batch {batch.batch_id} has come to {after} yet")


def _require_published(batch: BatchRecord) -> BatchRecord:
    if batch.state == "open":
        raise BatchGone(
            f"batch {batch.batch_id} is open and has no accounts yet: `anyscale batch drop` ends it"
        )
    if batch.published_at is None:
        raise BatchGone(f"batch {batch.batch_id} was {batch.state}: it never had accounts")
    return batch


def _divide(
    accounts: Iterable[AccountRecord], spared: str, actor: str, *, force: bool
) -> tuple[list[AccountRecord], list[KeptUser]]:
    """Return the accounts that an undo removes, and those that it keeps."""
    removed, kept = list[AccountRecord](), list[KeptUser]()
    for account in accounts:
        if reason := _reason(account, spared, actor, force=force):
            kept.append(KeptUser(account.user_id, account.email, reason))
        else:
            removed.append(account)
    return removed, kept


def _delete(
    tx: Transaction,
    batch: BatchRecord,
    removed: Sequence[AccountRecord],
    kept: Sequence[KeptUser],
    caller: Caller,
) -> int:
    """Delete accounts, and return how many unused links of others end with them."""
    links = _count_links(tx, removed)
    for actor in _creators(removed):
        end_links(tx, by=actor)
    ids = [account.user_id for account in removed]
    tx.accounts.delete_range(ids[0], ids[-1], keep=[user.user_id for user in kept])
    defer_filling(tx)
    if batch.state != "undoing":
        tx.batches.set_undone(batch.id, "undoing")
    data: dict[str, object] = {
        "removed": len(ids),
        "positions": _ranges([position_of(user_id) for user_id in ids]),
    }
    if links:
        data["links_ended"] = links
    append_entry(tx, caller.actor, "batch.accounts_deleted", batch.batch_id, data)
    return links


def _count_links(tx: Transaction, removed: Iterable[AccountRecord]) -> int:
    creators = _creators(removed)
    return tx.links.count_made(creators, tx.now()) if creators else 0


def _creators(accounts: Iterable[AccountRecord]) -> list[str]:
    """Return the actors of accounts that were used: only these can have created links."""
    return [user_actor(account.user_id) for account in accounts if account.used_at is not None]


def _ranges(positions: Sequence[int]) -> str:
    """Return sorted positions as text: `0-499`, or `0-7,9-499`."""
    ranges: list[list[int]] = []
    for position in positions:
        if ranges and position == ranges[-1][1] + 1:
            ranges[-1][1] = position
        else:
            ranges.append([position, position])
    return ",".join(f"{first}-{last}" if first < last else f"{first}" for first, last in ranges)


def _reason(account: AccountRecord, spared: str, actor: str, *, force: bool) -> str:
    """Return why an account is kept; an empty text if it is not."""
    if account.used_at is not None and not force:
        return "used"
    if account.user_id == spared:
        return "last_owner"
    return "caller" if user_actor(account.user_id) == actor else ""


def _spared_owner(batch: BatchRecord, owners: Sequence[str], caller: Caller) -> str:
    """Return the owner that an undo keeps because all owners are of its batch; else an empty text.

    It is the last one by `user_id`, so that it is the same one in each slice.
    """
    prefix = id_prefix(batch.batch_id)
    others = [
        user_id
        for user_id in owners
        if not user_id.startswith(prefix) or user_actor(user_id) == caller.actor
    ]
    return "" if others or not owners else owners[-1]
