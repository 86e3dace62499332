"""The statements of the PostgreSQL store about the trail, tokens, and what is kept how long."""

from collections.abc import Sequence

from msgspec import structs

from anyscale.server.store.interface import AuditRecord, TokenRecord
from anyscale.server.store.postgres.statements import PostgresStatements, marks

__all__ = ["PostgresTrail"]

_AUDIT = ", ".join(AuditRecord.__struct_fields__)
_TOKEN = ", ".join(TokenRecord.__struct_fields__)

#: Whoever appends to the trail holds this advisory lock. Any number, but the same in all versions.
_LOCK = 0x6D757374_61756469


class PostgresTrail(PostgresStatements):
    """A part of `base.Transaction`."""

    def last_audit(self) -> AuditRecord | None:
        if self._is_writing:
            # A statement of its own: the next one then sees what the last holder has committed.
            self._execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        return self._one(AuditRecord, f"select {_AUDIT} from audit order by number desc limit 1")

    def add_audit(self, rows: Sequence[AuditRecord]) -> None:
        self._insert_rows(f"insert into audit ({_AUDIT})", [structs.astuple(row) for row in rows])

    def audit(self, after: int, limit: int) -> Sequence[AuditRecord]:
        sql = f"select {_AUDIT} from audit where number > %s order by number limit %s"
        return self._all(AuditRecord, sql, after, limit)

    def forget_audit(self, before: int) -> int:
        first = self._number("select max(number) from audit where at < %s", before)
        gone = self._execute("delete from audit where number < %s", (first,)).rowcount
        return first if gone else 0

    def forget_reports(self, before: int) -> None:
        self._execute(
            "delete from conflicts where batch in"
            " (select id from batches where state = 'published' and published_at < %s)",
            (before,),
        )
        self._execute(
            "delete from batches where state in ('dropped', 'expired') and touched_at < %s"
            " and not exists (select 1 from pages where pages.batch = batches.id)",
            (before,),
        )

    def add_token(self, row: TokenRecord) -> bool:
        values = structs.astuple(row)
        sql = f"insert into tokens ({_TOKEN}) values ({marks(values)}) on conflict do nothing"
        return bool(self._execute(sql, values).rowcount)

    def token(self, token_hash: bytes) -> TokenRecord | None:
        return self._one(TokenRecord, f"select {_TOKEN} from tokens where hash = %s", token_hash)

    def tokens(self) -> Sequence[TokenRecord]:
        return self._all(TokenRecord, f"select {_TOKEN} from tokens order by token_id")

    def use_token(self, token_id: str, at: int) -> None:
        # Of two calls at once one notes it; neither waits for the other one's transaction.
        self._execute(
            "update tokens set used_at = %s where token_id in"
            " (select token_id from tokens where token_id = %s for no key update skip locked)",
            (at, token_id),
        )

    def revoke_token(self, token_id: str, by: str, at: int) -> None:
        self._execute(
            "update tokens set revoked_by = %s, revoked_at = %s"
            " where token_id = %s and revoked_at is null",
            (by, at, token_id),
        )
