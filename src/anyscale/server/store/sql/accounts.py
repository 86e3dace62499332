"""The table `users`, where a row is an account, and all that belongs to an account."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import structs

from anyscale.domain.schemas.users import Role
from anyscale.server.store.records.search import AccountTextsRecord, DeletedAccountRecord
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.sql.connection import Connection, Table, columns
from anyscale.server.store.sql.search.user_words import Words
from anyscale.server.store.words import searchable

#: The number that stands for all owners in locks. Any number, but the same in all versions.
_OWNERS_LOCK = 0x6D757374_6F776E72

_ACCOUNT = f"select {columns(AccountRecord)} from live_users"

# It reads the table and not the view `live_users`: a lock on rows of the view would lock the batch
# too.
_LOCK = (
    f"select {columns(AccountRecord, created_at='published_at')}"
    " from users join batches on batches.id = users.batch and published_at is not null"
    " where user_id {any} order by user_id {for_update_of_users}"
)

_OWNERS = (
    "select user_id from live_users where permission_level = 'owner'"
    " and suspended_at is null order by user_id"
)

# A row of a batch that is not published is not an account.
_IS_ACCOUNT = (
    "user_id = ? and exists"
    " (select 1 from batches where batches.id = users.batch and published_at is not null)"
)

_TEXTS = f"select {columns(AccountTextsRecord)} from live_users where user_id = ?"

_PUBLICATION = "(select publication from batches where batches.id = users.batch)"
# A range of ids costs one look-up in an index, and a list of ids costs one for each id. In an empty
# table, such as the sessions of unused accounts, a list of 500 ids takes 50 times as long.
_RANGE = "where user_id >= ? and user_id <= ?"
_KEEPING = "and not user_id {any}"
_DELETED = columns(DeletedAccountRecord, publication=_PUBLICATION)
_DELETED_TEXTS = columns(AccountTextsRecord, publication=_PUBLICATION)

_BELONGINGS = (
    "grants",
    "sessions",
    "half_sign_ins",
    "factors",
    "recovery_codes",
    "factor_states",
    "devices",
    "links",
    "outbox",
    "identities",
    "tokens",
)

# Accounts that nobody has used have hardly any of these rows, and few databases have conflicts: one
# statement that looks saves an undo a statement for each table.
_WITH_ACCOUNTS = (*_BELONGINGS, "former_emails")
_FIND_TABLES = "".join(
    f"select '{table}' where exists"
    f" (select 1 from {table} where user_id >= ? and user_id <= ?) union all "
    for table in _WITH_ACCOUNTS
)
_FIND_TABLES += "select 'conflicts' where exists (select 1 from conflicts where email_key <> '')"

# In the order of the key, so that transactions that change the same conflicts cannot deadlock.
_CLEAR_CONFLICTS = (
    "update conflicts set email = '', email_key = '', external_id = null"
    " where (batch, position) in"
    " (select batch, position from conflicts where {} {{any}} and email_key <> ''"
    " order by batch, position {{for_update}})"
)
_CLEAR_CONFLICTS_OF_EMAILS = _CLEAR_CONFLICTS.format("email_key")
_CLEAR_CONFLICTS_OF_EXTERNAL_IDS = _CLEAR_CONFLICTS.format("external_id")


class Accounts(Table):
    """The users of published batches, one by one. Their words change with them."""

    def __init__(self, connection: Connection, words: Words) -> None:
        super().__init__(connection)
        self._words = words

    def get(self, user_id: str) -> AccountRecord | None:
        return self._connection.one(AccountRecord, f"{_ACCOUNT} where user_id = ?", user_id)

    def find(self, email_key: str) -> AccountRecord | None:
        return self._connection.one(AccountRecord, f"{_ACCOUNT} where email_key = ?", email_key)

    def lock(self, user_ids: Collection[str]) -> Mapping[str, AccountRecord]:
        """Lock accounts in the order of their ids, and return those that exist, by id.

        Lock an account before changing it or any other row of it. It waits for `lock_owner`.
        """
        found = self._connection.all(AccountRecord, _LOCK, self._connection.texts(user_ids))
        # After the rows: only their order keeps two transactions from waiting for each other.
        for account in found:
            if account.permission_level == "owner":
                self._connection.lock(_number_of(account.user_id))
        return {account.user_id: account for account in found}

    def lock_owner(self, user_id: str) -> None:
        """Lock an owner's account against changes, in one of several transactions at once."""
        # Not the row: an exclusive lock on a row waits until no shared one is left, so an owner
        # whose calls overlap could never be suspended. See `Tokens.lock`.
        self._connection.lock(_number_of(user_id), shared=True)

    def lock_owners(self) -> Sequence[str]:
        """Lock the owners; return the ids of those that are not suspended, in order."""
        # Locks on rows would not stop a transaction that makes another account an owner.
        self._connection.lock(_OWNERS_LOCK)
        return self.list_owners()

    def set_password(self, user_id: str, password_hash: str, at: int | None) -> None:
        """Replace the hash of the password, chosen `at` a time; None leaves that time as it is.

        The hash is one of ours: it is imported no more.
        """
        change = "password_hash = ?, password_set_at = coalesce(?, password_set_at)"
        change += ", imported_ms = null"
        self._update(user_id, change, password_hash, at)

    def count_imported(self) -> int:
        """Count the accounts whose hash another system has made."""
        return self._connection.number(
            "select count(*) from live_users where imported_ms is not null"
        )

    def slowest_imported(self) -> int:
        """Return the milliseconds of the slowest hash that another system has made; 0 for none."""
        return self._connection.number(
            "select coalesce(max(imported_ms), 0) from users where imported_ms is not null"
        )

    def mark_used(self, user_id: str, at: int) -> None:
        """Set when an account was first used; a later time is ignored."""
        sql = f"update users set used_at = ? where {_IS_ACCOUNT} and used_at is null"
        self._connection.execute(sql, at, user_id)

    def mark_signed_in(self, user_id: str, at: int, day: int) -> None:
        """Set the day of the last sign-in, and `at` as the first use of an unused account."""
        self._update(user_id, "used_at = coalesce(used_at, ?), last_sign_in = ?", at, day)

    def set_suspended(
        self, user_id: str, at: int | None, *, by_sync: bool = False, key: str | None = None
    ) -> None:
        """Set since when an account is suspended, and whether by a sync; None restores it.

        `key` is that of a form which does so with many accounts. An account that it restores may
        keep `by_sync`, for the undo.
        """
        change = "suspended_at = ?, suspended_by_sync = ?, suspension_key = ?"
        self._update(user_id, change, at, by_sync, key)

    def set_all_suspended(self, user_ids: Sequence[str], at: int | None, key: str) -> None:
        """Do so, with a key, for locked accounts, which keep whether it is by a sync."""
        sql = "update users set suspended_at = ?, suspension_key = ? where user_id {any}"
        self._connection.execute(sql, at, key, self._connection.texts(user_ids))

    def set_all_by_hand(self, user_ids: Sequence[str]) -> None:
        """Make the suspensions of locked accounts manual ones, which belong to no form."""
        sql = (
            "update users set suspended_by_sync = {false}, suspension_key = null"
            " where user_id {any}"
        )
        self._connection.execute(sql, self._connection.texts(user_ids))

    def list_changed_with(self, key: str, *, suspended: bool) -> Sequence[str]:
        """Return the ids of the accounts with the key of a form that are suspended, or are not."""
        state = "is not null" if suspended else "is null"
        sql = (
            f"select user_id from live_users where suspension_key = ? and suspended_at {state}"
            " order by user_id"
        )
        return self._connection.column(sql, key)

    def set_role(self, user_id: str, permission_level: Role) -> None:
        self._update(user_id, "permission_level = ?", permission_level)

    def set_details(self, user_id: str, **details: Any) -> None:
        """Replace fields of `UserChanges` of a locked account, but not its email."""
        columns = details | _folded(details)
        change = ", ".join(f"{column} = ?" for column in columns)
        texts = self._connection.one(AccountTextsRecord, _TEXTS, user_id)
        self._update(user_id, change, *columns.values())
        if texts:
            names = {field: details[field] for field in ("name", "lastname") if field in details}
            self._words.replace(texts, structs.replace(texts, **names))

    def delete(self, user_id: str) -> None:
        """Delete an account as `delete_range` does."""
        # The lock comes first: it waits for a sign-in in progress, whose session is then deleted
        # too.
        sql = f"select user_id from users where {_IS_ACCOUNT} {{for_update}}"
        for found in self._connection.column(sql, user_id):
            self.delete_range(found, found)

    def list_owners(self) -> Sequence[str]:
        """Return the ids of the owners that are not suspended, in order."""
        return self._connection.column(_OWNERS)

    def delete_range(self, first: str, last: str, *, keep: Collection[str] = ()) -> None:
        """Delete locked accounts with all that belongs to them, former emails too.

        In conflicts of batches their emails, in any spelling, become empty texts.

        Args:
            first: the `user_id` of the first account.
            last: the `user_id` of the last account, of the same batch.
            keep: the ids of those between them that stay.
        """
        found = self._connection.column(_FIND_TABLES, *(first, last) * len(_WITH_ACCOUNTS))
        which, values = _RANGE, [first, last]
        if keep:
            which, values = f"{_RANGE} {_KEEPING}", [first, last, self._connection.texts(keep)]
        for table in _BELONGINGS:
            if table in found:
                self._connection.execute(f"delete from {table} {which}", *values)
        former = list[str]()
        if "former_emails" in found:
            sql = f"delete from former_emails {which} returning email_key"
            former = self._connection.column(sql, *values)
        self._words.remove(self._delete_accounts(which, values, former, found))

    def _delete_accounts(
        self, which: str, values: Sequence[Any], former: Sequence[str], found: Collection[str]
    ) -> Sequence[AccountTextsRecord]:
        """Delete accounts, whose emails become empty texts in conflicts; return their texts."""
        delete = f"delete from users {which} returning"
        if "conflicts" not in found:  # as nearly always; each column of a row takes time
            return self._connection.all(AccountTextsRecord, f"{delete} {_DELETED_TEXTS}", *values)
        deleted = self._connection.all(DeletedAccountRecord, f"{delete} {_DELETED}", *values)
        keys = self._connection.texts([*(account.email_key for account in deleted), *former])
        self._connection.execute(_CLEAR_CONFLICTS_OF_EMAILS, keys)
        ids = self._connection.texts(one.external_id for one in deleted if one.external_id)
        self._connection.execute(_CLEAR_CONFLICTS_OF_EXTERNAL_IDS, ids)
        return deleted

    def _update(self, user_id: str, change: str, *values: object) -> None:
        sql = f"update users set {change} where {_IS_ACCOUNT}"
        self._connection.execute(sql, *values, user_id)


def _number_of(user_id: str) -> int:
    """Return the number that stands for an account in locks."""
    return int.from_bytes(hashlib.sha256(user_id.encode()).digest()[:8], signed=True)


def _folded(details: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the columns with the folded texts of some fields: see `NewUserRecord`."""
    folded: dict[str, str | None] = {}
    if "name" in details:
        folded["name_folded"] = searchable(details["name"])
    if "lastname" in details:
        text = details["lastname"] or ""
        folded["lastname_folded"] = None if text.isascii() else searchable(text)
    return folded
