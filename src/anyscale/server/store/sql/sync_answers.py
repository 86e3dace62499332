"""The table `sync_answers`."""

from collections.abc import Iterable, Mapping

from anyscale.server.store.records.syncs import AnswerRecord
from anyscale.server.store.sql.connection import Table, columns, insert

__all__ = ["SyncAnswers"]

_ADD = f"{insert('sync_answers', AnswerRecord)} on conflict do nothing"
_FIND = f"select {columns(AnswerRecord)} from sync_answers where words {{any}}"


class SyncAnswers(Table):
    """What the answers to questions of syncs were the answers to."""

    def add(self, answer: AnswerRecord) -> None:
        """Store an answer, unless there is one of the same words."""
        self._connection.execute(_ADD, answer.words, answer.change, answer.answered_at)

    def find(self, words: Iterable[str]) -> Mapping[str, str]:
        """Return the change of each answer that was given, by its words."""
        found = self._connection.all(AnswerRecord, _FIND, self._connection.texts(words))
        return {one.words: one.change for one in found}
