"""The rules of the syncs that the console has started."""

from msgspec import structs
from tests.store.contract.steps import StoreSteps

from anyscale.server.store.records.syncs import SyncRecord
from anyscale.server.store.transaction import Store


def sync_row(number: int, form_key: str = "") -> SyncRecord:
    """Return a sync to insert, which is running."""
    key = form_key or f"form-{number}"
    at = 1_000 + number
    return SyncRecord(f"syn_{number}", key, "staff.csv", "local:jane", at, at, total=3)


class SyncRules(StoreSteps):
    """A form starts one sync, whose progress is replaced until it is deleted."""

    def test_a_form_starts_one_sync(self, store: Store) -> None:
        with store.write() as tx:
            assert tx.syncs.add(sync_row(1))
            assert not tx.syncs.add(sync_row(2, "form-1"))
            assert tx.syncs.of_form("form-1") == sync_row(1)
            assert tx.syncs.get("syn_2") is None

    def test_the_progress_of_a_sync_is_replaced(self, store: Store) -> None:
        first, second = sync_row(1), sync_row(2)
        done = structs.replace(
            first, touched_at=2_000, state="done", created=1, corrected=2, batch_id="bat_1"
        )
        with store.write() as tx:
            assert tx.syncs.add(first)
            assert tx.syncs.add(second)
            tx.syncs.save(done)
        with store.read() as tx:
            assert tx.syncs.list(10) == [second, done]
            assert tx.syncs.list(1) == [second]
            assert tx.syncs.of_batches(["bat_1", "bat_none"]) == [done]

    def test_old_syncs_are_deleted(self, store: Store) -> None:
        with store.write() as tx:
            assert tx.syncs.add(sync_row(1))
            assert tx.syncs.add(sync_row(2))
            tx.syncs.purge(1_002)
            assert tx.syncs.list(10) == [sync_row(2)]
