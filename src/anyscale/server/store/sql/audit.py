"""The table `audit`."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import structs

from anyscale.domain.models.audit import AuditFilter
from anyscale.server.store.records.audit import AuditRecord
from anyscale.server.store.sql.connection import Table, columns, marks
from anyscale.server.store.user_ids import batch_id_of, is_id_of, position_of

#: The number that stands for the end of the log in locks. Any number, but the same in all versions.
_LOCK = 0x6D757374_61756469

#: larger than the number of every entry
_NUMBERS_END = 2**63 - 1

#: Entries that are read for the end of a run: some 10 to 20 ms. A sync or an action of the console
#: for all that match writes as many at most.
_MAX_RUN = 100_000

_ENTRY = f"select {columns(AuditRecord)} from audit"

_NEWEST = "select max(number) from audit"

#: the second condition is that of the index
_SUBJECT = "subject = ? and subject <> ''"

#: conditions by the field of a filter
_FILTERS = {"actor": "actor = ?", "event": "event = ?", "subject": _SUBJECT}

#: what happens to all accounts of a batch
_OF_ALL = "event in ('batch.published', 'mailing.requested', 'mailing.stopped')"

#: the filter that selects all entries
_ALL = AuditFilter()

_EVENTS = (
    "with recursive found (event) as (select min(event) from audit union all"
    " select (select min(event) from audit where event > found.event) from found"
    " where found.event is not null) select event from found where event is not null"
)

_CREATED = (
    "select min(number) from audit where subject {any} and subject <> ''"
    " and event in ('account.created', 'batch.published')"
)

#: mails to all accounts that cannot be signed in to, between two numbers
_TO_ALL = (
    "event in ('mailing.requested', 'mailing.stopped') and subject = ''"
    " and number > ? and number <= ?"
)

_DELETED = "select number, data from audit where subject = ? and subject <> '' and event = ?"

_TOKENS = "select subject from audit where actor = ? and event = 'token.created' and data like ?"

# In the order of the index. If the clock was set back, a time may be there twice: then all entries
# up to the later one are from before. So of two periods, one of which ends when the other begins,
# exactly one has each entry.
_LAST_BEFORE = "select number from audit where at < ? order by at desc, number desc limit 1"

# By the key: what is found in a long run is not worth an index that each entry pays for.
_END_OF_RUN = (
    f"{_ENTRY} where number {{toward}} coalesce((select number from audit where number > ?"
    " and number < ? and (actor <> ? or event <> ?) order by number {order} limit 1), ?)"
    " order by number {back} limit 1"
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
        return self._connection.one(AuditRecord, f"{_ENTRY} where number = ({_NEWEST})")

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
        only: AuditFilter = _ALL,
    ) -> Sequence[AuditRecord]:
        """Return entries after a number, and before another if there is one, in either order."""
        first, end = self._numbers(only, after, _NUMBERS_END if before is None else before)
        order = "number desc" if newest_first else "number"
        chosen = {name: text for name in _FILTERS if (text := getattr(only, name))}
        where = "".join(f" and {_FILTERS[name]}" for name in chosen)
        sql = f"{_ENTRY} where number > ? and number < ?{where}{{}} order by {order} limit ?"
        given = [first, end, *chosen.values()]
        if not only.account:
            return self._connection.all(AuditRecord, sql.format(""), *given, limit)
        parts, values = [], list[Any]()
        # Each part reads an index in the order of the page.
        for condition, own in self._of_account(only.account):
            parts.append(f"select * from ({sql.format(condition)}) as part")
            values += *given, *own, limit
        union = f"{' union '.join(parts)} order by {order} limit ?"
        return self._connection.all(AuditRecord, union, *values, limit)

    def end_of_run(
        self, first: AuditRecord, *, newest_first: bool = False, only: AuditFilter = _ALL
    ) -> AuditRecord:
        """Return the last entry before one of another actor or event, in either order.

        It is of the period, and at most the hundred thousandth: a longer run has several ends.
        """
        around = (-_MAX_RUN, 1) if newest_first else (-1, _MAX_RUN)
        low, high = self._numbers(only, *(first.number + distance for distance in around))
        toward, order, back, end = (
            (">", "desc", "", low) if newest_first else ("<", "", "desc", high)
        )
        sql = _END_OF_RUN.format(toward=toward, order=order, back=back)
        last = self._connection.one(AuditRecord, sql, low, high, first.actor, first.event, end)
        return last or first

    def _numbers(self, only: AuditFilter, after: int, end: int) -> tuple[int, int]:
        """Return the numbers around the entries of a period and between two numbers."""
        if only.since is not None:
            after = max(after, self._last_before(only.since))
        if only.until is not None:
            end = min(end, self._last_before(only.until) + 1)
        return after, end

    def _last_before(self, at: int) -> int:
        """Return the number of the last entry from before a time; 0 if there is none."""
        # After the clock was set back, the newest entries are not the latest ones.
        newest = self.get_last()
        if newest and newest.at < at:
            return newest.number
        return self._connection.number(_LAST_BEFORE, at)

    def _of_account(self, user_id: str) -> Iterator[tuple[str, Sequence[Any]]]:
        """Give the conditions for what happened to an account, and what its user did."""
        actor, batch_id = f"user:{user_id}", batch_id_of(user_id)
        yield f" and {_SUBJECT}", [user_id]
        yield f" and {_FILTERS['actor']}", [actor]
        end = self._deleted(batch_id, user_id) or _NUMBERS_END
        yield f" and {_SUBJECT} and {_OF_ALL} and number <= ?", [batch_id, end]
        ids = self._connection.texts([user_id, batch_id])
        yield f" and {_TO_ALL}", [self._connection.number(_CREATED, ids), end]
        yield " and number = ?", [end]
        if tokens := self._connection.column(_TOKENS, actor, f'%"user_id":"{user_id}"%'):
            yield " and subject {any} and subject <> ''", [self._connection.texts(tokens)]

    def _deleted(self, batch_id: str, user_id: str) -> int:
        """Return the number of the entry of the deletion of an account; 0 if there is none."""
        number = self._connection.number(_DELETED, user_id, "account.deleted")
        return number or self._deleted_with_batch(batch_id, user_id)

    def _deleted_with_batch(self, batch_id: str, user_id: str) -> int:
        """Return the number of the entry of an undo that deleted an account; 0 if there is none."""
        if not is_id_of(batch_id, user_id):
            return 0
        for number, data in self._connection.rows(_DELETED, batch_id, "batch.accounts_deleted"):
            if _has_position(msgspec.json.decode(data)["positions"], position_of(user_id)):
                return int(number)
        return 0

    def list_of_subjects(self, event: str, subjects: Sequence[str]) -> Sequence[AuditRecord]:
        """Return the entries of one event about some subjects, in their order."""
        sql = f"{_ENTRY} where event = ? and subject {{any}} and subject <> '' order by number"
        return self._connection.all(AuditRecord, sql, event, self._connection.texts(subjects))

    def list_events(self) -> Sequence[str]:
        """Return the events that entries have, in their order: a look at the index for each."""
        return self._connection.column(_EVENTS)

    def purge(self, before: int) -> AuditRecord | None:
        """Delete the entries before a time, except the last of them; return the last deleted one.

        One stays, so that the log has an end to which the next entry chains.
        """
        first = self._last_before(before)
        last = self._connection.one(AuditRecord, f"{_ENTRY} where number = ?", first - 1)
        return (
            last if self._connection.execute("delete from audit where number < ?", first) else None
        )


def _has_position(ranges: str, position: int) -> bool:
    """Whether ranges such as `0-7,9` have a position."""
    ends = (one.partition("-") for one in ranges.split(","))
    return any(int(first) <= position <= int(last or first) for first, _, last in ends)
