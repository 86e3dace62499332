"""Accounts on PostgreSQL: which transaction waits for which, and which index finds a row."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import product
from typing import Any

import pytest
from tests.store.contract.steps import (
    batch_row,
    link_row,
    rows_of,
    session_row,
    token_row,
    user_id_of,
    user_row,
)
from tests.store.openid_rules import grant_row
from tests.store.query_plans import explained
from tests.support.databases.indexed_words import index_next
from tests.support.databases.locks import wait_until_blocked
from tests.support.databases.stored_data import execute_sql

from anyscale.server.store.postgres.store import PostgresStore
from anyscale.server.store.records.batches import BatchRecord
from anyscale.server.store.records.search import FoundUserRecord, FoundWord, IndexPlace
from anyscale.server.store.records.users import NewEmail
from anyscale.server.store.transaction import Store
from anyscale.server.store.words import OF_EMAIL


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore(postgres_url)) as store:
        yield store


def publish(store: Store, emails: Sequence[str], number: int = 1) -> BatchRecord:
    with store.write() as tx:
        batch = tx.batches.add(batch_row(number))
        assert batch
        users = [user_row(batch, at, email) for at, email in enumerate(emails)]
        assert tx.users.insert(batch.id, rows_of(users)) == []
        tx.batches.publish(batch.id, "local:joe", 5_000)
    return batch


def fail_instead_of_waiting(tx: Any) -> None:
    """Let a transaction fail instead of waiting."""
    execute_sql(tx, "set local lock_timeout = '1s'")


# Which transaction waits for which


def test_a_lock_on_an_account_locks_neither_its_batch_nor_other_accounts(
    store: PostgresStore,
) -> None:
    batch = publish(store, ["a@x.org", "b@x.org"])
    with store.write() as one, store.write() as other:
        fail_instead_of_waiting(other)
        assert one.accounts.lock([user_id_of(batch, 0)])
        assert other.accounts.lock([user_id_of(batch, 1)])
        assert other.batches.lock(batch.batch_id, exclusive=True)
        other.accounts.lock_owners()


def test_the_holder_of_an_email_is_returned_while_its_account_is_locked(
    store: PostgresStore,
) -> None:
    published = publish(store, ["a@x.org"])
    with store.write() as one, store.write() as other:
        fail_instead_of_waiting(other)
        assert one.accounts.lock([user_id_of(published, 0)])
        batch = other.batches.add(batch_row(2))
        assert batch
        (owner,) = other.users.insert(batch.id, rows_of([user_row(batch, 0, "a@x.org")]))
        assert owner.state == "published"


def test_an_insert_waits_for_the_deletion_of_the_account_that_has_the_email(
    store: PostgresStore,
) -> None:
    first = publish(store, ["a@x.org"])

    def reserve() -> Sequence[Any]:
        with store.write() as tx:
            batch = tx.batches.add(batch_row(2))
            assert batch
            return tx.users.insert(batch.id, rows_of([user_row(batch, 0, "a@x.org")]))

    with ThreadPoolExecutor(1) as pool:
        with store.write() as tx:
            tx.accounts.delete(user_id_of(first, 0))
            reserving = pool.submit(reserve)
            wait_until_blocked(store, tx)
        assert reserving.result(30) == []


def test_of_two_requests_of_one_session_the_second_does_not_wait_to_touch_it(
    store: PostgresStore,
) -> None:
    with store.write() as tx:
        tx.sessions.add(session_row(1, "usr_a"))
    with store.write() as one, store.write() as other:
        fail_instead_of_waiting(other)
        one.sessions.touch("ses_1", 7_000)
        other.sessions.touch("ses_1", 8_000)
    with store.read() as tx:
        (session,) = tx.sessions.list("usr_a")
    assert session.used_at == 7_000


def test_a_purge_of_sessions_and_links_waits_for_no_lock(store: PostgresStore) -> None:
    with store.write() as tx:
        for number in (1, 2):
            tx.sessions.add(session_row(number, f"usr_{number}", used_at=100))
            tx.links.replace(link_row(number, f"usr_{number}", expires_at=100))
    with store.write() as one, store.write() as other:
        fail_instead_of_waiting(other)
        one.sessions.touch("ses_1", 7_000)
        assert one.links.consume(link_row(1, "").hash)
        other.sessions.purge(500, 500)
        other.links.purge(500)
    with store.read() as tx:
        assert [len(tx.sessions.list(user_id)) for user_id in ("usr_1", "usr_2")] == [1, 0]
        assert tx.links.get(link_row(2, "").hash) is None


def test_a_session_that_is_touched_while_it_is_deleted_is_deleted(store: PostgresStore) -> None:
    with store.write() as tx:
        for number in (1, 2):
            tx.sessions.add(session_row(number, "usr_a"))

    def end() -> int:
        with store.write() as tx:
            return tx.sessions.delete("usr_a")

    with ThreadPoolExecutor(1) as pool:
        with store.write() as tx:
            tx.sessions.touch("ses_1", 7_000)
            ending = pool.submit(end)
            wait_until_blocked(store, tx)
        assert ending.result(30) == 2


@pytest.mark.parametrize("user_ids", [["usr_a"], ["usr_a", "usr_b"]])
def test_deleting_sessions_and_ending_the_grants_of_an_application_do_not_deadlock(
    store: PostgresStore, user_ids: Sequence[str]
) -> None:
    users = {"grant_2": "usr_a", "grant_1": user_ids[-1]}  # the table has the second one first
    with store.write() as tx:
        for grant_id, user_id in users.items():
            tx.grants.add(grant_row(grant_id, user_id=user_id))

    def end_all() -> None:
        with store.write() as tx:
            tx.grants.end_all("app_1")

    def delete() -> None:
        with store.write() as tx:
            if len(user_ids) > 1:
                tx.sessions.delete_of(user_ids)
            else:
                tx.sessions.delete(*user_ids)

    with ThreadPoolExecutor(2) as pool:
        with store.write() as tx:
            assert tx.grants.lock("grant_1")
            ending = pool.submit(end_all)
            wait_until_blocked(store, tx)
            deleting = pool.submit(delete)
            wait_until_blocked(store, tx, 2)
        ending.result()
        deleting.result()
    with store.read() as tx:
        assert tx.grants.last_used("usr_a", 0) == {}


def test_a_subject_that_postgresql_cannot_store_is_not_linked(store: PostgresStore) -> None:
    with store.write() as tx:
        assert not tx.identities.link("https://one", "s\0", "usr_a", 7)
        assert not tx.identities.link("https://\0", "s", "usr_a", 7)
        assert tx.identities.link("https://one", "s", "usr_a", 7)


# What is found by an index

BY_INDEX: dict[str, tuple[str, Callable[[Any, BatchRecord], object]]] = {
    "account by id": ("users_pkey", lambda tx, batch: tx.accounts.get(user_id_of(batch, 7))),
    "account by email": (
        "users_email_key_key",
        lambda tx, _: tx.accounts.find("u7@x.org"),
    ),
    "owners": ("users_owners", lambda tx, _: tx.accounts.lock_owners()),
    "page without a way in": (
        "users_pkey",
        lambda tx, batch: tx.users.list_without_credentials(batch.batch_id, "", 1_000),
    ),
    # of a small batch: those of one that has most accounts are counted by reading the table
    "counts": (
        "users_pkey",
        lambda tx, _: tx.users.count_accounts(batch_row(2).batch_id),
    ),
    "page of created users": (
        "users_pkey",
        lambda tx, batch: tx.users.list_created(batch.batch_id, "", 1_000),
    ),
}


@pytest.mark.parametrize("analyzed", [False, True], ids=["before analyze", "after analyze"])
def test_an_index_finds_accounts(store: PostgresStore, analyzed: bool) -> None:
    batch = publish(store, [f"u{at}@x.org" for at in range(5_000)])
    publish(store, ["other@x.org"], 2)
    with store.write() as tx:
        execute_sql(tx, "analyze" if analyzed else "select 1")
    for what, begin in product(BY_INDEX, (store.read, store.write)):
        index, ask = BY_INDEX[what]
        with begin() as tx, explained(tx, "explain") as lines:
            ask(tx, batch)
        plan = "\n".join(lines)
        assert f"using {index}" in plan, (what, begin)
        assert "Seq Scan on users" not in plan, (what, begin)
        # A sort would read all rows that follow the page.
        assert "Sort" not in plan, (what, begin)


def test_an_index_finds_the_accounts_to_lock(store: PostgresStore) -> None:
    batch = publish(store, [f"u{at}@x.org" for at in range(5_000)])
    with store.write() as tx, explained(tx, "explain") as lines:
        assert tx.accounts.lock([user_id_of(batch, at) for at in (7, 5)])
    plan = "\n".join(lines)
    assert "using users_pkey" in plan
    assert "Seq Scan on users" not in plan


@pytest.mark.parametrize("freed", [1, 2_000])
@pytest.mark.parametrize("analyzed", [False, True], ids=["before analyze", "after analyze"])
def test_no_call_about_emails_reads_all_accounts(
    store: PostgresStore, freed: int, analyzed: bool
) -> None:
    batch = publish(store, [f"u{at}@x.org" for at in range(5_000)])
    new = [NewEmail(user_id_of(batch, at), f"n{at}@x.org", f"n{at}@x.org") for at in range(freed)]
    with store.write() as tx:
        assert tx.emails.reserve(new) == []
        tx.emails.replace(new, 7_000)
        execute_sql(tx, "analyze" if analyzed else "select 1")
    users = [user_row(batch, at, f"l{at}@x.org") for at in range(5_000, 5_200)]
    with store.write() as tx, explained(tx, "explain") as lines:
        later = tx.batches.add(batch_row(2))
        assert later
        assert tx.users.insert(later.id, rows_of(users)) == []
        assert tx.emails.take_freed(later.id, users[0].user_id, users[-1].user_id, 0) == []
        back = [NewEmail(user_id_of(batch, 0), "u0@x.org", "u0@x.org")]
        assert tx.emails.reserve(back) == []
        tx.emails.replace(back, 8_000)
        assert len(tx.searched_users.by_former_email("n0@", "n0A", ("", ""), 9)) == 1
    plan = "\n".join(lines)
    assert "Seq Scan on users" not in plan
    assert "using users_email_key_key" in plan


def test_a_chunk_of_a_batch_reads_no_100_000_freed_emails(store: PostgresStore) -> None:
    with store.write() as tx:
        execute_sql(
            tx,
            "insert into former_emails select 'f' || at || '@x.org', 'usr_' || at, at"
            " from generate_series(1, 100000) as at",
        )
    for number, when in enumerate(("before analyze", "after analyze"), 77):
        first = number * 1_000
        with store.write() as tx:
            execute_sql(tx, "analyze former_emails" if when == "after analyze" else "select 1")
            later = tx.batches.add(batch_row(number))
            assert later
        emails = [f"u{at}@x.org" for at in range(first, first + 999)]
        emails[77] = f"f{number}@x.org"
        users = [user_row(later, at, email) for at, email in enumerate(emails)]
        with store.write() as tx, explained(tx, "explain") as lines:
            tx.users.insert(later.id, rows_of(users))
            freed = tx.emails.take_freed(later.id, users[0].user_id, users[-1].user_id, 7)
            assert [one.user_id for one in freed] == [f"usr_{number}"]
            assert len(tx.emails.list_freed(emails, 7)) == 1
        assert "Seq Scan" not in "\n".join(lines), when


TOKENS_BY_INDEX: dict[str, tuple[str, Callable[[Any], object]]] = {
    "by secret": ("tokens_hash_key", lambda tx: tx.tokens.get(token_row(7).hash)),
    "by id": ("tokens_pkey", lambda tx: tx.tokens.find("tok_7")),
    "by name": ("tokens_name", lambda tx: tx.tokens.find_named("name-7")),
    "of a user": ("tokens_name", lambda tx: tx.tokens.list_live("usr_7", 7)),
}


def test_an_index_finds_tokens(store: PostgresStore) -> None:
    with store.write() as tx:
        for number in range(3_000):
            user_id = f"usr_{number}" if number % 2 else None
            hash_ = number.to_bytes(32)
            assert tx.tokens.add(token_row(number, hash=hash_, user_id=user_id))
        execute_sql(tx, "analyze tokens")
    for what, (index, find) in TOKENS_BY_INDEX.items():
        with store.read() as tx, explained(tx, "explain") as lines:
            find(tx)
        plan = "\n".join(lines)
        assert f"using {index}" in plan, what
        assert "Seq Scan on tokens" not in plan, what


# The index of words


@pytest.mark.parametrize("analyzed", [False, True], ids=["before analyze", "after analyze"])
def test_an_index_finds_words_and_their_accounts(store: PostgresStore, analyzed: bool) -> None:
    batch = publish(store, [f"u{at}@x.org" for at in range(5_000)])
    with store.write() as tx:
        index_next(tx, 5_000)
    with store.write() as tx:
        execute_sql(tx, "analyze" if analyzed else "select 1")
    with store.read() as tx, explained(tx, "explain") as lines:
        found = tx.words.range(
            kind=OF_EMAIL,
            first="u1",
            end="u2",
            after=None,
            watermark=IndexPlace(1, 9_999),
            limit=10,
        )
    assert [word.word for word in found] == [word.email[:-6] for word in _accounts_of(found)]
    with store.write() as tx, explained(tx, "explain") as more:
        tx.accounts.delete_range(user_id_of(batch, 0), user_id_of(batch, 19))
    plan = "\n".join([*lines, *more])
    assert "Seq Scan on user" not in plan
    for index in ("user_words_pkey", "users_pkey"):
        assert f"using {index}" in plan


def _accounts_of(found: Sequence[FoundWord]) -> list[FoundUserRecord]:
    return [word.user for word in found if word.user]
