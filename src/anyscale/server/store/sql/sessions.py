"""The tables `sessions`, `half_sign_ins` and `devices`."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import structs

from anyscale.server.store.records.login import HalfSignInRecord, SessionRecord
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.sql.connection import Table, columns, insert

_SESSION = f"select {columns(SessionRecord)} from sessions"
_ADD = insert("sessions", SessionRecord)
_ADD_HALF = insert("half_sign_ins", HalfSignInRecord)

_SESSION_FIELDS = len(SessionRecord.__struct_fields__)
_SESSION_AND_ACCOUNT = (
    f"select {columns(SessionRecord, 'sessions')}, {columns(AccountRecord, 'live_users')}"
    " from sessions join live_users on live_users.user_id = sessions.user_id"
    " where sessions.hash = ?"
)


class Sessions(Table):
    """Signed-in browsers."""

    def add(self, session: SessionRecord) -> None:
        self._connection.execute(_ADD, *structs.astuple(session))

    def get(self, session_hash: bytes) -> SessionRecord | None:
        return self._connection.one(SessionRecord, f"{_SESSION} where hash = ?", session_hash)

    def find(self, session_hash: bytes) -> tuple[SessionRecord, AccountRecord] | None:
        """Return the session with a hash together with its account, by one query."""
        row = next(iter(self._connection.rows(_SESSION_AND_ACCOUNT, session_hash)), None)
        if row is None:
            return None
        return (
            SessionRecord(*row[:_SESSION_FIELDS]),
            msgspec.convert(row[_SESSION_FIELDS:], AccountRecord, strict=False),
        )

    def list(self, user_id: str) -> Sequence[SessionRecord]:
        """Return the sessions of an account, the latest first."""
        sql = f"{_SESSION} where user_id = ? order by created_at desc, session_id desc"
        return self._connection.all(SessionRecord, sql, user_id)

    def touch(self, session_id: str, at: int) -> None:
        """Set when a session was last used, unless another transaction has it locked."""
        sql = (
            "update sessions set used_at = ? where session_id in"
            " (select session_id from sessions where session_id = ? {skip_locked})"
        )
        self._connection.execute(sql, at, session_id)

    def renew(self, session_id: str, authenticated_at: int | None, methods: str) -> None:
        """Set when the user of a session last proved to be present, and what was shown."""
        sql = "update sessions set authenticated_at = ?, methods = ? where session_id = ?"
        self._connection.execute(sql, authenticated_at, methods, session_id)

    def set_methods(self, session_id: str, methods: str) -> None:
        """Set what the user of a session has shown."""
        sql = "update sessions set methods = ? where session_id = ?"
        self._connection.execute(sql, methods, session_id)

    def set_factor_due(self, user_id: str, at: int | None) -> None:
        """Set from when on the sessions of an account need a second factor; None for never."""
        sql = "update sessions set factor_due_at = ? where user_id = ?"
        self._connection.execute(sql, at, user_id)

    def forget_sign_ins(self, user_id: str, keep: str) -> None:
        """Let the sign-ins of all sessions of an account but one be too old for what needs one."""
        sql = "update sessions set authenticated_at = null where user_id = ? and session_id <> ?"
        self._connection.execute(sql, user_id, keep)

    def forget_sign_ins_without_factor(self) -> int:
        """Let sign-ins without a second factor be too old, of accounts that have one; count them.

        It reads all sessions.
        """
        sql = (
            "update sessions set authenticated_at = null where session_id in"
            " (select session_id from sessions where authenticated_at is not null"
            " and methods not like ? and exists (select 1 from factors"
            " where factors.user_id = sessions.user_id and confirmed_at is not null)"
            " {skip_locked})"
        )
        return self._connection.execute(sql, "%mfa")  # the last one: see `core.shown_methods`

    def delete(self, user_id: str, *, only: str = "", keep: str = "", auth_method: str = "") -> int:
        """Delete the sessions of an account, with their grants; return how many sessions.

        If all of them end, or all but one, the half sign-ins of the account end as well.

        `only` is the `session_id` of the one to delete, `keep` that of one that stays.
        `auth_method` selects those that were created by one sign-in method.
        """
        if not self._connection.can_store(user_id, only, keep):
            return 0
        which, values = "user_id = ? and session_id <> ?", [user_id, keep]
        if only:
            which, values = f"{which} and session_id = ?", [*values, only]
        # A refresh token may outlive its session, which has expired then.
        if not auth_method:
            self._delete("grants", "grant_id", which, *values)
        if not (auth_method or only):
            self._connection.execute("delete from half_sign_ins where user_id = ?", user_id)
        which = f"{which} and ? in ('', auth_method)"
        return self._delete("sessions", "session_id", which, *values, auth_method)

    def delete_of(self, user_ids: Sequence[str]) -> None:
        """Delete all sessions and half sign-ins of accounts, with their grants."""
        ids = self._connection.texts(user_ids)
        self._delete("grants", "grant_id", "user_id {any}", ids)
        self._connection.execute("delete from half_sign_ins where user_id {any}", ids)
        self._delete("sessions", "session_id", "user_id {any}", ids)

    def _delete(self, table: str, key: str, where: str, *values: Any) -> int:
        # The order is for the locks: two transactions that delete or end the same rows cannot
        # deadlock.
        found = f"select {key} from {table} where {where} order by {key} {{for_update}}"
        return self._connection.execute(f"delete from {table} where {key} in ({found})", *values)

    def purge(self, unused_since: int, now: int) -> None:
        """Delete the sessions last used before a time, or expired. Locked ones stay for now."""
        # A locked session is in use or being deleted. If this transaction waited for it, others
        # would wait for the sessions that it has locked before.
        sql = (
            "delete from sessions where session_id in (select session_id from sessions"
            " where used_at < ? or expires_at <= ? {skip_locked})"
        )
        self._connection.execute(sql, unused_since, now)


class HalfSignIns(Table):
    """Sign-ins whose user has not shown the second factor yet. Lock the account before a change.

    Deleting all sessions of an account, by `Sessions`, deletes them too.
    """

    def add(self, half: HalfSignInRecord) -> None:
        self._connection.execute(_ADD_HALF, *structs.astuple(half))

    def get(self, half_hash: bytes) -> HalfSignInRecord | None:
        sql = f"select {columns(HalfSignInRecord)} from half_sign_ins where hash = ?"
        return self._connection.one(HalfSignInRecord, sql, half_hash)

    def set_path(self, half_hash: bytes, path: str) -> None:
        sql = "update half_sign_ins set path = ? where hash = ?"
        self._connection.execute(sql, path, half_hash)

    def delete(self, half_hash: bytes) -> None:
        self._connection.execute("delete from half_sign_ins where hash = ?", half_hash)

    def delete_of(self, user_ids: Sequence[str]) -> None:
        ids = self._connection.texts(user_ids)
        self._connection.execute("delete from half_sign_ins where user_id {any}", ids)

    def purge(self, before: int) -> None:
        """Delete those that began before a time. Locked ones stay for now."""
        sql = (
            "delete from half_sign_ins where hash in"
            " (select hash from half_sign_ins where created_at < ? {skip_locked})"
        )
        self._connection.execute(sql, before)


class Devices(Table):
    """Browsers that have signed in to an account before."""

    def save(self, device_hash: bytes, user_id: str, at: int) -> None:
        """Set when a browser last signed in to an account."""
        sql = (
            "insert into devices (hash, user_id, used_at) values (?, ?, ?)"
            " on conflict (hash, user_id) do update set used_at = excluded.used_at"
        )
        self._connection.execute(sql, device_hash, user_id, at)

    def is_known(self, device_hash: bytes, user_id: str, since: int) -> bool:
        """Whether a browser has signed in to an account since a time."""
        sql = "select 1 from devices where hash = ? and user_id = ? and used_at >= ?"
        return bool(self._connection.rows(sql, device_hash, user_id, since))

    def exists(self, device_hash: bytes) -> bool:
        """Whether a browser has signed in to any account."""
        return bool(self._connection.rows("select 1 from devices where hash = ?", device_hash))

    def delete(self, user_id: str) -> None:
        sql = (
            "delete from devices where (hash, user_id) in (select hash, user_id from devices"
            " where user_id = ? order by hash {for_update})"
        )
        self._connection.execute(sql, user_id)

    def purge(self, unused_since: int) -> None:
        """Delete the browsers that last signed in before a time. Locked ones stay for now."""
        sql = (
            "delete from devices where (hash, user_id) in (select hash, user_id from devices"
            " where used_at < ? {skip_locked})"
        )
        self._connection.execute(sql, unused_since)
