"""The tables `outbox`, `mailings` and `mail_rate`."""

from collections.abc import Iterable, Sequence
from operator import attrgetter

from msgspec import structs

from anyscale.server.store.records.mail import (
    FORGOTTEN,
    RANKS,
    SINGLE,
    MailCounts,
    MailingRecord,
    MailRecord,
    QueuedMails,
)
from anyscale.server.store.sql.connection import Table, columns, insert, upsert

_MAIL = f"select {columns(MailRecord)} from outbox"
_MAILING = f"select {columns(MailingRecord)} from mailings"

_ADD = upsert("outbox", MailRecord, "user_id, kind, address")
_ADD_MAILING = insert("mailings", MailingRecord)

_TYPES = {
    name: "int8" if name in ("created_at", "next_at") else "text"
    for name in MailRecord.__struct_fields__
} | {"rank": "int4", "attempts": "int4"}

# Another server that sends the same mail by now has another number of attempts.
_OF_ATTEMPT = "mail_id = ? and attempts = ?"

_COUNTS = (
    "select count(case when state = 'due' then 1 end),"
    " count(case when state = 'failed' then 1 end) from outbox"
)

# By the index, which a list of ranks would not use.
_FIRST_DUE = f"{_MAIL} where state = 'due' and rank = ? and next_at <= ? order by next_at limit 1"

# PostgreSQL reads the time of the inner statement before it waits for the lock.
_LOCK_RATE = (
    "select free_at, {now} from (select free_at from mail_rate where id = ? {for_update}) as rate"
)

# Another attempt of a forgotten password is a mail by itself.
_LEASE = (
    "update outbox set next_at = ?, attempts = attempts + 1,"
    f" rank = case when rank = {FORGOTTEN} then {SINGLE} else rank end"
    f" where {_OF_ATTEMPT} and state = 'due' returning {columns(MailRecord)}"
)

#: before all ids of mails and mailings, and after them
_IDS_END = "~"


class Outbox(Table):
    """Mails that are due or have failed. A mail is leased by moving its `next_at` ahead."""

    def lock_rate(self, share: int) -> tuple[int, int]:
        """Lock the one row that a server needs to take a mail of a share of the rate.

        Returns:
            When the rate allows it, and the time at which the row was locked.
        """
        [(free_at, now)] = self._connection.rows(_LOCK_RATE, share)
        return free_at, now

    def set_rate(self, share: int, free_at: int) -> None:
        """Set when the rate allows the next mail of a share."""
        self._connection.execute("update mail_rate set free_at = ? where id = ?", free_at, share)

    def add(self, mail: MailRecord) -> None:
        """Insert a mail in place of an equal one to the same account and address."""
        self._connection.execute(_ADD, *structs.astuple(mail))

    def add_many(self, mails: Sequence[MailRecord]) -> None:
        """Insert mails of one kind to accounts, in place of those that the accounts have.

        One that another transaction inserts at the same time stays. The order of the accounts is
        the same in all transactions, so that they cannot deadlock.
        """
        if not mails:
            return
        self.delete_of([mail.user_id for mail in mails], mails[0].kind)
        rows = [structs.astuple(mail) for mail in sorted(mails, key=attrgetter("user_id"))]
        self._connection.insert_missing("outbox", _TYPES, rows)

    def find_due(self, ranks: Iterable[int], now: int) -> MailRecord | None:
        """Return the mail of some ranks that comes next; None if none is due."""
        found = (self._connection.one(MailRecord, _FIRST_DUE, rank, now) for rank in ranks)
        return next(filter(None, found), None)

    def lease(self, mail: MailRecord, until: int) -> MailRecord | None:
        """Take a mail up, unless somebody else did or deleted it; return it as it is now."""
        return self._connection.one(MailRecord, _LEASE, until, mail.mail_id, mail.attempts)

    def renew(self, mail: MailRecord, until: int) -> None:
        """Lease a mail for longer, unless it is not leased by now."""
        sql = f"update outbox set next_at = ? where {_OF_ATTEMPT} and next_at < ?"
        self._connection.execute(sql, until, mail.mail_id, mail.attempts, until)

    def put_back(self, mail: MailRecord, next_at: int, error: str) -> bool:
        """Set when a leased mail is due again; return False if it is not this lease's any more."""
        sql = f"update outbox set next_at = ?, last_error = ? where {_OF_ATTEMPT}"
        return bool(self._connection.execute(sql, next_at, error, mail.mail_id, mail.attempts))

    def set_failed(self, mail: MailRecord, error: str) -> bool:
        """Keep a mail that is not sent, with the reason; return as `put_back` does."""
        sql = f"update outbox set state = 'failed', last_error = ? where {_OF_ATTEMPT}"
        return bool(self._connection.execute(sql, error, mail.mail_id, mail.attempts))

    def remove(self, mail: MailRecord) -> bool:
        """Delete a mail that was sent; return as `put_back` does."""
        sql = f"delete from outbox where {_OF_ATTEMPT}"
        return bool(self._connection.execute(sql, mail.mail_id, mail.attempts))

    def delete(self, *, user_id: str = "", by: str = "", kinds: Iterable[str] = ()) -> None:
        """Delete the mails to an account, and those that an actor requested; either may be empty.

        `kinds` are those that are deleted; all if it is empty.
        """
        which, values = "(user_id = ? or requested_by = ?)", [user_id or None, by or None]
        if chosen := list(kinds):
            which, values = f"{which} and kind {{any}}", [*values, self._connection.texts(chosen)]
        self._delete(which, *values)

    def delete_of(self, user_ids: Sequence[str], kind: str = "") -> None:
        """Delete all mails of accounts, or those of a kind that go to their emails."""
        ids = self._connection.texts(user_ids)
        if kind:
            self._delete("user_id {any} and kind = ? and address = ''", ids, kind)
        else:
            self._delete("user_id {any}", ids)

    def delete_due_of(self, mailing_id: str) -> int:
        """Delete the mails of a mailing that are due; return how many."""
        return self._delete("mailing_id = ? and state = 'due'", mailing_id)

    def list(
        self, state: str, after: str, limit: int, mailing_id: str | None = None
    ) -> Sequence[MailRecord]:
        """Return mails in a state by `mail_id`, after one; of a mailing, or '' for single ones."""
        which, values = "state = ? and mail_id > ?", [state, after]
        if mailing_id is not None:
            which, values = f"{which} and mailing_id = ?", [*values, mailing_id]
        sql = f"{_MAIL} where {which} order by mail_id limit ?"
        return self._connection.all(MailRecord, sql, *values, limit)

    def list_of(self, user_id: str) -> Sequence[MailRecord]:
        """Return the mails to an account, the latest first."""
        sql = f"{_MAIL} where user_id = ? order by mail_id desc"
        return self._connection.all(MailRecord, sql, user_id)

    def count_of(self, mailing_id: str) -> MailCounts:
        """Count the mails of a mailing that the table has; of '' the single ones."""
        counts = self._connection.one(MailCounts, f"{_COUNTS} where mailing_id = ?", mailing_id)
        return counts or MailCounts(0, 0)

    def due_by_mailing(self) -> dict[str, int]:
        """Count the mails that are due, by mailing; those by themselves have an empty one."""
        sql = "select mailing_id, count(*) from outbox where state = 'due' group by mailing_id"
        return dict(self._connection.rows(sql))

    def count_new(self, mailing_id: str) -> int:
        """Count the mails of a mailing that were not tried yet."""
        sql = "select count(*) from outbox where mailing_id = ? and state = 'due' and attempts = 0"
        return self._connection.number(sql, mailing_id)

    def queued(self) -> QueuedMails:
        """Return the length of the queue, and since when its oldest mail waits."""
        sql = "select count(*), coalesce(min(created_at), 0) from outbox where state = 'due'"
        return self._connection.one(QueuedMails, sql) or QueuedMails(0, 0)

    def advance(self, to: int, after: int) -> None:
        """Let mails that are due after a time be due: a clock was ahead when it was set."""
        sql = "update outbox set next_at = ? where state = 'due' and rank = ? and next_at > ?"
        for rank in RANKS:  # by the index
            self._connection.execute(sql, to, rank, after)

    def purge(self, before: int) -> None:
        """Delete the failed mails that were created before a time. Locked ones stay for now."""
        sql = (
            "delete from outbox where mail_id in (select mail_id from outbox"
            " where state = 'failed' and created_at < ? {skip_locked})"
        )
        self._connection.execute(sql, before)

    def _delete(self, which: str, *values: object) -> int:
        # The order is for the locks: two transactions that delete the same mails cannot deadlock.
        sql = (
            "delete from outbox where mail_id in (select mail_id from outbox"
            f" where {which} order by mail_id {{for_update}})"
        )
        return self._connection.execute(sql, *values)


