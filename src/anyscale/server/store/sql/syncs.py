"""The tables `syncs` and `sync_answers`."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import structs

from anyscale.server.store.records.syncs import AnswerRecord, SyncRecord
from anyscale.server.store.sql.connection import Table, columns, insert

_SYNC = f"select {columns(SyncRecord)} from syncs"
_ADD = insert("syncs", SyncRecord)
_ADD_ANSWER = f"{insert('sync_answers', AnswerRecord)} on conflict do nothing"
_FIND_ANSWERS = f"select {columns(AnswerRecord)} from sync_answers where words {{any}}"
_SAVED = SyncRecord.__struct_fields__[SyncRecord.__struct_fields__.index("touched_at") :]
_SAVE = f"update syncs set {', '.join(f'{name} = ?' for name in _SAVED)} where sync_id = ?"


class Syncs(Table):
    """The syncs that the console has started."""

    def add(self, sync: SyncRecord) -> bool:
        """Insert a sync; return False if its form key is in use."""
        values = structs.astuple(sync)
        return bool(self._connection.execute(f"{_ADD} on conflict do nothing", *values))

    def get(self, sync_id: str) -> SyncRecord | None:
        return self._connection.one(SyncRecord, f"{_SYNC} where sync_id = ?", sync_id)

    def of_form(self, form_key: str) -> SyncRecord | None:
        return self._connection.one(SyncRecord, f"{_SYNC} where form_key = ?", form_key)

    def of_batches(self, batch_ids: Sequence[str]) -> Sequence[SyncRecord]:
        """Return those that have created the accounts of some batches."""
        sql = f"{_SYNC} where batch_id {{any}}"
        return self._connection.all(SyncRecord, sql, self._connection.texts(batch_ids))

    def list(self, limit: int) -> Sequence[SyncRecord]:
        """Return the latest ones first."""
        return self._connection.all(SyncRecord, f"{_SYNC} order by sync_id desc limit ?", limit)

    def save(self, sync: SyncRecord) -> None:
        self._connection.execute(_SAVE, *(getattr(sync, name) for name in _SAVED), sync.sync_id)

    def purge(self, before: int) -> None:
        """Delete those that were last touched before a time."""
        self._connection.execute("delete from syncs where touched_at < ?", before)


class SyncAnswers(Table):
    """What the answers to questions of syncs were the answers to."""

    def add(self, answer: AnswerRecord) -> None:
        """Store an answer, unless there is one of the same words."""
        self._connection.execute(_ADD_ANSWER, answer.words, answer.change, answer.answered_at)

    def find(self, words: Iterable[str]) -> Mapping[str, str]:
        """Return the change of each answer that was given, by its words."""
        found = self._connection.all(AnswerRecord, _FIND_ANSWERS, self._connection.texts(words))
        return {one.words: one.change for one in found}
