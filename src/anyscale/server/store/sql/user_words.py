"""The tables `user_words` and `search_index`: the words of accounts."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from anyscale.server.store.search_records import (
    AccountTextsRecord,
    FoundUserRecord,
    FoundWord,
    Place,
    SearchIndexRecord,
)
from anyscale.server.store.sql.connection import Table, columns
from anyscale.server.store.word_rows import (
    Word,
    WordRow,
    distinct_words,
    runs,
    words_of_account,
)

__all__ = ["END_POSITION", "Words"]

#: the last position that a `user_id` can contain: in a watermark, the end of a publication
END_POSITION = 16**8 - 1

#: publications of which one call lists accounts: as many as the slice of accounts that is indexed
_MOST_PUBLICATIONS = 300

_COLUMNS = {"word": "text", "is_leading": "bool", "publication": "int8", "position": "int8"}

_STATE = f"select {columns(SearchIndexRecord)} from search_index"

_USER = columns(
    FoundUserRecord,
    "users",
    created_at="published_at",
    publication="batches.publication",
    has_password="password_hash is not null",  # noqa: S106 - SQL, and no password
)

# The limit is on the words and not on the users: one call looks at so many rows at most.
_RANGE = f"""
    select found.word, found.publication, found.position, {_USER}
    from (
        select word, publication, position from user_words
        where is_leading = ? and (word, publication, position) > (?, ?, ?) {{end}}
        order by word, publication, position limit ?
    ) as found
    left join batches on batches.publication = found.publication
        and (found.publication < ? or found.publication = ? and found.position <= ?)
    left join users on user_id = 'usr_' || substr(batch_id, 5) || {{digits_of_position}}
    order by found.word, found.publication, found.position
