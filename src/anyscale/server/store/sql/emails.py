"""Changes of the emails of accounts, and the table `former_emails`."""

from collections.abc import Sequence

from msgspec import structs

from anyscale.server.store.records.batches import EmailHolder
from anyscale.server.store.records.search import AccountTextsRecord
from anyscale.server.store.records.users import FreedEmailRecord, NewEmail
from anyscale.server.store.sql.batches import DROPPED_OR_EXPIRED_SQL
from anyscale.server.store.sql.connection import Connection, Table, columns
from anyscale.server.store.sql.search.user_words import Words
from anyscale.server.store.sql.users import HOLDERS
from anyscale.server.store.words import searchable

#: the number of no batch
_NO_BATCH = 0

#: the columns of a row that reserves an email or an external id
PLACEHOLDER_COLUMNS = {
    "user_id": "text",
    "batch": "int8",
    "email_key": "text",
    "email": "text",
    "name": "text",
    "is_sso_user": "bool",
    "name_folded": "text",
    "hash_due": "bool",
    "external_id": "text",
}

_TEXTS = (
    f"select {columns(AccountTextsRecord)} from live_users where user_id {{any}} order by user_id"
)

_FREED = f"select {columns(FreedEmailRecord)} from former_emails where freed_at > ?"
# In the order of the index: a scan of the table would read all that were freed earlier.
_LAST_FREED = "select freed_at from former_emails where freed_at > ? order by freed_at desc limit 1"
_FREED_IN_BATCH = (
    f"{_FREED} and email_key in"
    " (select email_key from users where user_id >= ? and user_id <= ? and batch = ?)"
    " order by freed_at"
)

_ADD_FORMER = (
    "insert into former_emails (email_key, user_id, freed_at)"
    " select email_key, user_id, ? from users where user_id {any}"
)
# Without the account: who it was is deleted. Of several accounts that had an email, the last one
# that gave it up counts, whichever is deleted first.
_FREE_OF_DELETED = (
    "insert into former_emails (email_key, user_id, freed_at)"
    " select email_key, '', freed_at from former_emails where user_id = ? and freed_at > ?"
    " union all select email_key, '', ? from users where user_id = ?"
    " on conflict (email_key, user_id) do update set freed_at = excluded.freed_at"
    " where excluded.freed_at > former_emails.freed_at"
)
_DELETE_OWN = (
    "delete from former_emails where user_id {any} and email_key ="
    " (select email_key from users where users.user_id = former_emails.user_id)"
)
_SET = "update users set email_key = ?, email = ?, email_folded = ? where user_id = ?"


def delete_obsolete(column: str) -> str:
    """Return the statement that deletes rows of discarded batches with some values of a column."""
    # In the order of the key, so that two transactions that delete the same rows cannot deadlock.
    return (
        "delete from users where user_id in"
        " (select user_id from users join batches on batches.id = users.batch"
        f" where {column} {{any}} and state in {DROPPED_OR_EXPIRED_SQL}"
        " order by email_key {for_update_of_users})"
    )


def placeholder(
    user_id: str, email_key: str, external_id: str | None = None
) -> Sequence[str | int | bool | None]:
    """Return the row that reserves an email or an external id, as a batch would insert it.

    A transaction that wants the same one waits, and an `update` would fail where this finds the
    row that has it.
    """
    return user_id, _NO_BATCH, email_key, "", "", False, "", False, external_id


_DELETE_OBSOLETE = delete_obsolete("email_key")


class Emails(Table):
    """The emails of accounts, as they change: those that they get, and those that they had."""

    def __init__(self, connection: Connection, words: Words) -> None:
        super().__init__(connection)
        self._words = words

    def reserve(self, emails: Sequence[NewEmail]) -> Sequence[EmailHolder]:
        """Reserve emails for locked accounts until the transaction ends.

        Returns the holders of those that are taken, by rows of other accounts or batches. An email
        that one of these accounts has is free for another one of them.
        """
        keys = self._connection.texts(new.email_key for new in emails)
        self._connection.execute(_DELETE_OBSOLETE, keys)
        in_order = sorted(emails, key=lambda new: new.email_key)
        rows = [placeholder(_placeholder_id(new), new.email_key) for new in in_order]
        self._connection.insert_missing("users", PLACEHOLDER_COLUMNS, rows)
        own = {new.user_id for new in emails}
        holders = self._connection.all(EmailHolder, HOLDERS, keys)
        return [holder for holder in holders if holder.user_id not in own]

    def replace(self, emails: Sequence[NewEmail], at: int) -> None:
        """Replace the emails of locked accounts by those that are reserved for them.

        Each former email is free since `at` a time, unless it is the account's in another spelling.
        """
        ids = self._connection.texts(new.user_id for new in emails)
        before = self._connection.all(AccountTextsRecord, _TEXTS, ids)
        self._connection.execute(_ADD_FORMER, at, ids)
        placeholders = self._connection.texts(map(_placeholder_id, emails))
        self._connection.execute("delete from users where user_id {any}", placeholders)
        # Accounts may swap their emails, and no two rows ever have one: an id is not an email.
        self._connection.execute("update users set email_key = user_id where user_id {any}", ids)
        for new in emails:
            folded = None if new.email.isascii() else searchable(new.email)
            values = new.email_key, new.email, folded, new.user_id
            self._connection.execute(_SET, *values)
        self._connection.execute(_DELETE_OWN, ids)
        replaced = {new.user_id: new.email for new in emails}
        for old in before:
            self._words.replace(old, structs.replace(old, email=replaced[old.user_id]))

    def free(self, user_id: str, at: int, since: int) -> None:
        """Free the emails of an account that is to be deleted, with no word of whose they were.

        Its present email is free since `at` a time, and the former ones since theirs, if that is
        after `since`.
        """
        self._connection.execute(_FREE_OF_DELETED, user_id, since, at, user_id)

    def purge(self, before: int) -> None:
        """Delete the emails of deleted accounts that have been free since before a time."""
        sql = "delete from former_emails where user_id = '' and freed_at <= ?"
        self._connection.execute(sql, before)

    def list_freed(self, email_keys: Sequence[str], since: int) -> Sequence[FreedEmailRecord]:
        """Return who had some emails until a time after `since`, the last one last."""
        sql = f"{_FREED} and email_key {{any}} order by freed_at"
        return self._connection.all(
            FreedEmailRecord, sql, since, self._connection.texts(email_keys)
        )

    def take_freed(
        self, batch: int, first_id: str, last_id: str, since: int
    ) -> Sequence[FreedEmailRecord]:
        """Delete the rows of an open batch whose emails accounts had until a time after `since`.

        It looks at the rows from one `user_id` to another, and returns who had the emails, the last
        one last. Run it after `users.insert`: only then can no account give up these emails.
        """
        # Most batches are created while no email is free for so short a time.
        if not self._connection.column(_LAST_FREED, since):
            return []
        values = since, first_id, last_id, batch
        found = self._connection.all(FreedEmailRecord, _FREED_IN_BATCH, *values)
        if found:
            keys = self._connection.texts(freed.email_key for freed in found)
            sql = "delete from users where batch = ? and email_key {any}"
            self._connection.execute(sql, batch, keys)
        return found


def _placeholder_id(new: NewEmail) -> str:
    """Return the id of the row that reserves an email."""
    return f"new_{new.user_id}"
