"""The table `half_sign_ins`."""

from collections.abc import Sequence

from msgspec import structs

from anyscale.server.store.records.login import HalfSignInRecord
from anyscale.server.store.sql.connection import Table, columns, insert

__all__ = ["HalfSignIns"]

_ADD = insert("half_sign_ins", HalfSignInRecord)


class HalfSignIns(Table):
    """Sign-ins whose user has not shown the second factor yet. Lock the account before a change.

    Deleting all sessions of an account, by `Sessions`, deletes them too.
    """

    def add(self, half: HalfSignInRecord) -> None:
        self._connection.execute(_ADD, *structs.astuple(half))

    def get(self, half_hash: bytes) -> HalfSignInRecord | None:
        sql = f"select {columns(HalfSignInRecord)} from half_sign_ins where hash = ?"
        return self._connection.one(HalfSignInRecord, sql, half_hash)

    def set_path(self, half_hash: bytes, path: str) -> None:
        """Set where the user continues."""
        sql = "update half_sign_ins set path = ? where hash = ?"
        self._connection.execute(sql, path, half_hash)

    def delete(self, half_hash: bytes) -> None:
        self._connection.execute("delete from half_sign_ins where hash = ?", half_hash)

    def delete_of(self, user_ids: Sequence[str]) -> None:
        """Delete all half sign-ins of accounts."""
        ids = self._connection.texts(user_ids)
        self._connection.execute("delete from half_sign_ins where user_id {any}", ids)

    def purge(self, before: int) -> None:
        """Delete those that began before a time. Locked ones stay for now."""
        sql = (
            "delete from half_sign_ins where hash in"
            " (select hash from half_sign_ins where created_at < ? {skip_locked})"
        )
        self._connection.execute(sql, before)