"""

# Each with its last account, from the end of its ids: a batch may be large.
_PUBLICATIONS = """
    select publication, 'usr_' || substr(batch_id, 5), (
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

# By ranges, since accounts that follow each other in a batch have many words in common.
_REMOVE = (
    "delete from user_words where is_leading = ? and word {any} and publication = ?"
    " and position >= ? and position <= ?"
)

# Summed here, and not batch by batch in Python: there may be 100,000 small ones.
_UNINDEXED = """
    select coalesce(sum(users), 0), coalesce(sum(users + skipped), 0)
    from chunks join batches on batches.id = chunks.batch where publication {of}
"""


class _Publication(NamedTuple):
    """A published batch that has accounts without words."""

    number: int
    #: how the ids of its accounts begin
    prefix: str
    #: positions without words, from the first one to the last account
    left: range

    def place(self, count: int) -> Place:
        """Return the place of the last one of so many accounts without words."""
        return Place(self.number, self.left[count - 1])


def _left(after: Place, publication: int, last_id: str | None) -> range:
    first = after.position + 1 if publication == after.publication else 0
    return range(first, int(last_id[-8:], 16) + 1 if last_id else 0)


def _fitting(publications: Iterable[_Publication], limit: int) -> Iterator[_Publication]:
    """Generate the first publications that have no more positions than a limit, all together."""
    for publication in publications:
        limit -= len(publication.left)
        if limit < 0:
            return
        yield publication


class Words(Table):
    """The words of the accounts.

    In the order of publication and position, all accounts up to the watermark have exactly the
    words of their texts. Those up to the end of a segment that is being filled may have some of
    theirs, and no later ones have any. So a transaction that fills the index, or deletes or changes
    an account, locks the watermark. If it changes an account of the segment, it takes the index
    from its holder, who has read the old texts.
    """

    def get_state(self) -> SearchIndexRecord:
        return self._connection.all(SearchIndexRecord, _STATE)[0]

    def lock(self) -> SearchIndexRecord:
        """Lock the watermark until the transaction ends, and return it."""
        return self._connection.all(SearchIndexRecord, f"{_STATE} {{for_update}}")[0]

    def range(
        self,
        *,
        is_leading: bool,
        first: str,
        end: str | None,
        after: tuple[str, int, int] | None,
        watermark: Place,
        limit: int,
    ) -> list[FoundWord]:
        """Return words by (word, publication, position), each with its account.

        Args:
            is_leading: whether to look at leading words, or at the others.
            first: the first word that may be returned.
            end: the first word that may not be returned; None for no end. `first` and U+0001, which
                is part of no word and which both databases can store, is the end of `first` alone.
            after: word, publication and position of the last row of the previous call.
            watermark: accounts beyond it are None.
            limit: how many rows are returned at most.
        """
        # No publication is 0, so all rows of the first word are behind this one.
        start = after or (first, 0, 0)
        publication, position = watermark.publication, watermark.position
        rows = self._connection.rows(
            _RANGE.replace("{end}", "" if end is None else "and word < ?"),
            is_leading,
            *start,
            *(() if end is None else (end,)),
            limit,
            publication,
            publication,
            position,
        )
        return [FoundWord(row[0], row[1], row[2], _found_user(row[3:])) for row in rows]

    def count(self, *, is_leading: bool, first: str, end: str | None, limit: int) -> int:
        """Count rows from a word up to another one, as far as a limit."""
        rows = (
            "select 1 from user_words where is_leading = ? and word >= ?"
            f"{'' if end is None else ' and word < ?'} limit ?"
        )
        values = [first] if end is None else [first, end]
        return self._connection.number(
            f"select count(*) from ({rows}) as found", is_leading, *values, limit
        )

    def list_unindexed(
        self, after: Place, limit: int
    ) -> tuple[Sequence[AccountTextsRecord], Place]:
        """Return the first accounts beyond a watermark, in order, and the watermark behind them.

        That one is the same if there is no publication beyond it.
        """
        publications = self._publications(after)
        small = list(_fitting(publications, limit))
        if publications and not small:
            return self._list_large(publications[0], limit)
        ids = [f"{one.prefix}{position:08x}" for one in small for position in one.left]
        texts = self._connection.texts(ids)
        found = self._connection.all(AccountTextsRecord, _ACCOUNTS, texts)
        return found, Place(small[-1].number, END_POSITION) if small else after

    def _list_large(
        self, one: "_Publication", limit: int
    ) -> tuple[Sequence[AccountTextsRecord], Place]:
        """Do the same in a publication that has more positions than the limit."""
        first, end = f"{one.prefix}{one.left[0]:08x}", f"{one.prefix}g"
        found = self._connection.all(
            AccountTextsRecord, _ACCOUNTS_FROM, one.number, first, end, limit
        )
        whole = Place(one.number, END_POSITION)
        return found, whole if len(found) < limit else found[-1].place

    def _publications(self, after: Place) -> list["_Publication"]:
        first = after.publication + (after.position == END_POSITION)
        rows = self._connection.rows(_PUBLICATIONS, first, _MOST_PUBLICATIONS)
        return [
            _Publication(number, prefix, _left(after, number, last_id))
            for number, prefix, last_id in rows
        ]

    def count_unindexed(self) -> int:
        """Count the accounts that have no words yet, from the chunks of their batches.

        Of a batch that is indexed in part it is an estimate. Deleted accounts are counted too.
        """
        state = self.get_state()
        (later,) = self._connection.rows(_UNINDEXED.replace("{of}", "> ?"), state.publication)
        (current,) = self._connection.rows(_UNINDEXED.replace("{of}", "= ?"), state.publication)
        users, entries = map(int, current)
        left = max(entries - state.position - 1, 0)
        return int(later[0]) + (-(-users * left // entries) if entries else 0)

    def find_end(self, after: Place, limit: int) -> Place:
        """Return the end of a segment of so many positions at most; `after` if nothing is left."""
        publications = self._publications(after)
        if small := list(_fitting(publications, limit)):
            return Place(small[-1].number, END_POSITION)
        return publications[0].place(limit) if publications else after

    def begin(self, end: Place, holder: str, until: int) -> None:
        """Let a holder fill the index up to a place, after `lock`."""
        sql = "update search_index set end_publication = ?, end_position = ?, holder = ?, until = ?"
        self._connection.execute(sql, *end, holder, until)

    def add(self, rows: Sequence[WordRow]) -> None:
        """Add words that the index has not, after `lock`."""
        self._connection.insert_many("user_words", _COLUMNS, rows)

    def add_missing(self, rows: Sequence[WordRow]) -> None:
        """Add those words that the index has not; on PostgreSQL this takes twice as long."""
        self._connection.insert_missing("user_words", _COLUMNS, rows)

    def prolong(self, until: int) -> None:
        """Leave the index to its holder until a time, after `lock`."""
        self._connection.execute("update search_index set until = ?", until)

    def finish(self, watermark: Place) -> None:
        """Move the watermark behind accounts that have all their words, after `lock`."""
        sql = "update search_index set publication = ?, position = ?"
        self._connection.execute(sql, *watermark)

    def defer(self, until: int) -> None:
        """Leave the filling alone until a time."""
        self._connection.execute("update search_index set holder = '', until = ?", until)

    def forget(self, accounts: Sequence[AccountTextsRecord]) -> None:
        """Remove the words of accounts that this transaction deletes."""
        state = self.lock()
        for run in runs([account for account in accounts if account.place <= state.end]):
            self._remove(run[0].place, run[-1].place, distinct_words(run))
            self._interrupt(state, run[-1].place)

    def replace(self, old: AccountTextsRecord, new: AccountTextsRecord) -> None:
        """Replace the words of an account whose texts this transaction changes."""
        before, after = set(words_of_account(old)), set(words_of_account(new))
        if before == after or new.place > (state := self.lock()).end:
            return
        self._remove(new.place, new.place, before - after)
        self._interrupt(state, new.place)
        if new.place <= state.watermark:
            self.add([(*word, *new.place) for word in after - before])

    def _interrupt(self, state: SearchIndexRecord, changed: Place) -> None:
        """Let the holder begin its segment again if it has read an account that is changed."""
        # Without a holder, `until` is of an undo that defers the filling.
        if state.holder and changed > state.watermark:
            self.defer(0)

    def _remove(self, first: Place, last: Place, words: Iterable[Word]) -> None:
        """Remove words of all accounts from one place to another one of its publication."""
        for is_leading in (False, True):
            texts = sorted(word for word, leads in words if leads == is_leading)
            values = (is_leading, self._connection.texts(texts), first.publication)
            self._connection.execute(_REMOVE, *values, first.position, last.position)


def _found_user(values: tuple[Any, ...]) -> FoundUserRecord | None:
    if values[0] is None:
        return None
    return msgspec.convert(values, FoundUserRecord, strict=False)
