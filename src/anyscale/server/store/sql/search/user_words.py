"""The tables `user_words` and `search_index`: the words of accounts, and their progress."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from anyscale.server.store.records.search import (
    AccountTextsRecord,
    Filters,
    FoundUserRecord,
    FoundWord,
    IndexPlace,
    Scan,
    SearchIndexRecord,
)
from anyscale.server.store.sql.connection import Table, columns
from anyscale.server.store.sql.factors import without_second_factor
from anyscale.server.store.sql.search.user_scan import filtered
from anyscale.server.store.sql.sign_in_methods import WITHOUT_CREDENTIALS, sign_in
from anyscale.server.store.word_rows import (
    Word,
    WordRow,
    distinct_words,
    runs,
    words_of_account,
)
from anyscale.server.store.words import LEADING, OF_EMAIL, OF_NAME

_COLUMNS = {"word": "text", "kind": "int2", "publication": "int8", "position": "int8"}

_ANY = Filters()

_STATE = f"select {columns(SearchIndexRecord)} from search_index"

_USER = columns(
    FoundUserRecord,
    "users",
    created_at="published_at",
    publication="batches.publication",
    without_credentials=WITHOUT_CREDENTIALS,
    without_second_factor=without_second_factor("users"),
    sign_in=sign_in("users"),
)

# The limit is on the rows of words, before the joins, so that it also bounds the rows that a call
# reads.
_RANGE = f"""
    select found.word, found.publication, found.position, {_USER}
    from (
        select word, publication, position from user_words
        where kind = ? and (word, publication, position) > (?, ?, ?) {{end}}
        order by word, publication, position limit ?
    ) as found
    left join batches on batches.publication = found.publication
        and (found.publication < ? or found.publication = ? and found.position <= ?)
    left join users on user_id = 'usr_' || substr(batch_id, 5) || {{digits_of_position}}
        {{conditions}}
    order by found.word, found.publication, found.position
