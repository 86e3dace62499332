"""The table `tokens`."""

from collections.abc import Sequence

from msgspec import structs

from anyscale.server.store.records.tokens import TokenRecord
from anyscale.server.store.sql.connection import Table, columns, insert

_TOKEN = f"select {columns(TokenRecord)} from tokens"
_ADD = insert("tokens", TokenRecord)

# The role that the owner of the token has now. No join, for which SQLite would read the whole view.
_ROLE = (
    "coalesce((select permission_level from live_users"
    " where live_users.user_id = tokens.user_id), role)"
)
_LISTED = f"select {columns(TokenRecord, role=_ROLE)} from tokens"


class Tokens(Table):
    """API tokens."""

    def add(self, token: TokenRecord) -> bool:
        """Insert a token; return False if its name or its form key is in use."""
        values = structs.astuple(token)
        return bool(self._connection.execute(f"{_ADD} on conflict do nothing", *values))

    def get(self, token_hash: bytes) -> TokenRecord | None:
        return self._connection.one(TokenRecord, f"{_TOKEN} where hash = ?", token_hash)

    def lock(self, token_hash: bytes, *, exclusive: bool) -> None:
        """Lock a token until the transaction ends, before revoking or while using it."""
        # Not the row: many calls at a time use a token, and an exclusive lock on a row waits until
        # no shared one is left. This one comes before the shared ones that are requested later.
        self._connection.lock(int.from_bytes(token_hash[:8], signed=True), shared=not exclusive)

    def find(self, token_id: str) -> TokenRecord | None:
        return self._connection.one(TokenRecord, f"{_TOKEN} where token_id = ?", token_id)

    def of_form(self, form_key: str) -> TokenRecord | None:
        return self._connection.one(TokenRecord, f"{_TOKEN} where form_key = ?", form_key)

    def find_named(self, name: str) -> TokenRecord | None:
        """Return the token with a name that is not revoked and has no owner."""
        # `coalesce` is part of the index, which is not used without it.
        sql = f"{_TOKEN} where coalesce(user_id, '') = '' and name = ? and revoked_at is null"
        return self._connection.one(TokenRecord, sql, name)

    def exists(self) -> bool:
        return bool(self._connection.rows("select 1 from tokens limit 1"))

    def list(self) -> Sequence[TokenRecord]:
        """Return all tokens by `token_id`, personal ones with the role of their owner."""
        return self._connection.all(TokenRecord, f"{_LISTED} order by token_id")

    def list_live(self, user_id: str, now: int) -> Sequence[TokenRecord]:
        """Return the valid tokens of a user, the latest first, with the role of the user."""
        sql = (  # by the index of the names, which has no revoked ones
            f"{_LISTED} where coalesce(user_id, '') = ? and revoked_at is null"
            " and (expires_at is null or expires_at > ?) order by token_id desc"
        )
        return self._connection.all(TokenRecord, sql, user_id, now)

    def count_created(self, user_id: str, since: int) -> int:
        """Count the tokens that a user created since a time, also revoked and expired ones."""
        sql = "select count(*) from tokens where user_id = ? and created_at > ?"
        return self._connection.number(sql, user_id, since)

    def touch(self, token_id: str, at: int) -> None:
        """Set when a token was last used, unless another transaction has it locked."""
        sql = (
            "update tokens set used_at = ? where token_id in"
            " (select token_id from tokens where token_id = ? {skip_locked})"
        )
        self._connection.execute(sql, at, token_id)

    def revoke(self, token_id: str, by: str, at: int) -> None:
        """Revoke a token that is not revoked."""
        sql = (
            "update tokens set revoked_by = ?, revoked_at = ?"
            " where token_id = ? and revoked_at is null"
        )
        self._connection.execute(sql, by, at, token_id)

    def purge(self, before: int) -> None:
        """Delete the tokens revoked or expired before a time. Locked ones stay for now."""
        sql = (
            "delete from tokens where token_id in (select token_id from tokens"
            " where revoked_at < ? or expires_at < ? {skip_locked})"
        )
        self._connection.execute(sql, before, before)
