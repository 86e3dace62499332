"""The statements of the PostgreSQL store about accounts and how people sign in to them."""

from collections.abc import Collection, Mapping, Sequence

from msgspec import structs

from anyscale.server.store.interface import AccountRecord, LinkRecord, SessionRecord
from anyscale.server.store.interface_people import Device
from anyscale.server.store.postgres.audit_tokens import PostgresTrail
from anyscale.server.store.postgres.statements import is_text, marks
from anyscale.user.emails import is_spelling

__all__ = ["PostgresPeople"]

_ACCOUNT = ", ".join(AccountRecord.__struct_fields__)
_SESSION = ", ".join(SessionRecord.__struct_fields__)
_LINK = ", ".join(LinkRecord.__struct_fields__)

#: Whoever holds the owners holds this advisory lock. Any number, but the same in all versions.
_LOCK = 0x6D757374_6F776E72

# An account, or the row of a batch that is not published: that is left alone.
_IS_LIVE = (
    "user_id = %s and exists"
    " (select 1 from batches where batches.id = users.batch and state = 'published')"
)

# Not of the view: that would hold the batch as well.
_HELD_ACCOUNT = (
    f"{_ACCOUNT.replace('created_at', 'published_at')}"
    " from users join batches on batches.id = users.batch and state = 'published'"
)

_OF_SESSION = len(SessionRecord.__struct_fields__)
_MEMBER = (
    f"select {', '.join(f'sessions.{field}' for field in SessionRecord.__struct_fields__)},"
    f" {', '.join(f'live_users.{field}' for field in AccountRecord.__struct_fields__)}"
    " from sessions join live_users on live_users.user_id = sessions.user_id"
    " where sessions.hash = %s"
)

# What else is kept of a person.
_THEIRS = ("sessions", "devices", "links", "identities", "tokens")

# Of ASCII the key is the lower case, which the database knows as well. The rest is for Python.
_MAY_BE_SPELLED_LIKE = (
    "select distinct email from conflicts"
    " where lower(email) = %s or char_length(email) < octet_length(email)"
)

_WITHOUT_WAY_IN = (
    "from live_users where user_id > %s and user_id < %s and password_hash is null"
    " and suspended_at is null and not (is_sso_user and %s)"
)


