"""Runs: entries in a row of one actor and one event, such as the suspensions of a whole list."""

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from msgspec import Struct

from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.models.audit import AuditFilter
from anyscale.server.store.records.audit import AuditRecord
from anyscale.server.store.transaction import Transaction

#: Entries that make a run. Fewer, such as what somebody did in the console, are listed one by one.
_FEWEST = 10

#: entries of a read
_READ = 60


class Run(Struct, frozen=True):
    """The ends of a run, or an entry that is not of one, which is both."""

    newest: AuditEntry
    oldest: AuditEntry

    @property
    def count(self) -> int:
        """The number of entries; without a query, since their numbers have no gaps."""
        return self.newest.number - self.oldest.number + 1


def ends_of_runs(
    tx: Transaction, place: int | None, only: AuditFilter, *, newest_first: bool
) -> Iterator[tuple[AuditRecord, AuditRecord]]:
    """Give the first and the last entry of each run, in either order.

    Args:
        tx: reads the log.
        place: only entries before this number, or after it; None for all.
        only: a period, and nothing else, which would leave gaps.
        newest_first: whether to list them in the reverse order.
    """
    while read := tx.audit.list(
        0 if newest_first else place or 0,
        _READ,
        before=place if newest_first else None,
        newest_first=newest_first,
        only=only,
    ):
        *groups, last = (list(group) for _, group in groupby(read, attrgetter("actor", "event")))
        if len(last) >= _FEWEST:
            end = tx.audit.end_of_run(last[-1], newest_first=newest_first, only=only)
            groups.append([*last, end])
        elif len(read) < _READ:
            groups.append(last)  # else the next read begins with it
        for group in groups:
            ends = [(group[0], group[-1])]
            yield from ends if len(group) >= _FEWEST else ((one, one) for one in group)
        place = groups[-1][-1].number
