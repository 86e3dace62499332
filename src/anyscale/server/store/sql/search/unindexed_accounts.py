"""The accounts that have no words in the index yet, in the order in which they get them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from anyscale.server.store.records.search import AccountTextsRecord, IndexPlace
from anyscale.server.store.sql.connection import Table
from anyscale.server.store.user_ids import (
    MAX_POSITION,
    end_of_batch,
    position_of,
    user_id,
    user_ids,
)

#: in a watermark, the end of a publication
END_POSITION = MAX_POSITION

#: Publications of which one call lists accounts, at most. Each costs a look-up of its last account.
_MOST_PUBLICATIONS = 300

# Each publication comes with its last account. The search for it starts at the end of the ids,
# because a batch may have a million.
_PUBLICATIONS = """
    select publication, batch_id, (
        select user_id from users
        where user_id > 'usr_' || substr(batch_id, 5)
            and user_id < 'usr_' || substr(batch_id, 5) || 'g'
        order by user_id desc limit 1
    ) from batches where publication >= ? order by publication limit ?
"""

_ACCOUNTS = """
    select publication, user_id, name, lastname, email
    from users join batches on batches.id = users.batch
    where user_id {any} order by publication, user_id
"""

_ACCOUNTS_FROM = """
    select ?, user_id, name, lastname, email from users
    where user_id >= ? and user_id < ? order by user_id limit ?
"""

# SQL adds the numbers up, because there may be 100,000 small batches.
_UNINDEXED = """
    select coalesce(sum(users), 0), coalesce(sum(users + skipped), 0)
    from chunks join batches on batches.id = chunks.batch where publication {of}
"""


class _Publication(NamedTuple):
    """A published batch that has accounts without words."""

    number: int
    batch_id: str
    #: positions without words, from the first one to the last account
    positions: range

    def place(self, count: int) -> IndexPlace:
        """Return the place of the last of the first `count` positions without words."""
        return IndexPlace(self.number, self.positions[count - 1])


def _positions(after: IndexPlace, publication: int, last_id: str | None) -> range:
    """Return the positions of a publication after a watermark, up to its last account."""
    first = after.position + 1 if publication == after.publication else 0
    return range(first, position_of(last_id) + 1 if last_id else 0)


def _fitting(publications: Iterable[_Publication], limit: int) -> Iterator[_Publication]:
    """Generate the first publications that have no more positions than a limit, all together."""
    for publication in publications:
        limit -= len(publication.positions)
        if limit < 0:
            return
        yield publication


class UnindexedAccounts(Table):
    """The accounts beyond a watermark of the index of words."""

    def list(
        self, after: IndexPlace, limit: int
    ) -> tuple[Sequence[AccountTextsRecord], IndexPlace]:
        """Return the first accounts beyond a watermark, in order, and the watermark after them.

        Without accounts, the second watermark may still be after the first one: all accounts of a
        publication may have been deleted. It is the same if there is no publication beyond it.
        """
        publications = self._publications(after)
        small = list(_fitting(publications, limit))
        if publications and not small:
            return self._list_large(publications[0], limit)
        ids = chain.from_iterable(user_ids(one.batch_id, one.positions) for one in small)
        texts = self._connection.texts(ids)
        found = self._connection.all(AccountTextsRecord, _ACCOUNTS, texts)
        return found, IndexPlace(small[-1].number, END_POSITION) if small else after

    def _list_large(
        self, one: _Publication, limit: int
    ) -> tuple[Sequence[AccountTextsRecord], IndexPlace]:
        """List accounts of a publication that has more positions than the limit."""
        first, end = user_id(one.batch_id, one.positions[0]), end_of_batch(one.batch_id)
        found = self._connection.all(
            AccountTextsRecord, _ACCOUNTS_FROM, one.number, first, end, limit
        )
        whole = IndexPlace(one.number, END_POSITION)
        return found, whole if len(found) < limit else found[-1].place

    def _publications(self, after: IndexPlace) -> Sequence[_Publication]:
        first = after.publication + (after.position == END_POSITION)
        rows = self._connection.rows(_PUBLICATIONS, first, _MOST_PUBLICATIONS)
        return [
            _Publication(number, batch_id, _positions(after, number, last_id))
            for number, batch_id, last_id in rows
        ]

    def count(self, watermark: IndexPlace) -> int:
        """Count the accounts beyond a watermark, from the chunks of their batches.

        It is an estimate: it counts deleted accounts too, and takes the skipped entries of a batch
        that is indexed in part to be spread evenly.
        """
        (later,) = self._connection.rows(_UNINDEXED.replace("{of}", "> ?"), watermark.publication)
        (current,) = self._connection.rows(_UNINDEXED.replace("{of}", "= ?"), watermark.publication)
        users, entries = map(int, current)
        left = max(entries - watermark.position - 1, 0)
        return int(later[0]) + (-(-users * left // entries) if entries else 0)

    def find_end(self, after: IndexPlace, limit: int) -> IndexPlace:
        """Return the end of a segment of at most `limit` positions; `after` if there is none."""
        publications = self._publications(after)
        if small := list(_fitting(publications, limit)):
            return IndexPlace(small[-1].number, END_POSITION)
        return publications[0].place(limit) if publications else after
