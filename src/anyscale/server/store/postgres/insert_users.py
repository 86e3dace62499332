"""How the PostgreSQL store inserts the users of a page, beside others that insert the same emails.

Nearly always every email is free, so the rows first go by a binary COPY straight into `users`. If
one is taken, that leaves nothing; then they go into a temporary table, and from there by one
statement, which costs twice as much as the COPY, into `users`. A statement sees what was committed
before it, so the one that looks for the owners of what was not inserted may find that they are
gone: then it is tried again.
"""

from collections.abc import Sequence
from typing import Any

from psycopg.errors import UniqueViolation

from anyscale.errors import StoreUnavailable
from anyscale.server.store.interface import EmailHolder, UserRecords
from anyscale.server.store.postgres.accounts import PostgresPeople
from anyscale.server.store.postgres.statements import TAKE_TURNS

__all__ = ["ENDED", "PostgresClaims"]

ENDED = ("dropped", "expired")

#: How often owners may vanish between two statements. Each time other transactions have ended.
_ROUNDS = 20

# Once a session: each transaction finds it empty.
_CLAIM = """
    create temporary table if not exists claim (
        user_id text collate "C", email_key text collate "C", name text, email text,
        lastname text, title text, is_sso_user boolean, hash_due boolean
    ) on commit delete rows
"""
_COPY = "copy claim from stdin (format binary)"
_TYPES = ("text", "text", "text", "text", "text", "text", "bool", "bool")

_COPY_FREE = """
    copy users (user_id, email_key, name, email, lastname, title, is_sso_user, hash_due, batch)
    from stdin (format binary)
"""
_FREE_TYPES = (*_TYPES, "int8")

# By email: whoever inserts the same emails at once then waits for the other one, and for nothing
# that waits for itself. Of two rows with one email the first one stands first.
_INSERT = """
    insert into users
        (batch, user_id, email_key, name, email, lastname, title, is_sso_user, hash_due)
    select %s, user_id, email_key, name, email, lastname, title, is_sso_user, hash_due
    from claim order by email_key, user_id
    on conflict (email_key) do nothing
"""

# `offset 0` keeps the planner, which knows nothing about a table that was just filled, from reading
# all users rather than looking up the few that it is about.
_OTHERS = """
    select claim.email_key, found.user_id, batch_id, state, opened_by, opened_at
    from claim left join lateral (
        select users.user_id, batch_id, state, opened_by, opened_at
        from users join batches on batches.id = users.batch
        where users.email_key = claim.email_key offset 0
    ) as found on true
    where found.user_id is distinct from claim.user_id
"""

_REMOVE_ENDED = """
    delete from users where user_id in
    (select user_id from users where user_id = any(%s) order by email_key for update)
"""

_REMOVE_RANGE = """
    delete from users where user_id in
    (select user_id from users where user_id >= %s and user_id < %s order by email_key for update)
"""


class PostgresClaims(PostgresPeople):
    """A part of `base.Transaction`."""

    _has_claimed = False

    def insert_users(self, batch: int, rows: UserRecords) -> Sequence[EmailHolder]:
        if self._insert_free(batch, rows):
            return []
        self._fill_claim(rows)
        return self._taking_turns(lambda: self._insert(batch, len(rows)))

    def remove_page(self, batch: int, number: int, first_id: str, end_id: str) -> None:
        self._hold_page(batch, number)
        self._taking_turns(lambda: self._execute(_REMOVE_RANGE, (first_id, end_id)))
        self._execute("delete from conflicts where batch = %s and page = %s", (batch, number))
        self._execute("delete from pages where batch = %s and number = %s", (batch, number))

    def _hold_page(self, batch: int, number: int) -> None:
        # As for the trail: the row need not be there to be locked. Else a page that is removed
        # while it is claimed could lose rows that its record counts.
        lock = "select pg_advisory_xact_lock(hashtextextended(%s, 0))"
        self._execute(lock, (f"page {number} of {batch}",))

    def _insert_free(self, batch: int, rows: UserRecords) -> bool:
        """Insert the rows if every email is free; say whether it was."""
        try:
            with (
                self._connection.transaction(),
                self._connection.cursor() as cursor,
                cursor.copy(_COPY_FREE) as copy,
            ):
                copy.set_types(_FREE_TYPES)
                last = (batch,)
                # By email, as below.
                for row in rows.by_email():
                    copy.write_row(row + last)
        except (UniqueViolation, *TAKE_TURNS):
            return False
        return True

    def _fill_claim(self, rows: UserRecords) -> None:
        if self._has_claimed:
            self._execute("delete from claim")
        else:
            self._execute(_CLAIM)
            self._has_claimed = True
        with self._connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            for row in rows:
                copy.write_row(row)

    def _insert(self, batch: int, count: int) -> Sequence[EmailHolder]:
        inserted = 0
        for _ in range(_ROUNDS):
            inserted += self._execute(_INSERT, (batch,)).rowcount
            others = self._others() if inserted < count else []
            ended = [row[1] for row in others if row[3] in ENDED]
            if ended:
                self._execute(_REMOVE_ENDED, (ended,))
            elif all(row[1] for row in others):
                return [EmailHolder(*row) for row in others]
        raise StoreUnavailable("others keep taking and freeing the same emails", begun=True)

    def _others(self) -> list[tuple[Any, ...]]:
        """Give the entries whose email is not theirs, with its owner, if there is one by now."""
        return self._execute(_OTHERS).fetchall()
