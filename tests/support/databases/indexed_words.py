"""The words that the index has, and those that the accounts should have."""

from typing import Any

from tests.support.databases.stored_data import execute_sql

from anyscale.server.store.records.search import IndexPlace
from anyscale.server.store.transaction import Store, Transaction
from anyscale.server.store.word_rows import SegmentWords
from anyscale.server.store.words import words_of

Row = tuple[int, str, int, int]


def index_next(tx: Transaction, limit: int) -> IndexPlace:
    """Give the next accounts their words in one transaction; return the watermark."""
    accounts, end = tx.unindexed.list(tx.words.lock().watermark, limit)
    words = SegmentWords()
    words.add(accounts)
    tx.words.add(list(words.rows()))
    tx.words.finish(end)
    return end


def indexed_words(store: Store) -> list[Row]:
    """Return all rows of the index, in order: kind, word, publication, position."""
    sql = "select kind, word, publication, position from user_words"
    with store.read() as tx:
        rows: list[Any] = execute_sql(tx, sql).fetchall()
    return sorted(tuple(row) for row in rows)


def words_of_accounts(store: Store) -> list[Row]:
    """Return the rows that the index should have when it is filled."""
    sql = "select name, lastname, email, publication, user_id from live_users"
    with store.read() as tx:
        accounts: list[Any] = execute_sql(tx, sql).fetchall()
    return sorted(
        (kind, word, publication, int(user_id[-8:], 16))
        for name, lastname, email, publication, user_id in accounts
        for word, kind in words_of(name, lastname, email).items()
    )