class Mailings(Table):
    """Requests for mails to many accounts."""

    def add(self, mailing: MailingRecord) -> None:
        self._connection.execute(_ADD_MAILING, *structs.astuple(mailing))

    def get(self, mailing_id: str) -> MailingRecord | None:
        sql = f"{_MAILING} where mailing_id = ?"
        return self._connection.one(MailingRecord, sql, mailing_id)

    def find_open(self) -> MailingRecord | None:
        """Return the oldest one of which mails are still to be created."""
        sql = f"{_MAILING} where state = 'open' order by mailing_id limit 1"
        return self._connection.one(MailingRecord, sql)

    def list(self, before: str, limit: int, batch_id: str | None = None) -> Sequence[MailingRecord]:
        """Return them, or those of a batch, the latest first, after the last id of a page."""
        which, values = "mailing_id < ?", [before or _IDS_END]
        if batch_id is not None:
            which, values = f"{which} and batch_id = ?", [*values, batch_id]
        sql = f"{_MAILING} where {which} order by mailing_id desc limit ?"
        return self._connection.all(MailingRecord, sql, *values, limit)

    def lock_running(
        self, *, mailing_id: str = "", batch_id: str = "", by: str = ""
    ) -> Sequence[MailingRecord]:
        """Lock those that are not stopped: one, those of a batch, or those that an actor requested.

        Each of the three may be empty.
        """
        sql = (
            f"{_MAILING} where (mailing_id = ? or batch_id = ? or requested_by = ?)"
            " and state <> 'stopped' order by mailing_id {for_update}"
        )
        values = mailing_id or None, batch_id or None, by or None
        return self._connection.all(MailingRecord, sql, *values)

    def advance(self, mailing_id: str, position: str, created: int, at: int) -> None:
        """Store that mails were created up to an account."""
        sql = (
            "update mailings set position = ?, created = created + ?, touched_at = ?"
            " where mailing_id = ?"
        )
        self._connection.execute(sql, position, created, at, mailing_id)

    def set_state(self, mailing_id: str, state: str) -> None:
        sql = "update mailings set state = ? where mailing_id = ? and state <> 'stopped'"
        self._connection.execute(sql, state, mailing_id)

    def count(self, mailing_id: str, *, sent: int = 0, failed: int = 0) -> None:
        """Count mails that were sent, or that failed."""
        sql = "update mailings set sent = sent + ?, failed = failed + ? where mailing_id = ?"
        self._connection.execute(sql, sent, failed, mailing_id)

    def purge(self, before: int) -> None:
        """Delete those that were last touched before a time, and whose mails are all created."""
        sql = "delete from mailings where state <> 'open' and touched_at < ?"
        self._connection.execute(sql, before)
