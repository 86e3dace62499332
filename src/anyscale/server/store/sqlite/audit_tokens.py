"""The statements of the SQLite store about the trail, tokens, and what is kept how long."""

from collections.abc import Sequence

from msgspec import structs

from anyscale.server.store.interface import AuditRecord, TokenRecord
from anyscale.server.store.sqlite.statements import SqliteStatements, marks

__all__ = ["SqliteTrail"]

_AUDIT = ", ".join(AuditRecord.__struct_fields__)
_TOKEN = ", ".join(TokenRecord.__struct_fields__)


class SqliteTrail(SqliteStatements):
    """A part of `base.Transaction`."""

    def last_audit(self) -> AuditRecord | None:
        return self._one(AuditRecord, f"select {_AUDIT} from audit order by number desc limit 1")

    def add_audit(self, rows: Sequence[AuditRecord]) -> None:
        self._insert_rows(f"insert into audit ({_AUDIT})", [structs.astuple(row) for row in rows])

    def audit(self, after: int, limit: int) -> Sequence[AuditRecord]:
        sql = f"select {_AUDIT} from audit where number > ? order by number limit ?"
        return self._all(AuditRecord, sql, after, limit)

    def forget_audit(self, before: int) -> int:
        sql = "select max(number) from audit where at < ?"
        first = self._number(sql, before)
        return (
            first if self._execute("delete from audit where number < ?", (first,)).rowcount else 0
        )

    def forget_reports(self, before: int) -> None:
        self._execute(
            "delete from conflicts where batch in"
            " (select id from batches where state = 'published' and published_at < ?)",
            (before,),
        )
        self._execute(
            "delete from batches where state in ('dropped', 'expired') and touched_at < ?"
            " and not exists (select 1 from pages where pages.batch = batches.id)",
            (before,),
        )

    def add_token(self, row: TokenRecord) -> bool:
        values = structs.astuple(row)
        sql = f"insert into tokens ({_TOKEN}) values ({marks(values)}) on conflict do nothing"
        return bool(self._execute(sql, values).rowcount)

    def token(self, token_hash: bytes) -> TokenRecord | None:
        return self._one(TokenRecord, f"select {_TOKEN} from tokens where hash = ?", token_hash)

    def tokens(self) -> Sequence[TokenRecord]:
        return self._all(TokenRecord, f"select {_TOKEN} from tokens order by token_id")

    def use_token(self, token_id: str, at: int) -> None:
        self._execute("update tokens set used_at = ? where token_id = ?", (at, token_id))

    def revoke_token(self, token_id: str, by: str, at: int) -> None:
        self._execute(
            "update tokens set revoked_by = ?, revoked_at = ?"
            " where token_id = ? and revoked_at is null",
            (by, at, token_id),
        )
