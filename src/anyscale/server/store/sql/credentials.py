"""The tables `links` and `identities`."""

from collections.abc import Sequence

from msgspec import structs

from anyscale.server.store.records.login import LinkRecord, UnusedLinks
from anyscale.server.store.sql.connection import Table, columns, insert, upsert
from anyscale.server.store.sql.sign_in_methods import ADMIN_LINK, WITHOUT_CREDENTIALS
from anyscale.server.store.user_ids import end_of_batch, id_prefix

_ADD = insert("links", LinkRecord)
_REPLACE = upsert("links", LinkRecord, "user_id, kind, mail")

# The order is for the locks: two transactions that delete the same links cannot deadlock.
_DELETE = (
    "delete from links where hash in"
    " (select hash from links where {which} order by user_id, kind, mail {for_update})"
)

#: also if the database can store none of the ids
_NONE = UnusedLinks(0, 0, 0)

_UNUSED = (
    "select count(*), coalesce(max(links.created_at), 0), coalesce(min(links.expires_at), 0)"
    " from links"
)


class Links(Table):
    """One-time links to set a password.

    An account has one of each kind that was delivered, and those that are being mailed.
    """

    def replace(self, link: LinkRecord) -> None:
        """Insert the link of an account in place of all its previous ones of the same kind."""
        self._connection.execute(_REPLACE, *structs.astuple(link))
        self._delete("user_id = ? and kind = ? and hash <> ?", link.user_id, link.kind, link.hash)

    def add(self, link: LinkRecord) -> None:
        """Insert a link that is being mailed. The previous ones of its account stay."""
        self._connection.execute(_ADD, *structs.astuple(link))

    def deliver(self, link_hash: bytes) -> None:
        """Let a link whose mail was accepted replace the earlier ones of its account and kind.

        It may be deleted by now, and a later mail may be on its way.
        """
        if link := self.get(link_hash):
            earlier = "user_id = ? and kind = ? and created_at <= ? and hash <> ?"
            self._delete(earlier, link.user_id, link.kind, link.created_at, link_hash)
            self._connection.execute("update links set mail = '' where hash = ?", link_hash)

    def get(self, link_hash: bytes) -> LinkRecord | None:
        sql = f"select {columns(LinkRecord)} from links where hash = ?"
        return self._connection.one(LinkRecord, sql, link_hash)

    def find(self, user_id: str, now: int) -> LinkRecord | None:
        """Return the link of an account by an administrator, unless it has expired."""
        sql = (
            f"select {columns(LinkRecord)} from links"
            f" where user_id = ? and {ADMIN_LINK} and expires_at > ?"
        )
        return self._connection.one(LinkRecord, sql, user_id, now)

    def exists(self, user_id: str, now: int) -> bool:
        """Return whether an account has a link by an administrator that has not expired."""
        sql = f"select count(*) from links where user_id = ? and {ADMIN_LINK} and expires_at > ?"
        return self._connection.number(sql, user_id, now) > 0

    def unused(self, user_ids: Sequence[str], now: int) -> UnusedLinks:
        """Return the links of accounts by administrators that have not expired, in numbers."""
        sql = f"{_UNUSED} where user_id {{any}} and {ADMIN_LINK} and expires_at > ?"
        values = self._connection.texts(user_ids), now
        return self._connection.one(UnusedLinks, sql, *values) or _NONE

    def linked(self, user_ids: Sequence[str], now: int) -> Sequence[str]:
        """Return the accounts that have a link by an administrator that has not expired."""
        sql = f"select user_id from links where user_id {{any}} and {ADMIN_LINK} and expires_at > ?"
        return self._connection.column(sql, self._connection.texts(user_ids), now)

    def unused_in_batch(self, batch_id: str, now: int) -> UnusedLinks:
        """Do so for the accounts of a batch without credentials. It reads all its links."""
        sql = (
            f"{_UNUSED} join users using (user_id) where user_id > ? and user_id < ?"
            f" and {ADMIN_LINK} and expires_at > ? and {WITHOUT_CREDENTIALS}"
        )
        values = id_prefix(batch_id), end_of_batch(batch_id), now
        return self._connection.one(UnusedLinks, sql, *values) or _NONE

    def count_made(self, by: Sequence[str], now: int) -> int:
        """Count the links that users created as administrators for others, unless expired."""
        sql = (
            f"select count(*) from links where created_by {{any}} and {ADMIN_LINK}"
            " and expires_at > ? and created_by <> 'user:' || user_id"
        )
        return self._connection.number(sql, self._connection.texts(by), now)

    def consume(self, link_hash: bytes) -> LinkRecord | None:
        """Delete the link with a hash and return it; of several callers only one gets it."""
        sql = f"delete from links where hash = ? returning {columns(LinkRecord)}"
        return self._connection.one(LinkRecord, sql, link_hash)

    def delete(self, *, user_id: str = "", by: str = "") -> None:
        """Delete the links of an account, and those that an actor created; either may be empty."""
        self._delete("user_id = ? or created_by = ?", user_id, by)

    def delete_of(self, user_ids: Sequence[str]) -> None:
        self._delete("user_id {any}", self._connection.texts(user_ids))

    def purge(self, now: int) -> None:
        """Delete the links that have expired. Locked ones stay for now."""
        sql = (
            "delete from links where hash in"
            " (select hash from links where expires_at <= ? {skip_locked})"
        )
        self._connection.execute(sql, now)

    def _delete(self, which: str, *values: object) -> None:
        self._connection.execute(_DELETE.replace("{which}", which), *values)


class Identities(Table):
    """The subjects of identity providers that are linked to accounts."""

    def link(self, issuer: str, subject: str, user_id: str, at: int) -> bool:
        """Link a subject of an issuer to an account; return False if either has a link."""
        if not self._connection.can_store(issuer, subject):
            return False
        sql = (
            "insert into identities (issuer, subject, user_id, linked_at) values (?, ?, ?, ?)"
            " on conflict do nothing"
        )
        return bool(self._connection.execute(sql, issuer, subject, user_id, at))

    def unlink(self, user_id: str) -> None:
        self._connection.execute("delete from identities where user_id = ?", user_id)

    def has_issuer(self, issuer: str) -> bool:
        """Return whether a subject of an issuer is linked to an account."""
        sql = "select user_id from identities where issuer = ? limit 1"
        return bool(self._connection.column(sql, issuer))

    def find(self, issuer: str, subject: str) -> str | None:
        """Return the `user_id` of the account to which a subject of an issuer is linked."""
        sql = "select user_id from identities where issuer = ? and subject = ?"
        found = self._connection.column(sql, issuer, subject)
        return found[0] if found else None
