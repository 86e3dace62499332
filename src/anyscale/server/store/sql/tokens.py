"""The table `tokens`."""

from collections.abc import Sequence

from msgspec import structs

from anyscale.server.store.records import TokenRecord
from anyscale.server.store.sql.connection import Connection, columns, marks

__all__ = ["SqlTokens"]

_TOKEN = f"select {columns(TokenRecord)} from tokens"
_ADD = f"insert into tokens ({columns(TokenRecord)}) values ({marks(TokenRecord)})"

# The role that its owner has now. No join: for that SQLite reads the whole view.
_ROLE = (
    "coalesce((select permission_level from live_users"
    " where live_users.user_id = tokens.user_id), role)"
)
_LISTED = f"select {columns(TokenRecord, role=_ROLE)} from tokens"


class SqlTokens:
    """See `account_interface.Tokens`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, token: TokenRecord) -> bool:
        values = structs.astuple(token)
        return bool(self._connection.execute(f"{_ADD} on conflict do nothing", *values))

    def get(self, token_hash: bytes) -> TokenRecord | None:
        return self._connection.one(TokenRecord, f"{_TOKEN} where hash = ?", token_hash)

    def find(self, token_id: str) -> TokenRecord | None:
        return self._connection.one(TokenRecord, f"{_TOKEN} where token_id = ?", token_id)

    def find_named(self, name: str) -> TokenRecord | None:
        # As the index has it.
        sql = f"{_TOKEN} where coalesce(user_id, '') = '' and name = ? and revoked_at is null"
        return self._connection.one(TokenRecord, sql, name)

    def exists(self) -> bool:
        return bool(self._connection.rows("select 1 from tokens limit 1"))

    def list(self) -> Sequence[TokenRecord]:
        return self._connection.all(TokenRecord, f"{_LISTED} order by token_id")

    def list_personal(self, user_id: str) -> Sequence[TokenRecord]:
        sql = f"{_LISTED} where user_id = ? order by token_id"
        return self._connection.all(TokenRecord, sql, user_id)

    def touch(self, token_id: str, at: int) -> None:
        # Of two calls at once one sets the time, and neither waits for the other.
        sql = (
            "update tokens set used_at = ? where token_id in"
            " (select token_id from tokens where token_id = ? {skip_locked})"
        )
        self._connection.execute(sql, at, token_id)

    def revoke(self, token_id: str, by: str, at: int) -> None:
        sql = (
            "update tokens set revoked_by = ?, revoked_at = ?"
            " where token_id = ? and revoked_at is null"
        )
        self._connection.execute(sql, by, at, token_id)
