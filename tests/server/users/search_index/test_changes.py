"""Deletions, new names and undone batches: the index has the words of those who are left."""

import random
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.users.search_index.accounts import JANE, create, ids_of, undo_all
from tests.support.callers import session_caller
from tests.support.databases.indexed_words import indexed_words, words_of_accounts
from tests.support.servers.control_planes import new_control_plane

from anyscale.domain.models.users import UserChanges
from anyscale.errors import NotFound
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.batches import undo
from anyscale.server.core.search import index

pytestmark = pytest.mark.both_stores


def test_undoing_an_indexed_batch_removes_its_words_and_no_others(
    control_plane: ControlPlane,
) -> None:
    stays, gone = create(control_plane, 4, "stays"), create(control_plane, 8, "gone")
    control_plane.search_index.fill()
    session_caller(control_plane, ids_of(control_plane, gone)[3])  # is used, and so kept
    undo_all(control_plane, gone)
    kept = {(row[2], row[3]) for row in indexed_words(control_plane.store)}
    assert kept == {(1, 0), (1, 1), (1, 2), (1, 3), (2, 3)}
    assert indexed_words(control_plane.store) == words_of_accounts(control_plane.store)
    assert len(ids_of(control_plane, stays)) == 4


def test_filling_waits_while_a_batch_is_undone_and_goes_on_if_the_undo_is_abandoned(
    control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "_SLICE", 5)
    monkeypatch.setattr(undo, "_SECONDS_A_CALL", 0)
    monkeypatch.setattr(index, "_DEFER_MS", 9_000)
    gone, _ = create(control_plane, 9, "gone"), create(control_plane, 4, "stays")
    control_plane.search_index.fill(0)
    control_plane.batches.undo(
        JANE, gone, "", force=False, dry_run=False
    )  # a call; no other one follows
    control_plane.search_index.fill()
    assert indexed_words(control_plane.store) == []
    with control_plane.store.write() as tx:
        tx.words.defer(tx.now())  # as after the 9 seconds
    control_plane.search_index.fill()
    assert len(ids_of(control_plane, gone)) == 4
    assert indexed_words(control_plane.store) == words_of_accounts(control_plane.store)


@pytest.mark.parametrize("seed", range(6))
def test_no_word_of_a_deleted_or_renamed_account_stays_whatever_races_with_the_filling(
    control_plane: ControlPlane, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undo, "_SLICE", 5)
    undone, changed = create(control_plane, 40, "undone"), create(control_plane, 60, "changed")
    ids = ids_of(control_plane, changed)

    def fill() -> None:
        while control_plane.search_index.count_unindexed():
            control_plane.search_index.fill()

    def delete(numbers: random.Random) -> None:
        for user_id in numbers.sample(ids, 20):
            control_plane.lifecycle.delete(JANE, user_id)

    def rename(numbers: random.Random) -> None:
        for user_id in numbers.choices(ids, k=40):
            changes = UserChanges(
                name=f"Renamed {numbers.random()}", lastname=numbers.choice("xyz")
            )
            try:
                control_plane.updates.update(JANE, user_id, changes)
            except NotFound:
                continue

    with ThreadPoolExecutor(4) as pool:
        work = [
            pool.submit(delete, random.Random(seed)),
            pool.submit(rename, random.Random(-seed)),
            pool.submit(undo_all, control_plane, undone),
            pool.submit(fill),
        ]
        for done in work:
            done.result(60)
    fill()
    assert indexed_words(control_plane.store) == words_of_accounts(control_plane.store)
    assert {row[2] for row in indexed_words(control_plane.store)} == {2}
    assert len(ids_of(control_plane, changed)) == 40


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.integers(1, 5)),
        st.tuples(st.just("fill"), st.just(0)),
        st.tuples(st.sampled_from(["delete", "rename", "undo"]), st.integers(0, 99)),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(_STEPS)
def test_after_any_steps_the_words_are_those_of_the_accounts_up_to_the_watermark(
    steps: list[tuple[str, int]],
) -> None:
    with (
        TemporaryDirectory() as folder,
        closing(new_control_plane(Path(folder))) as control_plane,
    ):
        batches: list[str] = []
        for number, (step, value) in enumerate(steps):
            ids = [user_id for batch_id in batches for user_id in ids_of(control_plane, batch_id)]
            if step == "create":
                batches.append(create(control_plane, value, f"key{number}"))
            elif step == "fill":
                control_plane.search_index.fill(0)
            elif step == "undo" and batches:
                undo_all(control_plane, batches[value % len(batches)])
            elif step == "delete" and ids:
                control_plane.lifecycle.delete(JANE, ids[value % len(ids)])
            elif step == "rename" and ids:
                changes = UserChanges(name=f"New {number}", lastname="Ann")
                control_plane.updates.update(JANE, ids[value % len(ids)], changes)
            with control_plane.store.read() as tx:
                watermark = tx.words.get_state().watermark
            words = words_of_accounts(control_plane.store)
            assert indexed_words(control_plane.store) == [
                row for row in words if row[2:] <= watermark
            ]
