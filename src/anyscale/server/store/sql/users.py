"""The table `users`: what both databases do alike."""

from collections.abc import Sequence

from anyscale.server.store.records import (
    CreatedUserRecord,
    EmailHolder,
    PendingHash,
    UserRecord,
)
from anyscale.server.store.sql.connection import Connection, columns

__all__ = ["SqlUsers"]

_USER = f"select {columns(UserRecord)} from live_users"

_CREATED = (
    f"select {columns(CreatedUserRecord)} from live_users"
    " where user_id > ? and user_id < ? order by user_id limit ?"
)

_HOLDERS = (
    f"select {columns(EmailHolder)} from users join batches on batches.id = users.batch"
    " where email_key {any} and state not in ('dropped', 'expired')"
)

_PENDING = f"select {columns(PendingHash)} from users where batch = ? and hash_due = {{true}}"

_WITHOUT_CREDENTIALS = (
    "from live_users where user_id > ? and user_id < ? and password_hash is null"
    " and suspended_at is null and not (is_sso_user and ?)"
)


class SqlUsers:
    """What a store adds to its own insert, save and delete: see `batch_interface.Users`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find_holders(self, email_keys: Sequence[str]) -> Sequence[EmailHolder]:
        return self._connection.all(EmailHolder, _HOLDERS, self._connection.texts(email_keys))

    def list_pending(self, batch: int, user_ids: Sequence[str]) -> Sequence[PendingHash]:
        sql = f"{_PENDING} and user_id {{any}}"
        return self._connection.all(PendingHash, sql, batch, self._connection.texts(user_ids))

    def count_pending(self, batch: int) -> int:
        sql = "select count(*) from users where batch = ? and hash_due = {true}"
        return self._connection.number(sql, batch)

    def list_created(self, batch_id: str, after: str, limit: int) -> Sequence[CreatedUserRecord]:
        first, end = _id_range(batch_id, after)
        return self._connection.all(CreatedUserRecord, _CREATED, first, end, limit)

    def list(
        self, *, email: str, name: str, suspended: bool = False, after: str, limit: int
    ) -> Sequence[UserRecord]:
        sql, values = f"{_USER} where user_id > ?", [after]
        if email:
            sql += " and ({strpos}(email_key, ?) > 0 or {strpos}(email_folded, ?) > 0)"
            values += [email, email]
        if name:
            sql += " and {strpos}(name_folded, ?) > 0"
            values.append(name)
        if suspended:
            sql += " and suspended_at is not null"
        return self._connection.all(UserRecord, f"{sql} order by user_id limit ?", *values, limit)

    def list_named(self, name: str, limit: int) -> Sequence[UserRecord]:
        sql = f"{_USER} where name = ? order by user_id limit ?"
        return self._connection.all(UserRecord, sql, name, limit)

    def list_without_credentials(
        self, batch_id: str, *, sso: bool, after: str, limit: int
    ) -> Sequence[UserRecord]:
        first, end = _id_range(batch_id, after)
        sql = f"select {columns(UserRecord)} {_WITHOUT_CREDENTIALS} order by user_id limit ?"
        return self._connection.all(UserRecord, sql, first, end, sso, limit)

    def count_without_credentials(self, batch_id: str, *, sso: bool) -> int:
        first, end = _id_range(batch_id, "")
        return self._connection.number(f"select count(*) {_WITHOUT_CREDENTIALS}", first, end, sso)


def _id_range(batch_id: str, after: str) -> tuple[str, str]:
    """Return between which ids those of a batch's users are, after one of them."""
    prefix = "usr_" + batch_id.removeprefix("bat_")
    return max(after, prefix), prefix + "g"
