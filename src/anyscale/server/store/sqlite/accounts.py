"""The statements of the SQLite store about accounts and how people sign in to them."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from msgspec import structs

from anyscale.server.store.interface import AccountRecord, LinkRecord, SessionRecord
from anyscale.server.store.interface_people import Device
from anyscale.server.store.sqlite.audit_tokens import SqliteTrail
from anyscale.server.store.sqlite.statements import each, marks
from anyscale.user.emails import is_spelling

__all__ = ["SqlitePeople"]

_ACCOUNT = ", ".join(AccountRecord.__struct_fields__)
_SESSION = ", ".join(SessionRecord.__struct_fields__)
_LINK = ", ".join(LinkRecord.__struct_fields__)

_OF_SESSION = len(SessionRecord.__struct_fields__)
_MEMBER = (
    f"select {', '.join(f'sessions.{field}' for field in SessionRecord.__struct_fields__)},"
    f" {', '.join(f'live_users.{field}' for field in AccountRecord.__struct_fields__)}"
    " from sessions join live_users on live_users.user_id = sessions.user_id"
    " where sessions.hash = ?"
)

# An account, or the row of a batch that is not published: that is left alone.
_IS_LIVE = (
    "user_id = ? and exists"
    " (select 1 from batches where batches.id = users.batch and state = 'published')"
)

# What else is kept of a person.
_THEIRS = ("sessions", "devices", "links", "identities", "tokens")

# Of ASCII the key is the lower case, which the database knows as well. The rest is for Python.
_MAY_BE_SPELLED_LIKE = (
    "select distinct email from conflicts"
    " where lower(email) = ? or length(email) < length(cast(email as blob))"
)

_WITHOUT_WAY_IN = (
    "from live_users where user_id > ? and user_id < ? and password_hash is null"
    " and suspended_at is null and not (is_sso_user and ?)"
)


class SqlitePeople(SqliteTrail):
    """A part of `base.Transaction`."""

    def account(self, *, user_id: str = "", email_key: str = "") -> AccountRecord | None:
        column, value = ("user_id", user_id) if user_id else ("email_key", email_key)
        return self._account(f"select {_ACCOUNT} from live_users where {column} = ?", value)

    def accounts_with(self, email_keys: Collection[str]) -> Mapping[str, AccountRecord]:
        return self._accounts("email_key", email_keys)

    def hold_accounts(self, user_ids: Collection[str]) -> Mapping[str, AccountRecord]:
        return self._accounts("user_id", user_ids)

    def set_password(self, user_id: str, password_hash: str, at: int | None) -> None:
        what = "password_hash = ?, password_set_at = coalesce(?, password_set_at)"
        self._change(user_id, what, password_hash, at)

    def suspend(self, user_id: str, at: int | None) -> None:
        self._change(user_id, "suspended_at = ?", at)

    def set_level(self, user_id: str, permission_level: str) -> None:
        self._change(user_id, "permission_level = ?", permission_level)

    def hold_owners(self) -> Sequence[str]:
        rows = self._execute(
            "select user_id from live_users where permission_level = 'owner'"
            " and suspended_at is null order by user_id"
        )
        return [user_id for (user_id,) in rows]

    def remove_account(self, user_id: str) -> None:
        sql = f"select email_key from users where {_IS_LIVE}"
        for (key,) in self._execute(sql, (user_id,)).fetchall():
            self._blank_reports(key)
            for table in (*_THEIRS, "users"):
                self._execute(f"delete from {table} where user_id = ?", (user_id,))

    def without_way_in(
        self, batch_id: str, *, sso: bool, after: str, limit: int
    ) -> Sequence[AccountRecord]:
        prefix = "usr_" + batch_id.removeprefix("bat_")
        sql = f"select {_ACCOUNT} {_WITHOUT_WAY_IN} order by user_id limit ?"
        rows = self._execute(sql, (max(after, prefix), prefix + "g", sso, limit))
        return [_account(row) for row in rows]

    def count_without_way_in(self, batch_id: str, *, sso: bool) -> int:
        prefix = "usr_" + batch_id.removeprefix("bat_")
        return self._number(f"select count(*) {_WITHOUT_WAY_IN}", prefix, prefix + "g", sso)

    def add_sessions(self, rows: Sequence[SessionRecord]) -> None:
        self._insert_rows(
            f"insert into sessions ({_SESSION})", [structs.astuple(row) for row in rows]
        )

    def session(self, session_hash: bytes) -> SessionRecord | None:
        sql = f"select {_SESSION} from sessions where hash = ?"
        return self._one(SessionRecord, sql, session_hash)

    def member(self, session_hash: bytes) -> tuple[SessionRecord, AccountRecord] | None:
        row = self._execute(_MEMBER, (session_hash,)).fetchone()
        return (SessionRecord(*row[:_OF_SESSION]), _account(row[_OF_SESSION:])) if row else None

    def sessions_with(self, hashes: Collection[bytes]) -> Sequence[SessionRecord]:
        sql = f"select {_SESSION} from sessions where hash in ({marks(hashes)})"
        return self._all(SessionRecord, sql, *hashes) if hashes else []

    def sessions(self, user_id: str) -> Sequence[SessionRecord]:
        sql = (
            f"select {_SESSION} from sessions where user_id = ?"
            " order by created_at desc, session_id desc"
        )
        return self._all(SessionRecord, sql, user_id)

    def use_session(self, session_id: str, at: int) -> None:
        self._execute("update sessions set used_at = ? where session_id = ?", (at, session_id))

    def end_sessions(self, user_id: str, *, only: str = "", but: str = "") -> int:
        return self._execute(
            "delete from sessions where user_id = ? and (? = '' or session_id = ?)"
            " and session_id <> ?",
            (user_id, only, only, but),
        ).rowcount

    def end_each(self, session_ids: Collection[str]) -> Collection[str]:
        sql = f"delete from sessions where session_id in ({marks(session_ids)})"
        found = self._execute(f"{sql} returning session_id", (*session_ids,)) if session_ids else ()
        return {session_id for (session_id,) in found}

    def forget_sessions(self, unused_since: int, now: int) -> None:
        self._execute(
            "delete from sessions where used_at < ? or expires_at <= ?", (unused_since, now)
        )
        self._execute("delete from links where expires_at <= ?", (now,))

    def forget_devices(self, unused_since: int) -> None:
        self._execute("delete from devices where used_at < ?", (unused_since,))

    def remember_devices(self, devices: Collection[Device], at: int) -> None:
        self._insert_rows(
            "insert into devices (hash, user_id, used_at)",
            [(*device, at) for device in devices],
            "on conflict (hash, user_id) do update set used_at = excluded.used_at",
        )

    def known_devices(self, devices: Collection[Device], since: int) -> Collection[Device]:
        values = [value for device in devices for value in device]
        sql = (
            "select hash, user_id from devices"
            f" where (hash, user_id) in (values {each(devices)}) and used_at >= ?"
        )
        return set(self._execute(sql, (*values, since))) if devices else ()

    def put_link(self, row: LinkRecord) -> None:
        self._execute("delete from links where user_id = ?", (row.user_id,))
        values = structs.astuple(row)
        self._execute(f"insert into links ({_LINK}) values ({marks(values)})", values)

    def link(self, link_hash: bytes) -> LinkRecord | None:
        return self._one(LinkRecord, f"select {_LINK} from links where hash = ?", link_hash)

    def take_link(self, link_hash: bytes) -> LinkRecord | None:
        sql = f"delete from links where hash = ? returning {_LINK}"
        return self._one(LinkRecord, sql, link_hash)

    def remove_links(self, *, user_id: str = "", by: str = "") -> None:
        self._execute("delete from links where user_id = ? or created_by = ?", (user_id, by))

    def remove_devices(self, user_id: str) -> None:
        self._execute("delete from devices where user_id = ?", (user_id,))

    def link_identity(self, issuer: str, subject: str, user_id: str, at: int) -> bool:
        sql = (
            "insert into identities (issuer, subject, user_id, linked_at) values (?, ?, ?, ?)"
            " on conflict do nothing"
        )
        return bool(self._execute(sql, (issuer, subject, user_id, at)).rowcount)

    def identified(self, issuer: str, subject: str) -> str | None:
        sql = "select user_id from identities where issuer = ? and subject = ?"
        row = self._execute(sql, (issuer, subject)).fetchone()
        return row[0] if row else None

    def _change(self, user_id: str, what: str, *values: object) -> None:
        self._execute(f"update users set {what} where {_IS_LIVE}", (*values, user_id))

    def _blank_reports(self, key: str) -> None:
        found = self._execute(_MAY_BE_SPELLED_LIKE, (key,))
        spellings = [email for (email,) in found if is_spelling(email, key)]
        sql = f"update conflicts set email = '' where email in ({marks(spellings)})"
        self._execute(sql, spellings)

    def _accounts(self, column: str, values: Collection[str]) -> Mapping[str, AccountRecord]:
        sql = f"select {column}, {_ACCOUNT} from live_users where {column} in ({marks(values)})"
        found = self._execute(sql, (*values,)) if values else ()
        return {value: _account(row) for value, *row in found}

    def _account(self, sql: str, *values: str) -> AccountRecord | None:
        row = self._execute(sql, values).fetchone()
        return _account(row) if row else None


def _account(row: Sequence[Any]) -> AccountRecord:
    account = AccountRecord(*row)
    # SQLite knows no truth values.
    return structs.replace(account, is_sso_user=bool(account.is_sso_user))
