"""Undoing a published batch: deleting its accounts in slices, each in one transaction."""

import time
from collections.abc import Sequence

from anyscale.api_schemas import UndoPart
from anyscale.errors import AnyscaleError, BatchGone, RequestInvalid
from anyscale.server.core.audit import log as audit
from anyscale.server.core.authorization import Principal, require_owner, user_actor
from anyscale.server.core.batches.batch_state import known_batch, lock_batch
from anyscale.server.store.interface import Store, Transaction
from anyscale.server.store.records import AccountRecord, BatchRecord
from anyscale.server.store.user_ids import id_prefix, position_of
from anyscale.user.models import KeptUser

__all__ = ["undo_part"]

#: accounts of a slice, which takes the writer for less than 50 ms
_SLICE = 500
#: seconds after which a call returns, so that clients see progress
_SECONDS_A_CALL = 1.0
#: accounts that a response names
_MOST_KEPT = 10_000
#: Seconds between two slices. Threads take turns by themselves, but another process that waits for
#: a SQLite file only looks now and then whether it is free.
_PAUSE = 0.001

#: How long a slice keeps the index of words from being filled. Filling would take the writer for
#: words that the next slices remove.
_DEFER_FILLING_MS = 3_000


class _Slice:
    """Accounts of a batch, by `user_id`, and which of them an undo keeps."""

    def __init__(
        self,
        batch: BatchRecord,
        accounts: Sequence[AccountRecord],
        owners: Sequence[str],
        caller: Principal,
        *,
        force: bool,
    ) -> None:
        spared = _spared_owner(batch, owners, caller)
        reasons = {
            account.user_id: _reason(account, spared, caller, force=force) for account in accounts
        }
        self.kept = [
            KeptUser(account.user_id, account.email, reason)
            for account in accounts
            if (reason := reasons[account.user_id])
        ]
        self.removed = [account for account in accounts if not reasons[account.user_id]]
        #: None if there is no account left to look at
        self.last = accounts[-1].user_id if accounts else None


def undo_part(
    store: Store, batch_id: str, after: str, caller: Principal, *, force: bool, dry_run: bool
) -> UndoPart:
    """Undo slices of a published batch for about a second, after a `user_id`.

    If a slice fails, the result is that of the slices before it, and the next call raises.

    Raises:
        NotFound: there is no such batch.
        BatchGone: it was never published.
        RequestInvalid: `after` is no id of this batch.
        NotAuthenticated, NotPermitted: the caller has lost its permission.
    """
    if after and not after.startswith(id_prefix(batch_id)):
        # Behind all ids it would end the undo although the accounts are there.
        raise RequestInvalid(f"after must be the id of a user of batch {batch_id}")
    deadline = time.monotonic() + _SECONDS_A_CALL
    step = _look if dry_run else _undo
    first, removed, kept = after, 0, list[KeptUser]()
    while True:
        try:
            done = step(store, batch_id, after, caller, force=force)
        except AnyscaleError:
            if after == first:
                raise
            # Accounts are deleted already: a client that does not know them reports a wrong count.
            return UndoPart(batch_id, removed, kept, after)
        removed += len(done.removed)
        kept += done.kept
        if done.last is None or time.monotonic() >= deadline or len(kept) >= _MOST_KEPT:
            return UndoPart(batch_id, removed, kept, done.last)
        after = done.last
        time.sleep(_PAUSE)


def _look(store: Store, batch_id: str, after: str, caller: Principal, *, force: bool) -> _Slice:
    with store.read() as tx:
        batch = _published(known_batch(tx, batch_id))
        accounts = tx.users.list_accounts(batch_id, after, _SLICE)
        return _Slice(batch, accounts, tx.accounts.list_owners(), caller, force=force)


def _undo(store: Store, batch_id: str, after: str, caller: Principal, *, force: bool) -> _Slice:
    with store.write(is_slice=True) as tx:
        batch = _published(lock_batch(tx, batch_id, exclusive=True))
        owners = tx.accounts.lock_owners()
        ids = tx.users.list_account_ids(batch_id, after, _SLICE)
        locked = require_owner(tx, caller, ids)
        accounts = [locked[user_id] for user_id in ids if user_id in locked]
        done = _Slice(batch, accounts, owners, caller, force=force)
        if done.removed:
            _delete(tx, batch, done, caller)
        elif not ids and batch.state != "undone":
            tx.batches.set_undone(batch.id, "undone")
            audit.append(tx, caller.actor, "batch.undone", batch_id, {})
        done.last = ids[-1] if ids else None
        return done


def _published(batch: BatchRecord) -> BatchRecord:
    if batch.state == "open":
        raise BatchGone(
            f"batch {batch.batch_id} is open and has no accounts yet: `anyscale batch drop` ends it"
        )
    if batch.published_at is None:
        raise BatchGone(f"batch {batch.batch_id} was {batch.state}: it never had accounts")
    return batch


def _delete(tx: Transaction, batch: BatchRecord, done: _Slice, caller: Principal) -> None:
    ids = [account.user_id for account in done.removed]
    for account in done.removed:
        if account.used_at is not None:  # links that the user created for others
            tx.links.delete(by=user_actor(account.user_id))
    tx.accounts.delete_range(ids[0], ids[-1], keep=[user.user_id for user in done.kept])
    tx.words.defer(tx.now() + _DEFER_FILLING_MS)
    if batch.state != "undoing":
        tx.batches.set_undone(batch.id, "undoing")
    data = {"removed": len(ids), "positions": _ranges([position_of(name) for name in ids])}
    audit.append(tx, caller.actor, "batch.accounts_deleted", batch.batch_id, data)


def _ranges(positions: Sequence[int]) -> str:
    """Return sorted positions as text: `0-499`, or `0-7,9-499`."""
    ranges: list[list[int]] = []
    for position in positions:
        if ranges and position == ranges[-1][1] + 1:
            ranges[-1][1] = position
        else:
            ranges.append([position, position])
    return ",".join(f"{first}-{last}" if first < last else f"{first}" for first, last in ranges)


def _reason(account: AccountRecord, spared: str, caller: Principal, *, force: bool) -> str:
    """Return why an account is kept; an empty text if it is not."""
    if account.used_at is not None and not force:
        return "used"
    if account.user_id == spared:
        return "last_owner"
    return "caller" if user_actor(account.user_id) == caller.actor else ""


def _spared_owner(batch: BatchRecord, owners: Sequence[str], caller: Principal) -> str:
    """Return the owner that stays although all owners are of this batch; else an empty text.

    It is the last one by `user_id`, so that it is the same one in each slice.
    """
    prefix = id_prefix(batch.batch_id)
    stays = [
        name for name in owners if not name.startswith(prefix) or user_actor(name) == caller.actor
    ]
    return "" if stays or not owners else owners[-1]
