"""The table `audit`."""

from collections.abc import Sequence

from msgspec import structs

from anyscale.domain.models.audit import AuditFilter
from anyscale.server.store.records.audit import AuditRecord
from anyscale.server.store.sql.connection import Table, columns, marks

__all__ = ["Audit"]

#: The number that stands for the end of the log in locks. Any number, but the same in all versions.
_LOCK = 0x6D757374_61756469

#: larger than the number of every entry
_NUMBERS_END = 2**63 - 1

_ENTRY = f"select {columns(AuditRecord)} from audit"
#: conditions by the field of a filter; the second one of a subject is that of its index
_FILTERS = {
    "actor": "actor = ?",
    "event": "event = ?",
    "subject": "subject = ? and subject <> ''",
}

#: the filter that selects all entries
ALL = AuditFilter()

_EVENTS = (
    "with recursive found (event) as (select min(event) from audit union all"
    " select (select min(event) from audit where event > found.event) from found"
    " where found.event is not null) select event from found where event is not null"
)

_ADD = f"insert into audit ({columns(AuditRecord)}) values "


class Audit(Table):
    """The audit log."""

    def lock(self) -> AuditRecord | None:
        """Lock the audit log until the transaction ends, and return its last entry."""
        # A statement of its own takes the lock, so that the next one sees what the previous owner
        # of the lock has committed.
        self._connection.lock(_LOCK)
        return self.get_last()

    def get_last(self) -> AuditRecord | None:
        return self._connection.one(AuditRecord, f"{_ENTRY} order by number desc limit 1")

    def add(self, *entries: AuditRecord) -> None:
        """Append entries by one statement, after `lock`."""
        rows = ", ".join([f"({marks(AuditRecord)})"] * len(entries))
        values = [value for entry in entries for value in structs.astuple(entry)]
        self._connection.execute(_ADD + rows, *values)

    def list(
        self,
        after: int,
        limit: int,
        *,
        before: int | None = None,
        newest_first: bool = False,
        only: AuditFilter = ALL,
    ) -> Sequence[AuditRecord]:
        """Return entries after a number, and before another if there is one, in either order."""
        end = _NUMBERS_END if before is None else before
        order = "number desc" if newest_first else "number"
        chosen = {name: text for name, text in structs.asdict(only).items() if text}
        where = "".join(f" and {_FILTERS[name]}" for name in chosen)
        sql = f"{_ENTRY} where number > ? and number < ?{where} order by {order} limit ?"
        return self._connection.all(AuditRecord, sql, after, end, *chosen.values(), limit)

    def list_events(self) -> Sequence[str]:
        """Return the events that entries have, in their order: a look at the index for each."""
        return self._connection.column(_EVENTS)

    def purge(self, before: int) -> AuditRecord | None:
        """Delete the entries before a time, except the last of them; return the last deleted one.

        One stays, so that the log has an end to which the next entry chains.
        """
        first = self._connection.number("select max(number) from audit where at < ?", before)
        last = self._connection.one(AuditRecord, f"{_ENTRY} where number = ?", first - 1)
        return (
            last if self._connection.execute("delete from audit where number < ?", first) else None
        )
