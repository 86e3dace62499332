"""What `anyscale user export` reads, and what an import of its file has to look up."""

from collections.abc import Mapping, Sequence

from anyscale.domain.models.exports import NEVER_EXPORTED
from anyscale.server.store.records.users import ExportedRecord, SubjectHolder
from anyscale.server.store.sql.connection import Table, columns

_PAGE = (
    f"select {columns(ExportedRecord)} from live_users where user_id > ? order by user_id limit ?"
)

#: how to count each of `NEVER_EXPORTED`
_LEFT_OUT = {
    "second_factors": "select count(*) from factors where confirmed_at is not null",
    "identities": "select count(*) from identities",
    "sessions": "select count(*) from sessions",
    "personal_tokens": (
        "select count(*) from tokens where user_id is not null and revoked_at is null"
    ),
    "links": "select count(*) from links",
    "former_emails": "select count(*) from former_emails where user_id <> ''",
}

# By each of the two indexes.
_SUBJECT_HOLDERS = " union ".join(
    f"select {columns(SubjectHolder, sub=column)} from users"
    f" join batches on batches.id = users.batch where {column} {{any}}"
    for column in ("subject", "user_id")
)


class Exports(Table):
    """All accounts, with the hashes of their passwords."""

    def page(self, after: str, limit: int) -> Sequence[ExportedRecord]:
        """Return accounts after a `user_id`, in the order of their ids."""
        return self._connection.all(ExportedRecord, _PAGE, after, limit)

    def count_users(self) -> int:
        """Count the accounts: those of published batches."""
        return self._connection.number("select count(*) from live_users")

    def count_left_out(self) -> Mapping[str, int]:
        """Count what belongs to accounts and is not exported, by its kind."""
        return {kind: self._connection.number(_LEFT_OUT[kind]) for kind in NEVER_EXPORTED}

    def subject_holders(self, subjects: Sequence[str]) -> Sequence[SubjectHolder]:
        """Return the rows of any batches that have one of some texts as `subject` or `user_id`."""
        texts = self._connection.texts(subjects)
        return self._connection.all(SubjectHolder, _SUBJECT_HOLDERS, texts, texts)

    def clear_subjects(self, user_ids: Sequence[str]) -> None:
        """Let rows of batches that create nobody have no subject."""
        sql = "update users set subject = null where user_id {any}"
        self._connection.execute(sql, self._connection.texts(user_ids))
