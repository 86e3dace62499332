"""Step 4, after its SQL: the texts that Python casefolds, and keys of emails with a final sigma."""

from collections.abc import Sequence

from anyscale.errors import StoreUnavailable
from anyscale.server.store.sql.connection import Connection

__all__ = ["fold_texts"]

#: users that are in memory at a time
_SLICE = 10_000

_IN_SLICE = "user_id > ? and user_id <= ?"

_END = (
    "select max(user_id) from"
    " (select user_id from users where user_id > ? order by user_id limit ?) as slice"
)

_FOLD_ASCII = f"update users set name_folded = lower(name) where {_IN_SLICE} and name_folded = ''"

_NOT_ASCII = (
    f"select user_id, name, email, email_key from users where {_IN_SLICE}"
    " and (length(name) < octet_length(name) or length(email) < octet_length(email))"
)

_HOLDER = (
    "select user_id, email, state, batch_id from users join batches on batches.id = users.batch"
    " where {column} = ?"
)

_CLASH = (
    "two users have the same email, now that a final sigma (\u03c2) in an email is a sigma"
    " (\u03c3): {one} and {other}. Nothing was changed. Go back to the version of musterroll that"
    " used this database last, and there delete one of the two accounts (`anyscale user delete"
    " EMAIL`) or drop the open batch (`anyscale batch drop BATCH_ID`); then start this version"
)


def fold_texts(connection: Connection) -> None:
    """Fill `name_folded` and `email_folded` of all users, slice by slice, and correct their keys.

    Raises:
        StoreUnavailable: two users would have the same key.
    """
    after = ""
    while end := connection.column(_END, after, _SLICE)[0]:
        # On SQLite. On PostgreSQL the SQL has done this, which is faster there.
        connection.execute(_FOLD_ASCII, after, end)
        _fold_others(connection, connection.rows(_NOT_ASCII, after, end))
        after = end


def _fold_others(connection: Connection, rows: Sequence[tuple[str, str, str, str]]) -> None:
    for user_id, _, _, key in rows:
        if "\u03c2" in key:
            _correct_key(connection, user_id, key.replace("\u03c2", "\u03c3"))
    connection.execute_many(
        "update users set name_folded = ?, email_folded = ? where user_id = ?",
        [(name.casefold(), _email_folded(email), user_id) for user_id, name, email, _ in rows],
    )


def _email_folded(email: str) -> str | None:
    return None if email.isascii() else email.casefold()


def _correct_key(connection: Connection, user_id: str, key: str) -> None:
    sql = _HOLDER.format(column="users.user_id")
    own = connection.rows(sql, user_id)[0]
    for other in connection.rows(_HOLDER.format(column="email_key"), key):
        ended = next((row for row in (other, own) if row[2] in ("dropped", "expired")), None)
        if ended is None:
            raise StoreUnavailable(_CLASH.format(one=_described(own), other=_described(other)))
        # Nothing needs a row of a batch that ended.
        connection.execute("delete from users where user_id = ?", ended[0])
    connection.execute("update users set email_key = ? where user_id = ?", key, user_id)


def _described(row: tuple[str, str, str, str]) -> str:
    user_id, email, state, batch_id = row
    return f"{email} (of the open batch {batch_id})" if state == "open" else f"{email} ({user_id})"
