"""The table `password_resets`."""

from collections.abc import Mapping

from msgspec import structs

from anyscale.server.store.records.mail import QueuedMails
from anyscale.server.store.records.password_resets import PasswordResetRecord
from anyscale.server.store.sql.connection import Table, columns, insert

_ADD = insert("password_resets", PasswordResetRecord)
_LOCK = 0x6D757374_72657365


class PasswordResets(Table):
    """Requests of people who forgot their password: those to look up, and those of the last day."""

    def lock(self) -> None:
        """Let other transactions that count and add requests wait until this one ends."""
        self._connection.lock(_LOCK)

    def add(self, reset: PasswordResetRecord) -> None:
        self._connection.execute(_ADD, *structs.astuple(reset))

    def latest(self, which: Mapping[str, object], number: int, until: int) -> int:
        """Return when the n-th last request with these values was created; 0 without so many.

        Args:
            which: the values of columns.
            number: n: 1 for the last one, 2 for the one before, and so on.
            until: later ones do not count: a clock was ahead.
        """
        conditions = " and ".join(f"{column} = ?" for column in which)
        sql = (
            f"select created_at from password_resets where {conditions} and created_at <= ?"
            " order by created_at desc limit 1 offset ?"
        )
        return self._connection.number(sql, *which.values(), until, number - 1)

    def count_waiting(self, most: int) -> int:
        """Count the requests to look up, at most some."""
        sql = (
            "select count(*) from"
            " (select 1 from password_resets where email is not null limit ?) as waiting"
        )
        return self._connection.number(sql, most)

    def queued(self) -> QueuedMails:
        """Return how many requests are to be looked up, and since when the oldest waits."""
        sql = (
            "select count(*), coalesce(min(created_at), 0) from password_resets"
            " where email is not null"
        )
        return self._connection.one(QueuedMails, sql) or QueuedMails(0, 0)

    def last_due(self, until: int) -> int:
        """Return when the last request is looked up, but for those after a time; 0 without any."""
        sql = "select coalesce(max(due_at), 0) from password_resets where due_at <= ?"
        return self._connection.number(sql, until)

    def next_due(self) -> int | None:
        """Return when the next request is to be looked up; None without any."""
        sql = "select min(due_at) from password_resets where email is not null"
        [due_at] = self._connection.column(sql)
        return None if due_at is None else int(due_at)

    def take_due(self, now: int) -> PasswordResetRecord | None:
        """Return the next request that is due, and delete its email; None without any.

        The others for the same email, which wait too, are looked up with it.
        """
        sql = (
            f"select {columns(PasswordResetRecord)} from password_resets"
            " where email is not null and due_at <= ? order by due_at limit 1 {skip_locked}"
        )
        if reset := self._connection.one(PasswordResetRecord, sql, now):
            self._forget("email_hash = ?", reset.email_hash)
        return reset

    def forget(self, before: int) -> None:
        """Delete the emails of the requests that were created before a time."""
        self._forget("created_at < ?", before)

    def purge(self, before: int, until: int, most: int) -> None:
        """Delete the requests before a time and after one, and the oldest beyond some.

        Of these only those without an email.
        """
        sql = (
            "delete from password_resets where created_at < ? or created_at > ? or email is null"
            " and reset_id <="
            " (select reset_id from password_resets order by reset_id desc limit 1 offset ?)"
        )
        self._connection.execute(sql, before, until, most)

    def advance(self, to: int, after: int) -> None:
        """Let requests that are due after a time be due: a clock was ahead when they were made."""
        sql = "update password_resets set due_at = ? where email is not null and due_at > ?"
        self._connection.execute(sql, to, after)

    def _forget(self, which: str, value: object) -> None:
        sql = f"update password_resets set email = null where email is not null and {which}"
        self._connection.execute(sql, value)
