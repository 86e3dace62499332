"""The batch protocol with its calls in any order, compared with a small model."""

from contextlib import ExitStack

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import Struct
from tests.support.callers import OPERATOR, operator
from tests.support.databases.stored_data import execute_sql
from tests.support.hashing import record_hashed
from tests.support.servers.control_planes import NewDeployment
from tests.support.users import PASSWORD, account_emails, checked_user

from anyscale.errors import BatchGone, BatchUnfinished, KeyReused

NAMES = st.sampled_from("abcdefgh")
#: local part of the email, and whether the user has a password
PAGE = st.lists(st.tuples(NAMES, st.booleans()), min_size=1, max_size=3).map(tuple)

Entries = tuple[tuple[str, bool], ...]


class Model(Struct):
    """The expected state of a batch."""

    batch_id: str
    if_exists: str
    state: str = "open"
    #: number -> entries
    pages: dict[int, Entries] = {}
    #: position -> local part, of its own rows
    rows: dict[int, str] = {}
    #: positions of conflicts: another batch or an account has the email
    conflicts: set[int] = set()
    due: set[int] = set()

    @property
    def has_gaps(self) -> bool:
        return sorted(self.pages) != list(range(len(self.pages)))


class AnyOrder(RuleBasedStateMachine):
    new_house: NewDeployment

    kind: str
    opened = Bundle("opened")

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.house = self.stack.enter_context(self.new_house())
        self.control_plane = self.house.control_plane()
        self.hashed = record_hashed(self.control_plane.hashing)
        self.models: dict[str, Model] = {}
        self.restarts = 0

    def teardown(self) -> None:
        self.control_plane.close()
        self.stack.close()

    def owner(self, name: str) -> tuple[Model, int] | None:
        for model in self.models.values():
            if model.state in ("open", "published"):
                for position, owned in model.rows.items():
                    if owned == name:
                        return model, position
        return None

    @initialize(target=opened, options=st.sampled_from([("fail", "skip"), ("fail", "fail")]))
    def begin(self, options: tuple[str, str]) -> object:
        """Open two batches, so that every other call has one from the first step on."""
        return multiple(*(self.open(f"k{at}", option) for at, option in enumerate(options, 1)))

    @rule(
        target=opened,
        key=st.sampled_from(["k1", "k2", "k3"]),
        if_exists=st.sampled_from(["fail", "skip"]),
    )
    def open(self, key: str, if_exists: str) -> object:
        found = self.control_plane.batches.find(key)
        if found and found.if_exists != if_exists:
            with pytest.raises(KeyReused):
                self.control_plane.batches.open(operator("jane"), key, if_exists)
            return multiple()
        batch = self.control_plane.batches.open(operator("jane"), key, if_exists)
        if found:
            assert batch.batch_id == found.batch_id
            return multiple()
        self.models[batch.batch_id] = Model(batch.batch_id, if_exists)
        return batch.batch_id

    @rule(batch_id=opened, number=st.integers(0, 2), page=PAGE)
    def reserve(self, batch_id: str, number: int, page: Entries) -> None:
        model = self.models[batch_id]
        if model.state == "dropped":
            with pytest.raises(BatchGone):
                self.send(model, number, page)
        elif model.pages.get(number, page) != page or (
            model.state == "published" and number not in model.pages
        ):
            with pytest.raises(KeyReused):
                self.send(model, number, page)
        else:
            self.reserved(model, number, page)

    @rule(batch_id=opened, number=st.integers(0, 2))
    def reserve_again(self, batch_id: str, number: int) -> None:
        model = self.models[batch_id]
        if number in model.pages and model.state != "dropped":
            self.reserved(model, number, model.pages[number])

    def send(self, model: Model, number: int, page: Entries) -> tuple[int, int, int]:
        users = [
            checked_user(f"{name}@example.com", PASSWORD if secret else None)
            for name, secret in page
        ]
        found = self.control_plane.batches.reserve(OPERATOR, model.batch_id, number, users)
        return found.users, found.skipped, found.conflicts

    def reserved(self, model: Model, number: int, page: Entries) -> None:
        """Reserve a chunk, and check that the result is that of the model."""
        positions = range(number * 3, number * 3 + len(page))
        hashed = {p for p in positions if p in model.rows} - model.due
        if model.state == "open" and (
            number not in model.pages or model.conflicts & set(positions)
        ):
            skipped = self.expect(model, number, page)
            model.due -= hashed
        else:
            skipped = len(page) - sum(p in model.rows for p in positions)
        users = sum(p in model.rows for p in positions)
        conflicts = len(model.conflicts & set(positions))
        assert self.send(model, number, page) == (users, skipped, conflicts)

    def expect(self, model: Model, number: int, page: Entries) -> int:
        """Apply a reservation to the model; give the number of skipped users."""
        model.pages[number] = page
        skipped = 0
        order = sorted(range(len(page)), key=lambda at: page[at][0])
        for position, (name, secret) in ((number * 3 + at, page[at]) for at in order):
            owner = self.owner(name)
            model.conflicts.discard(position)
            if owner is None or owner == (model, position):
                model.rows[position] = name
                model.due |= {position} if secret else set()
            elif owner[0].state == "published" and model.if_exists == "skip":
                skipped += 1
            else:
                model.conflicts.add(position)
        return skipped

    @rule(batch_id=opened, positions=st.sets(st.integers(0, 8), max_size=6))
    def hash(self, batch_id: str, positions: set[int]) -> None:
        model = self.models[batch_id]
        passwords = [(position, PASSWORD) for position in sorted(positions)]
        if model.state != "open":
            with pytest.raises(BatchGone):
                self.control_plane.batches.hash(OPERATOR, batch_id, passwords)
            return
        before = len(self.hashed)
        stored = self.control_plane.batches.hash(OPERATOR, batch_id, passwords)
        assert stored == len(model.due & positions) == len(self.hashed) - before
        model.due -= positions

    @rule(batch_id=opened)
    def hash_the_rest(self, batch_id: str) -> None:
        self.hash(batch_id, set(range(9)))

    @rule(batch_id=opened)
    def publish(self, batch_id: str) -> None:
        model = self.models[batch_id]
        entries = sum(len(page) for page in model.pages.values())
        if model.state == "dropped":
            with pytest.raises(BatchGone):
                self.control_plane.batches.publish(operator("jane"), batch_id, entries)
        elif model.state == "open" and (model.conflicts or model.due or model.has_gaps):
            with pytest.raises(BatchUnfinished):
                self.control_plane.batches.publish(operator("jane"), batch_id, entries)
        else:
            batch = self.control_plane.batches.publish(operator("jane"), batch_id, entries)
            model.state = "published"
            assert (batch.state, batch.users) == ("published", len(model.rows))
            assert batch.users + batch.skipped == entries

    @rule(batch_id=opened)
    def publish_too_early(self, batch_id: str) -> None:
        model = self.models[batch_id]
        entries = sum(len(page) for page in model.pages.values()) + 1
        if model.state == "open":
            with pytest.raises(BatchUnfinished):
                self.control_plane.batches.publish(operator("jane"), batch_id, entries)

    @rule(batch_id=opened)
    def release(self, batch_id: str) -> None:
        model = self.models[batch_id]
        if model.state != "open":
            with pytest.raises(BatchGone):
                self.control_plane.batches.release(OPERATOR, batch_id)
            return
        self.control_plane.batches.release(OPERATOR, batch_id)
        self.models[batch_id] = Model(batch_id, model.if_exists)

    @rule(batch_id=opened)
    def drop(self, batch_id: str) -> None:
        model = self.models[batch_id]
        if model.state == "published":
            with pytest.raises(BatchGone):
                self.control_plane.batches.drop(operator("jane"), batch_id)
            return
        self.control_plane.batches.drop(operator("jane"), batch_id)
        self.models[batch_id] = Model(batch_id, model.if_exists, "dropped")

    # Hypothesis would draw it most often, as it always can, and it takes longest.
    @precondition(lambda self: self.restarts < 2)
    @rule()
    def restart(self) -> None:
        self.restarts += 1
        self.control_plane.close()
        self.control_plane = self.house.control_plane()
        self.hashed = record_hashed(self.control_plane.hashing)
        self.control_plane.batches.expire()

    @invariant()
    def the_accounts_are_the_users_of_published_batches(self) -> None:
        wanted = [
            f"{name}@example.com"
            for model in self.models.values()
            if model.state == "published"
            for name in model.rows.values()
        ]
        found = account_emails(self.control_plane)
        assert sorted(found) == sorted(wanted)
        assert len(found) == len(set(found))

    @invariant()
    def the_counts_of_pages_are_those_of_the_rows(self) -> None:
        with self.control_plane.store.read() as tx:
            for model in self.models.values():
                batch = tx.batches.get(model.batch_id)
                assert batch
                sql = "select count(*) from users where batch = ?"
                counted = execute_sql(tx, sql, (batch.id,)).fetchone()[0]
                pages = tx.chunks.list(batch.id)
                assert counted == sum(page.users for page in pages)
                assert sum(page.hashes_due for page in pages) == len(model.due)
                assert counted == len(model.rows)
                assert tx.users.count_pending(batch.id) == len(model.due)
                assert batch.state == model.state


@pytest.mark.both_stores
def test_calls_in_any_order_match_the_model(store_kind: str, new_deployment: NewDeployment) -> None:
    class InThisHouse(AnyOrder):
        new_house = staticmethod(new_deployment)

    run_state_machine_as_test(
        InThisHouse,
        settings=settings(
            max_examples=25
            if store_kind == "postgres"
            else 60,  # its steps take three times as long
            stateful_step_count=40,
            deadline=None,
        ),
    )