class PostgresPeople(PostgresTrail):
    """A part of `base.Transaction`."""

    def account(self, *, user_id: str = "", email_key: str = "") -> AccountRecord | None:
        column, value = ("user_id", user_id) if user_id else ("email_key", email_key)
        sql = f"select {_ACCOUNT} from live_users where {column} = %s"
        if self._is_writing:
            sql = f"select {_HELD_ACCOUNT} where {column} = %s for update of users"
        return self._one(AccountRecord, sql, value) if is_text(value) else None

    def accounts_with(self, email_keys: Collection[str]) -> Mapping[str, AccountRecord]:
        sql = f"select email_key, {_ACCOUNT} from live_users where email_key = any(%s)"
        return self._accounts(sql, email_keys)

    def hold_accounts(self, user_ids: Collection[str]) -> Mapping[str, AccountRecord]:
        sql = f"select user_id, {_HELD_ACCOUNT} where user_id = any(%s)"
        return self._accounts(f"{sql} order by user_id for update of users", user_ids)

    def set_password(self, user_id: str, password_hash: str, at: int | None) -> None:
        what = "password_hash = %s, password_set_at = coalesce(%s, password_set_at)"
        self._change(user_id, what, password_hash, at)

    def suspend(self, user_id: str, at: int | None) -> None:
        self._change(user_id, "suspended_at = %s", at)

    def set_level(self, user_id: str, permission_level: str) -> None:
        self._change(user_id, "permission_level = %s", permission_level)

    def hold_owners(self) -> Sequence[str]:
        if self._is_writing:
            # A lock on rows would not see an owner who is made just now.
            self._execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        rows = self._execute(
            "select user_id from live_users where permission_level = 'owner'"
            " and suspended_at is null order by user_id"
        )
        return [user_id for (user_id,) in rows]

    def remove_account(self, user_id: str) -> None:
        # Held first: whoever signs in just now has then done so, and what that left goes as well.
        sql = f"select email_key from users where {_IS_LIVE} for update"
        for (key,) in self._execute(sql, (user_id,)).fetchall():
            self._blank_reports(key)
            for table in (*_THEIRS, "users"):
                self._execute(f"delete from {table} where user_id = %s", (user_id,))

    def without_way_in(
        self, batch_id: str, *, sso: bool, after: str, limit: int
    ) -> Sequence[AccountRecord]:
        prefix = "usr_" + batch_id.removeprefix("bat_")
        sql = f"select {_ACCOUNT} {_WITHOUT_WAY_IN} order by user_id limit %s"
        if not is_text(batch_id, after):
            return []
        return self._all(AccountRecord, sql, max(after, prefix), prefix + "g", sso, limit)

    def count_without_way_in(self, batch_id: str, *, sso: bool) -> int:
        prefix = "usr_" + batch_id.removeprefix("bat_")
        if not is_text(batch_id):
            return 0
        return self._number(f"select count(*) {_WITHOUT_WAY_IN}", prefix, prefix + "g", sso)

    def add_sessions(self, rows: Sequence[SessionRecord]) -> None:
        self._insert_rows(
            f"insert into sessions ({_SESSION})", [structs.astuple(row) for row in rows]
        )

    def session(self, session_hash: bytes) -> SessionRecord | None:
        sql = f"select {_SESSION} from sessions where hash = %s"
        return self._one(SessionRecord, sql, session_hash)

    def member(self, session_hash: bytes) -> tuple[SessionRecord, AccountRecord] | None:
        row = self._execute(_MEMBER, (session_hash,)).fetchone()
        return (
            (SessionRecord(*row[:_OF_SESSION]), AccountRecord(*row[_OF_SESSION:])) if row else None
        )

    def sessions_with(self, hashes: Collection[bytes]) -> Sequence[SessionRecord]:
        sql = f"select {_SESSION} from sessions where hash = any(%s)"
        return self._all(SessionRecord, sql, list(hashes)) if hashes else []

    def sessions(self, user_id: str) -> Sequence[SessionRecord]:
        sql = (
            f"select {_SESSION} from sessions where user_id = %s"
            " order by created_at desc, session_id desc"
        )
        return self._all(SessionRecord, sql, user_id)

    def use_session(self, session_id: str, at: int) -> None:
        # As for tokens: of two calls at once one notes it, and neither waits for the other one.
        self._execute(
            "update sessions set used_at = %s where session_id in (select session_id from sessions"
            " where session_id = %s for no key update skip locked)",
            (at, session_id),
        )

    def end_sessions(self, user_id: str, *, only: str = "", but: str = "") -> int:
        if not is_text(user_id, only, but):
            return 0
        # By id: of two that end the same ones the second waits, and neither for the other.
        return self._execute(
            "delete from sessions where session_id in (select session_id from sessions"
            " where user_id = %s and (%s::text = '' or session_id = %s) and session_id <> %s"
            " order by session_id for update)",
            (user_id, only, only, but),
        ).rowcount

    def end_each(self, session_ids: Collection[str]) -> Collection[str]:
        sql = (
            "delete from sessions where session_id in (select session_id from sessions"
            " where session_id = any(%s) order by session_id for update) returning session_id"
        )
        texts = list(filter(is_text, session_ids))
        found = self._execute(sql, (texts,)) if texts else ()
        return {session_id for (session_id,) in found}

    def forget_sessions(self, unused_since: int, now: int) -> None:
        # What somebody holds is being used or removed. Whoever waited for it here, and held all
        # that was found before it, would soon be waited for as well.
        self._execute(
            "delete from sessions where session_id in (select session_id from sessions"
            " where used_at < %s or expires_at <= %s for update skip locked)",
            (unused_since, now),
        )
        self._execute(
            "delete from links where user_id in (select user_id from links"
            " where expires_at <= %s for update skip locked)",
            (now,),
        )

    def forget_devices(self, unused_since: int) -> None:
        self._execute(
            "delete from devices where (hash, user_id) in (select hash, user_id from devices"
            " where used_at < %s for update skip locked)",
            (unused_since,),
        )

    def remember_devices(self, devices: Collection[Device], at: int) -> None:
        self._insert_rows(
            "insert into devices (hash, user_id, used_at)",
            [(*device, at) for device in set(devices)],  # none twice in one statement
            "on conflict (hash, user_id) do update set used_at = excluded.used_at",
        )

    def known_devices(self, devices: Collection[Device], since: int) -> Collection[Device]:
        sql = (
            "select hash, user_id from devices where used_at >= %s"
            " and (hash, user_id) in (select * from unnest(%s::bytea[], %s::text[]))"
        )
        asked = [device for device in devices if is_text(device[1])]
        hashes, user_ids = [device[0] for device in asked], [device[1] for device in asked]
        return set(self._execute(sql, (since, hashes, user_ids))) if asked else ()

    def put_link(self, row: LinkRecord) -> None:
        values = structs.astuple(row)
        new = ", ".join(f"{field} = excluded.{field}" for field in LinkRecord.__struct_fields__)
        self._execute(
            f"insert into links ({_LINK}) values ({marks(values)})"
            f" on conflict (user_id) do update set {new}",
            values,
        )

    def link(self, link_hash: bytes) -> LinkRecord | None:
        return self._one(LinkRecord, f"select {_LINK} from links where hash = %s", link_hash)

    def take_link(self, link_hash: bytes) -> LinkRecord | None:
        sql = f"delete from links where hash = %s returning {_LINK}"
        return self._one(LinkRecord, sql, link_hash)

    def remove_links(self, *, user_id: str = "", by: str = "") -> None:
        # By id: two that remove links of the same accounts then take turns.
        self._execute(
            "delete from links where user_id in (select user_id from links"
            " where user_id = %s or created_by = %s order by user_id for update)",
            (user_id, by),
        )

    def remove_devices(self, user_id: str) -> None:
        self._execute(
            "delete from devices where (hash, user_id) in (select hash, user_id from devices"
            " where user_id = %s order by hash for update)",
            (user_id,),
        )

    def link_identity(self, issuer: str, subject: str, user_id: str, at: int) -> bool:
        sql = (
            "insert into identities (issuer, subject, user_id, linked_at) values (%s, %s, %s, %s)"
            " on conflict do nothing"
        )
        values = (issuer, subject, user_id, at)
        return is_text(issuer, subject) and bool(self._execute(sql, values).rowcount)

    def identified(self, issuer: str, subject: str) -> str | None:
        sql = "select user_id from identities where issuer = %s and subject = %s"
        row = self._execute(sql, (issuer, subject)).fetchone() if is_text(issuer, subject) else None
        return row[0] if row else None

    def _accounts(self, sql: str, values: Collection[str]) -> Mapping[str, AccountRecord]:
        texts = list(filter(is_text, values))
        found = self._execute(sql, (texts,)) if texts else ()
        return {value: AccountRecord(*row) for value, *row in found}

    def _change(self, user_id: str, what: str, *values: object) -> None:
        self._execute(f"update users set {what} where {_IS_LIVE}", (*values, user_id))

    def _blank_reports(self, key: str) -> None:
        found = self._execute(_MAY_BE_SPELLED_LIKE, (key,))
        spellings = [email for (email,) in found if is_spelling(email, key)]
        self._execute("update conflicts set email = '' where email = any(%s)", (spellings,))
