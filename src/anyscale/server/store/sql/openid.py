"""The tables of the OpenID provider."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import structs

from anyscale.server.store.records.openid import (
    ApplicationRecord,
    Audience,
    GrantRecord,
    PublicKeyRecord,
)
from anyscale.server.store.sql.allowed_users import DOMAIN
from anyscale.server.store.sql.connection import Table, changes, columns, insert

_APPLICATION = f"select {columns(ApplicationRecord)} from applications"
_ADD_APPLICATION = insert("applications", ApplicationRecord)
_REPLACE_APPLICATION = f"update applications set {changes(ApplicationRecord)} where client_id = ?"
#: that have not ended: see `Grants`
_GRANT = f"select {columns(GrantRecord)} from grants where expires_at > 0"
_ADD_GRANT = insert("grants", GrantRecord)
_REPLACE_GRANT = f"update grants set {changes(GrantRecord)} where grant_id = ?"
_ADD_KEY = f"{insert('public_keys', PublicKeyRecord)} on conflict do nothing"
_KEY = f"select {columns(PublicKeyRecord)} from public_keys"


class Applications(Table):
    """The programs that sign our users in."""

    def add(self, application: ApplicationRecord) -> bool:
        """Insert an application; return False if its name or its form key is in use."""
        sql = f"{_ADD_APPLICATION} on conflict do nothing"
        return bool(self._connection.execute(sql, *structs.astuple(application)))

    def named(self, name: str) -> ApplicationRecord | None:
        return self._connection.one(ApplicationRecord, f"{_APPLICATION} where name = ?", name)

    def of_form(self, form_key: str) -> ApplicationRecord | None:
        return self._connection.one(
            ApplicationRecord, f"{_APPLICATION} where form_key = ?", form_key
        )

    def get(self, client_id: str) -> ApplicationRecord | None:
        return self._connection.one(
            ApplicationRecord, f"{_APPLICATION} where client_id = ?", client_id
        )

    def lock(self, client_id: str, *, exclusive: bool = True) -> ApplicationRecord | None:
        """Lock an application and return it; several may have it locked if none is exclusive."""
        lock = "{for_update}" if exclusive else "{for_key_share}"
        sql = f"{_APPLICATION} where client_id = ? {lock}"
        return self._connection.one(ApplicationRecord, sql, client_id)

    def list(self) -> Sequence[ApplicationRecord]:
        """Return all applications, the oldest first."""
        return self._connection.all(ApplicationRecord, f"{_APPLICATION} order by client_id")

    def replace(self, application: ApplicationRecord) -> None:
        """Replace all fields of a locked application but its id."""
        values = structs.astuple(application)
        self._connection.execute(_REPLACE_APPLICATION, *values, application.client_id)

    def touch(self, client_id: str, at: int) -> None:
        """Set when a user last signed in at an application, unless it is being changed."""
        sql = (
            "update applications set used_at = ? where client_id in"
            " (select client_id from applications where client_id = ? {skip_locked})"
        )
        self._connection.execute(sql, at, client_id)

    def delete(self, client_id: str) -> None:
        """Delete a locked application."""
        self._connection.execute("delete from applications where client_id = ?", client_id)


class Grants(Table):
    """The sign-ins of users at applications, with their codes and tokens.

    Those that a change of an application ends can be many: they get the expiry 0, in a ninth of the
    time that SQLite takes to delete 200,000 of them, and are deleted later.
    """

    def add(self, grant: GrantRecord) -> None:
        self._connection.execute(_ADD_GRANT, *structs.astuple(grant))

    def by_code(self, code_hash: bytes) -> GrantRecord | None:
        return self._connection.one(GrantRecord, f"{_GRANT} and code_hash = ?", code_hash)

    def by_access_token(self, access_hash: bytes) -> GrantRecord | None:
        return self._connection.one(GrantRecord, f"{_GRANT} and access_hash = ?", access_hash)

    def by_family(self, family_hash: bytes) -> GrantRecord | None:
        return self._connection.one(GrantRecord, f"{_GRANT} and family_hash = ?", family_hash)

    def lock(self, grant_id: str) -> GrantRecord | None:
        """Lock a grant, after its account, and return it as it is now."""
        sql = f"{_GRANT} and grant_id = ? {{for_update}}"
        return self._connection.one(GrantRecord, sql, grant_id)

    def replace(self, grant: GrantRecord) -> None:
        """Replace all fields of a locked grant but its id."""
        self._connection.execute(_REPLACE_GRANT, *structs.astuple(grant), grant.grant_id)

    def last_used(self, user_id: str, now: int) -> Mapping[str, int]:
        """Return when a user last signed in at each application, the latest first.

        Those where nothing works any more are left out.
        """
        sql = (
            "select client_id, max(created_at) from grants where user_id = ? and expires_at > ?"
            " group by client_id order by 2 desc, 1"
        )
        return dict(self._connection.rows(sql, user_id, now))

    def redirect_uris(self, client_id: str) -> Sequence[str]:
        """Return the redirect URIs of the grants of an application, each once."""
        sql = "select distinct redirect_uri from grants where client_id = ?"
        return self._connection.column(sql, client_id)

    def move(self, session_id: str, new_session_id: str) -> None:
        """Let the grants of a session belong to the session that replaces it."""
        change = "update grants set session_id = ?"
        self._change(change, "session_id = ?", new_session_id, session_id)

    def delete(self, grant_id: str) -> None:
        self._connection.execute("delete from grants where grant_id = ?", grant_id)

    def delete_all(self, **ids: str) -> int:
        """Delete the grants with all of some ids (`user_id`, `session_id`, `client_id`).

        Lock the account first. Returns how many there were.
        """
        return self._delete(" and ".join(f"{name} = ?" for name in ids), *ids.values())

    def end_all(self, client_id: str) -> None:
        """End the grants of a locked application."""
        self._end("client_id = ?", client_id)

    def delete_oldest(self, session_id: str, client_id: str, most: int) -> None:
        """Delete the oldest grants of a session and an application beyond a number."""
        where = "session_id = ? and client_id = ?"
        newest = (
            f"select grant_id from grants where {where}"
            " order by created_at desc, grant_id desc limit 1 offset ?"
        )
        # An id begins with the time.
        ids = session_id, client_id
        self._delete(f"{where} and grant_id <= ({newest})", *ids, *ids, most)

    def end_at(self, client_id: str, redirect_uris: Iterable[str]) -> None:
        """End the grants of a locked application that have one of some redirect URIs."""
        texts = self._connection.texts(redirect_uris)
        self._end("client_id = ? and redirect_uri {any}", client_id, texts)

    def end_refreshable(self, client_id: str) -> None:
        """End the grants of a locked application that have refresh tokens."""
        self._end("client_id = ? and family_hash is not null", client_id)

    def end_unproved(self, client_id: str) -> None:
        """End the unused codes of a locked application that were granted without PKCE."""
        where = "client_id = ? and code_used = {false} and code_challenge is null"
        self._end(where, client_id)

    def end_one_factor(self, client_id: str) -> None:
        """End the grants of a locked application whose users have not shown a second factor."""
        self._end("client_id = ? and methods not like ?", client_id, "%mfa%")

    def end_excluded(self, client_id: str, audience: Audience) -> None:
        """End the grants of a locked application whose users match no part of an audience."""
        allowed = (
            "select 1 from live_users where live_users.user_id = grants.user_id"
            f" and (permission_level = ? or {DOMAIN} {{any}} or batch_id {{any}})"
        )
        # Without owners, no text is a role.
        owner = "owner" if audience.owners else ""
        values = owner, *map(self._connection.texts, (audience.domains, audience.batch_ids))
        self._end(f"client_id = ? and not exists ({allowed})", client_id, *values)

    def _delete(self, where: str, *values: Any) -> int:
        return self._change("delete from grants", where, *values)

    def _end(self, where: str, *values: Any) -> None:
        self._change("update grants set expires_at = 0", where, *values)

    def _change(self, change: str, where: str, *values: Any) -> int:
        # The order is for the locks: two transactions that end the same grants cannot deadlock.
        found = f"select grant_id from grants where {where} order by grant_id {{for_update}}"
        return self._connection.execute(f"{change} where grant_id in ({found})", *values)

    def purge(self, now: int, most: int) -> int:
        """Delete some grants that have expired or ended; return how many.

        Locked ones stay for now.
        """
        sql = (
            "delete from grants where grant_id in"
            " (select grant_id from grants where expires_at <= ? limit ? {skip_locked})"
        )
        return self._connection.execute(sql, now, most)


class PublicKeys(Table):
    """The public parts of the keys that sign ID tokens, of all servers."""

    def list(self) -> Sequence[PublicKeyRecord]:
        return self._connection.all(PublicKeyRecord, f"{_KEY} order by signs_from, kid")

    def add(self, key: PublicKeyRecord) -> None:
        """Insert a key, unless it is there."""
        self._connection.execute(_ADD_KEY, *structs.astuple(key))

    def revoke_others(self, kid: str, at: int) -> None:
        sql = "update public_keys set revoked_at = ? where kid <> ? and revoked_at is null"
        self._connection.execute(sql, at, kid)
