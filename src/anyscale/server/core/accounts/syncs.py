"""How far syncs of the console are, and answers. The calls of the command change the accounts."""

from collections.abc import Mapping, Sequence

from msgspec import structs

from anyscale.domain.models.sync import GivenAnswer, SyncResult
from anyscale.errors import NotFound
from anyscale.server.core.callers import Caller
from anyscale.server.core.ids import new_id
from anyscale.server.core.permissions import Permission
from anyscale.server.core.time_units import SECOND_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.syncs import AnswerRecord, SyncRecord

_PREFIX = "syn_"


class SyncService:
    """Stores how far a sync is, so that every server process can show it."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def start(self, caller: Caller, form_key: str, file_name: str, total: int) -> SyncRecord | None:
        """Store that a sync of so many accounts starts; None if the form has started one before.

        Raises:
            SignInTooOld: the sign-in of the session is not recent.
        """
        with self._transactions.write_for(caller, Permission.CHANGE_ACCOUNTS, recent=True) as (
            tx,
            _,
        ):
            now = tx.now()
            sync = SyncRecord(
                sync_id=new_id(_PREFIX, now),
                form_key=form_key,
                file_name=file_name,
                started_by=caller.actor,
                started_at=now,
                touched_at=now,
                total=total,
            )
            return sync if tx.syncs.add(sync) else None

    def save(self, sync: SyncRecord, result: SyncResult, state: str = "running") -> None:
        """Store what a sync has done so far, also if the permission of its caller has ended."""
        with self._transactions.write_unattended("progress") as tx:
            saved = structs.replace(
                sync,
                touched_at=tx.now(),
                state=state,
                created=result.created,
                corrected=result.corrected,
                suspended=result.suspended,
                restored=result.restored,
                locked_out=result.locked_out,
                unchanged=len(result.left),
                batch_id=result.batch_id,
            )
            tx.syncs.save(saved)

    def get(self, sync_id: str) -> tuple[SyncRecord, float]:
        """Return a sync, and the seconds since its progress was stored.

        Raises:
            NotFound: there is none, or not any more.
        """
        with self._transactions.read() as tx:
            sync, now = tx.syncs.get(sync_id), tx.now()
        if sync is None:
            raise NotFound("there is no such update of the accounts")
        return sync, (now - sync.touched_at) / SECOND_MS

    def of_form(self, form_key: str) -> SyncRecord | None:
        """Return the sync that a form has started before."""
        with self._transactions.read() as tx:
            return tx.syncs.of_form(form_key)

    def of_batches(self, batch_ids: Sequence[str]) -> Mapping[str | None, SyncRecord]:
        """Return the syncs that have created the accounts of some batches, by the batch."""
        with self._transactions.read() as tx:
            return {sync.batch_id: sync for sync in tx.syncs.of_batches(batch_ids)}

    def latest(self, limit: int) -> Sequence[SyncRecord]:
        with self._transactions.read() as tx:
            return tx.syncs.list(limit)

    def answer(
        self, caller: Caller, answers: Sequence[GivenAnswer], *, dry_run: bool
    ) -> list[bool]:
        """Store answers to questions, and return which of them hold.

        The words of an answer hold for the first change that they were the answer to: a script that
        keeps them decides nothing else.

        Raises:
            NotPermitted: the caller is not an owner.
        """
        words = [one.words for one in answers]
        if dry_run:
            with self._transactions.read() as tx:
                given = tx.sync_answers.find(words)
        else:
            with self._transactions.write_for(caller, Permission.CHANGE_ACCOUNTS) as (tx, _):
                now = tx.now()
                for one in answers:
                    tx.sync_answers.add(AnswerRecord(one.words, one.change, now))
                given = tx.sync_answers.find(words)
        return [given.get(one.words, one.change) == one.change for one in answers]