"""

# It deletes by ranges of positions, because accounts that follow each other in a batch share many
# words.
_REMOVE = (
    "delete from user_words where kind = ? and word {any} and publication = ?"
    " and position >= ? and position <= ?"
)


class Words(Table):
    """The words of the accounts.

    In the order of publication and position, all accounts up to the watermark have exactly the
    words of their texts. Those up to the end of a segment that is being filled may have some of
    theirs, and no later ones have any. So a transaction that fills the index, or deletes or changes
    an account, locks the watermark.

    The process that fills a segment has a lease on the index. A transaction that changes an account
    of the segment ends the lease, because its holder has read the old texts.
    """

    def get_state(self) -> SearchIndexRecord:
        return self._connection.all(SearchIndexRecord, _STATE)[0]

    def lock(self) -> SearchIndexRecord:
        """Lock the watermark until the transaction ends, and return it."""
        return self._connection.all(SearchIndexRecord, f"{_STATE} {{for_update}}")[0]

    def range(
        self,
        *,
        kind: int,
        first: str,
        end: str | None,
        after: tuple[str, int, int] | None,
        watermark: IndexPlace,
        limit: int,
        filters: Filters = _ANY,
        parts: Sequence[str] = (),
    ) -> list[FoundWord]:
        """Return words by (word, publication, position), each with its account.

        Args:
            kind: of the words: `LEADING`, `OF_NAME` or `OF_EMAIL`.
            first: the first word that may be returned.
            end: the first word that may not be returned; None for no end. `first` and U+0001, which
                is part of no word and which both databases can store, is the end only of `first`.
            after: word, publication and position of the last row of the previous call; None for the
                first call.
            watermark: accounts beyond it are None.
            limit: how many rows are returned at most.
            filters: accounts that these leave out are None. To read and to compare an account takes
                ten times as long. A batch is not looked at.
            parts: accounts that do not contain all of these texts are None.
        """
        # No publication is 0, so all rows of the first word come after this one.
        start = after or (first, 0, 0)
        publication, position = watermark.publication, watermark.position
        conditions, values = filtered(Scan(filters, parts), "users")
        rows = self._connection.rows(
            _RANGE.replace("{end}", "" if end is None else "and word < ?").replace(
                "{conditions}", conditions
            ),
            kind,
            *start,
            *(() if end is None else (end,)),
            limit,
            publication,
            publication,
            position,
            *values,
        )
        return [FoundWord(row[0], row[1], row[2], _found_user(row[3:])) for row in rows]

    def count(self, *, kind: int, first: str, end: str | None, limit: int) -> int:
        """Count rows from a word up to another one, as far as a limit."""
        rows = (
            "select 1 from user_words where kind = ? and word >= ?"
            f"{'' if end is None else ' and word < ?'} limit ?"
        )
        values = [first] if end is None else [first, end]
        return self._connection.number(
            f"select count(*) from ({rows}) as found", kind, *values, limit
        )

    def find_place(self, word: str, *, kind: int, number: int) -> IndexPlace | None:
        """Return the place of the account that is the `number`th with a word, from 0 on, if any."""
        sql = (
            "select publication, position from user_words where kind = ? and word = ?"
            " order by publication, position limit 1 offset ?"
        )
        found = self._connection.rows(sql, kind, word, number)
        return IndexPlace(*found[0]) if found else None

    def lease(self, end: IndexPlace, holder: str, until: int) -> None:
        """Let a process fill the index up to a place until a time, after `lock`."""
        sql = "update search_index set end_publication = ?, end_position = ?, holder = ?, until = ?"
        self._connection.execute(sql, *end, holder, until)

    def add(self, rows: Sequence[WordRow]) -> None:
        """Add words that the index has not, after `lock`."""
        self._connection.insert_many("user_words", _COLUMNS, rows)

    def add_missing(self, rows: Sequence[WordRow]) -> None:
        """Add those words that the index has not; on PostgreSQL this takes twice as long."""
        self._connection.insert_missing("user_words", _COLUMNS, rows)

    def renew_lease(self, until: int) -> None:
        """Extend the lease until a time, after `lock`."""
        self._connection.execute("update search_index set until = ?", until)

    def finish(self, watermark: IndexPlace) -> None:
        """Move the watermark past accounts that have all their words, after `lock`."""
        sql = "update search_index set publication = ?, position = ?"
        self._connection.execute(sql, *watermark)

    def defer(self, until: int) -> None:
        """End the lease, and let no process fill the index until a time."""
        self._connection.execute("update search_index set holder = '', until = ?", until)

    def remove(self, accounts: Sequence[AccountTextsRecord]) -> None:
        """Remove the words of accounts that this transaction deletes."""
        state = self.lock()
        for run in runs(accounts, state.end):
            self._remove_range(run[0].place, run[-1].place, distinct_words(run))
            self._end_lease(state, run[-1].place)

    def replace(self, old: AccountTextsRecord, new: AccountTextsRecord) -> None:
        """Replace the words of an account whose texts this transaction changes."""
        before, after = set(words_of_account(old)), set(words_of_account(new))
        if before == after:
            return
        state = self.lock()
        if new.place > state.end:
            return
        self._remove_range(new.place, new.place, before - after)
        self._end_lease(state, new.place)
        if new.place <= state.watermark:
            self.add([(*word, *new.place) for word in after - before])

    def _end_lease(self, state: SearchIndexRecord, changed: IndexPlace) -> None:
        """End the lease if the changed account is of its segment, which is then filled anew."""
        # Without a holder, `until` is that of an undo which defers the filling, and stays.
        if state.holder and changed > state.watermark:
            self.defer(0)

    def _remove_range(self, first: IndexPlace, last: IndexPlace, words: Iterable[Word]) -> None:
        """Remove words of all accounts from one place to another one of its publication."""
        for kind in (LEADING, OF_NAME, OF_EMAIL):
            texts = sorted(word for word, own in words if own == kind)
            values = (kind, self._connection.texts(texts), first.publication)
            self._connection.execute(_REMOVE, *values, first.position, last.position)


def _found_user(values: tuple[Any, ...]) -> FoundUserRecord | None:
    if values[0] is None:
        return None
    return msgspec.convert(values, FoundUserRecord, strict=False)
