"""The table `users`: what both databases do alike."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import get_args

from anyscale.server.store.records.batches import AccountCounts, EmailHolder, PendingHash
from anyscale.server.store.records.search import SignIn
from anyscale.server.store.records.users import (
    AccountRecord,
    NewHash,
    NewUsers,
    ReservedHash,
    ReservedRecord,
    UserRecord,
)
from anyscale.server.store.sql.batches import DROPPED_OR_EXPIRED_SQL
from anyscale.server.store.sql.connection import Table, columns
from anyscale.server.store.sql.sign_in_methods import WITHOUT_CREDENTIALS, sign_in
from anyscale.server.store.user_ids import FIRST_ID, IDS_END, end_of_batch, id_prefix

_USER = f"select {columns(UserRecord)} from live_users"

_WITH_EMAILS = f"select {columns(UserRecord)} from {{live_users_with_emails}}"

_IN_RANGE = "where user_id > ? and user_id < ?"
_ACCOUNTS = f"from live_users {_IN_RANGE} order by user_id limit ?"

_HOLDERS = f"select {columns(EmailHolder)} from users join batches on batches.id = users.batch"

#: The rows of any batches that have one of some emails, or of some external ids.
HOLDERS = f"{_HOLDERS} where email_key {{any}}"
HOLDERS_OF_EXTERNAL_IDS = f"{_HOLDERS} where external_id {{any}}"
_LIVE = f"state not in {DROPPED_OR_EXPIRED_SQL}"

_WITH_HASH = "case when hash_due = {true} or password_hash is not null then 1 else 0 end"
_RESERVED = f"select {columns(ReservedRecord, has_password=_WITH_HASH)} from users"

_PENDING = f"select {columns(PendingHash)} from users where batch = ? and hash_due = {{true}}"


class Users(Table, ABC):
    """The rows of batches, published or not, and the listings of accounts."""

    @abstractmethod
    def insert(self, batch: int, users: NewUsers) -> Sequence[EmailHolder]:
        """Insert the users whose email and external id are free; return the holders of others."""

    @abstractmethod
    def save_hashes(self, batch: int, hashes: Iterable[NewHash]) -> int:
        """Store hashes in rows without one; return how many were stored."""

    @abstractmethod
    def delete(self, first_id: str, end_id: str) -> None:
        """Delete the rows from one `user_id` up to another one, which stays."""

    def find_holders(
        self, email_keys: Sequence[str], external_ids: Sequence[str] = ()
    ) -> Sequence[EmailHolder]:
        """Return the rows of open and published batches with some emails or external ids."""
        found = self._holders(f"{HOLDERS} and {_LIVE}", email_keys)
        if external_ids:
            found += self._holders(f"{HOLDERS_OF_EXTERNAL_IDS} and {_LIVE}", external_ids)
        return found

    def _holders(self, sql: str, values: Iterable[str]) -> list[EmailHolder]:
        return self._connection.all(EmailHolder, sql, self._connection.texts(values))

    def list_pending(self, batch: int, user_ids: Sequence[str]) -> Sequence[PendingHash]:
        """Return those of some rows whose password is not hashed yet."""
        sql = f"{_PENDING} and user_id {{any}}"
        return self._connection.all(PendingHash, sql, batch, self._connection.texts(user_ids))

    def list_reserved(self, batch: int, first_id: str, end_id: str) -> Sequence[ReservedRecord]:
        """Return the rows of a batch from one `user_id` up to another one, in order."""
        sql = f"{_RESERVED} where batch = ? and user_id >= ? and user_id < ? order by user_id"
        return self._connection.all(ReservedRecord, sql, batch, first_id, end_id)

    def list_hashes(self, batch: int, user_ids: Sequence[str]) -> Sequence[ReservedHash]:
        """Return the hashes that rows of a batch have, by `user_id`."""
        sql = (
            f"select {columns(ReservedHash)} from users"
            " where batch = ? and password_hash is not null and user_id {any} order by user_id"
        )
        return self._connection.all(ReservedHash, sql, batch, self._connection.texts(user_ids))

    def count_pending(self, batch: int, first_id: str = FIRST_ID, last_id: str = IDS_END) -> int:
        """Count the rows of a batch whose password is not hashed yet, from one id to another."""
        sql = (
            "select count(*) from users where batch = ? and hash_due = {true}"
            " and user_id >= ? and user_id <= ?"
        )
        return self._connection.number(sql, batch, first_id, last_id)

    def list_accounts(self, batch_id: str, after: str, limit: int) -> Sequence[AccountRecord]:
        """Return accounts of a published batch, by `user_id`, after one."""
        first, end = _id_range(batch_id, after)
        sql = f"select {columns(AccountRecord)} {_ACCOUNTS}"
        return self._connection.all(AccountRecord, sql, first, end, limit)

    def list_account_ids(self, batch_id: str, after: str, limit: int) -> Sequence[str]:
        """Return the ids of accounts of a published batch, in order, after one."""
        first, end = _id_range(batch_id, after)
        return self._connection.column(f"select user_id {_ACCOUNTS}", first, end, limit)

    def count_accounts(self, batch_id: str) -> AccountCounts:
        """Count the accounts of a published batch. It reads all of them, once."""
        first, end = _id_range(batch_id, "")
        # Not from `live_users`, which looks the same batch up for each of them, and not once.
        sql = (
            f"select count(*), count(case when {WITHOUT_CREDENTIALS} then 1 end) from users"
            " where user_id > ? and user_id < ? and exists"
            " (select 1 from batches where batch_id = ? and published_at is not null)"
        )
        counts = self._connection.one(AccountCounts, sql, first, end, batch_id)
        return counts or AccountCounts(0, 0)  # no row: no database can store such an id

    def list_created(self, batch_id: str, after: str, limit: int) -> Sequence[UserRecord]:
        """Return users of a published batch, by `user_id`, after one."""
        first, end = _id_range(batch_id, after)
        sql = f"select {columns(UserRecord)} {_ACCOUNTS}"
        return self._connection.all(UserRecord, sql, first, end, limit)

    def list_with_emails(self, email_keys: Sequence[str]) -> Sequence[UserRecord]:
        """Return the accounts that have one of some emails, in any order."""
        return self._connection.all(UserRecord, _WITH_EMAILS, self._connection.texts(email_keys))

    def list_with_external_ids(self, external_ids: Sequence[str]) -> Sequence[UserRecord]:
        """Return the accounts that have one of some external ids, in any order."""
        sql = f"{_USER} where external_id {{any}}"
        return self._connection.all(UserRecord, sql, self._connection.texts(external_ids))

    def list_with_ids(self, user_ids: Sequence[str]) -> Sequence[UserRecord]:
        """Return the accounts that have one of some ids, in the order of the ids."""
        if not user_ids:
            return []
        sql = f"{_USER} where user_id {{any}} order by user_id"
        return self._connection.all(UserRecord, sql, self._connection.texts(user_ids))

    def count(self, batch_id: str = "") -> Mapping[str, int]:
        """Count all accounts, or those of a batch, by how their users can sign in. Reads them."""
        # Not `group by`, for which SQLite sorts all accounts in memory. By the limit, which no
        # table reaches, how a user can sign in is found once, and not for each count.
        kinds = get_args(SignIn)
        counts = ", ".join(f"count(case when kind = '{kind}' then 1 end)" for kind in kinds)
        chosen, values = (_IN_RANGE, _id_range(batch_id, "")) if batch_id else ("", ())
        sql = (
            f"select {counts} from (select {sign_in('live_users')} as kind from live_users {chosen}"
            f" limit {2**63 - 1}) as kinds"
        )
        (row,) = self._connection.rows(sql, *values)
        return {kind: count for kind, count in zip(kinds, row, strict=True) if count}

    def list_named(self, name: str, after: str, limit: int) -> Sequence[UserRecord]:
        """Return accounts that have exactly this name, by `user_id`, after one."""
        sql = f"{_USER} where name = ? and user_id > ? order by user_id limit ?"
        return self._connection.all(UserRecord, sql, name, after, limit)

    def list_without_credentials(
        self, batch_id: str, after: str, limit: int
    ) -> Sequence[UserRecord]:
        """Return accounts without credentials of a published batch, by `user_id`, after one.

        With an empty `batch_id` it returns those of all batches.
        """
        first, end = _id_range(batch_id, after) if batch_id else (after or FIRST_ID, IDS_END)
        sql = (
            f"{_USER} where user_id > ? and user_id < ? and {WITHOUT_CREDENTIALS}"
            " order by user_id limit ?"
        )
        return self._connection.all(UserRecord, sql, first, end, limit)


def _id_range(batch_id: str, after: str) -> tuple[str, str]:
    """Return the bounds of the ids of a batch's users, after one of them; neither is one."""
    return max(after, id_prefix(batch_id)), end_of_batch(batch_id)
