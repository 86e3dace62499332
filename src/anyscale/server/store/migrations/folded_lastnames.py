"""Step 5, after its SQL: the last names that Python casefolds."""

from anyscale.server.store.sql.connection import Connection

__all__ = ["fold_lastnames"]

#: users that are in memory at a time
_SLICE = 10_000

_NOT_ASCII = (
    "select user_id, lastname from users where user_id > ? and lastname is not null"
    " and length(lastname) < octet_length(lastname) order by user_id limit ?"
)

_FOLD = "update users set lastname_folded = ? where user_id = ?"


def fold_lastnames(connection: Connection) -> None:
    """Fill `lastname_folded` of the users whose last name is not ASCII, slice by slice."""
    after = ""
    while rows := connection.rows(_NOT_ASCII, after, _SLICE):
        values = [(lastname.casefold(), user_id) for user_id, lastname in rows]
        connection.execute_many(_FOLD, values)
        after = rows[-1][0]
