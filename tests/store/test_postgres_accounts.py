"""People on PostgreSQL: who waits for whom, and what is found by an index."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from time import sleep
from typing import Any

import pytest
from tests.store.contract.steps import (
    batch_row,
    link_row,
    rows_of,
    session_row,
    user_id_of,
    user_row,
)

from anyscale.server.store.interface import BatchRecord, Store
from anyscale.server.store.postgres.store import PostgresStore


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    with PostgresStore(postgres_url) as store:
        yield store


def publish(store: Store, emails: Sequence[str]) -> BatchRecord:
    with store.write() as rows:
        batch = rows.add_batch(batch_row(1))
        assert batch
        users = [user_row(batch, at, email) for at, email in enumerate(emails)]
        assert rows.insert_users(batch.id, rows_of(users)) == []
        rows.publish(batch.id, "local:joe", 5_000)
    return batch


def hurry(rows: Any) -> None:
    """Have a transaction fail rather than wait."""
    rows._execute("set local lock_timeout = '1s'")


# Who waits for whom


def test_whoever_holds_an_account_keeps_nobody_from_the_batch_or_from_other_accounts(
    store: PostgresStore,
) -> None:
    batch = publish(store, ["a@x.org", "b@x.org"])
    with store.write() as one, store.write() as other:
        hurry(other)
        assert one.account(user_id=user_id_of(batch, 0))
        assert other.account(email_key="b@x.org")
        assert other.hold_batch(batch.batch_id, alone=True)
        other.hold_owners()


def test_whoever_claims_the_email_of_an_account_that_is_held_is_told_whose_it_is(
    store: PostgresStore,
) -> None:
    publish(store, ["a@x.org"])
    with store.write() as one, store.write() as other:
        hurry(other)
        assert one.account(email_key="a@x.org")
        batch = other.add_batch(batch_row(2))
        assert batch
        (owner,) = other.insert_users(batch.id, rows_of([user_row(batch, 0, "a@x.org")]))
        assert owner.state == "published"


def test_whoever_claims_the_email_of_an_account_that_is_being_removed_gets_it(
    store: PostgresStore,
) -> None:
    first = publish(store, ["a@x.org"])

    def claim() -> Sequence[Any]:
        with store.write() as rows:
            batch = rows.add_batch(batch_row(2))
            assert batch
            return rows.insert_users(batch.id, rows_of([user_row(batch, 0, "a@x.org")]))

    with ThreadPoolExecutor(1) as pool:
        with store.write() as rows:
            rows.remove_account(user_id_of(first, 0))
            claiming = pool.submit(claim)
            sleep(0.1)
        assert claiming.result(20) == []


def test_of_two_calls_of_one_session_the_second_does_not_wait_to_note_it(
    store: PostgresStore,
) -> None:
    with store.write() as rows:
        rows.add_sessions([session_row(1, "usr_a")])
    with store.write() as one, store.write() as other:
        hurry(other)
        one.use_session("ses_1", 7_000)
        other.use_session("ses_1", 8_000)
    with store.read() as rows:
        (session,) = rows.sessions("usr_a")
    assert session.used_at == 7_000


def test_whoever_forgets_sessions_and_links_waits_for_nobody(store: PostgresStore) -> None:
    with store.write() as rows:
        for number in (1, 2):
            rows.add_sessions([session_row(number, f"usr_{number}", used_at=100)])
            rows.put_link(link_row(number, f"usr_{number}", expires_at=100))
    with store.write() as one, store.write() as other:
        hurry(other)
        one.use_session("ses_1", 7_000)
        assert one.take_link(link_row(1, "").hash)
        other.forget_sessions(500, 500)
    with store.read() as rows:
        assert [len(rows.sessions(user_id)) for user_id in ("usr_1", "usr_2")] == [1, 0]
        assert rows.link(link_row(2, "").hash) is None


def test_a_session_that_is_used_while_it_is_ended_is_ended(store: PostgresStore) -> None:
    with store.write() as rows:
        for number in (1, 2):
            rows.add_sessions([session_row(number, "usr_a")])

    def end() -> int:
        with store.write() as rows:
            return rows.end_sessions("usr_a")

    with ThreadPoolExecutor(1) as pool:
        with store.write() as rows:
            rows.use_session("ses_1", 7_000)
            ending = pool.submit(end)
            sleep(0.1)
        assert ending.result(20) == 2


def test_nobody_is_tied_to_a_subject_that_postgresql_cannot_hold(store: PostgresStore) -> None:
    with store.write() as rows:
        assert not rows.link_identity("https://one", "s\0", "usr_a", 7)
        assert not rows.link_identity("https://\0", "s", "usr_a", 7)
        assert rows.link_identity("https://one", "s", "usr_a", 7)


# What is found by an index

BY_INDEX: dict[str, tuple[str, Callable[[Any, BatchRecord], object]]] = {
    "account by id": ("users_pkey", lambda rows, batch: rows.account(user_id=user_id_of(batch, 7))),
    "account by email": (
        "users_email_key_key",
        lambda rows, _: rows.account(email_key="u7@x.org"),
    ),
    "owners": ("users_owners", lambda rows, _: rows.hold_owners()),
    "page without a way in": (
        "users_pkey",
        lambda rows, batch: rows.without_way_in(batch.batch_id, sso=False, after="", limit=1_000),
    ),
    "page of created users": (
        "users_pkey",
        lambda rows, batch: rows.created_users(batch.batch_id, "", 1_000),
    ),
}


@contextmanager
def explaining(rows: Any) -> Iterator[list[str]]:
    """Note what PostgreSQL does for each statement."""
    execute = rows._execute
    lines: list[str] = []

    def note(sql: Any, values: Any = ()) -> Any:
        lines.extend(line for (line,) in execute(f"explain {sql}", values))
        return execute(sql, values)

    rows._execute = note
    yield lines


@pytest.mark.parametrize("what", list(BY_INDEX))
@pytest.mark.parametrize("analyzed", [False, True], ids=["before analyze", "after analyze"])
@pytest.mark.parametrize("kind", ["read", "write"])
def test_people_are_found_by_an_index(
    store: PostgresStore, what: str, analyzed: bool, kind: str
) -> None:
    batch = publish(store, [f"u{at}@x.org" for at in range(5_000)])
    index, ask = BY_INDEX[what]
    with store.write() as rows:
        rows._execute("analyze" if analyzed else "select 1")
    with getattr(store, kind)() as rows, explaining(rows) as lines:
        ask(rows, batch)
    plan = "\n".join(lines)
    assert f"using {index}" in plan
    assert "Seq Scan on users" not in plan
    # Whoever sorts has first read all that follows the page.
    assert "Sort" not in plan
