"""The audit log: each entry has the hash of the entry before it."""

import hashlib
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, Final, NamedTuple

from msgspec import Struct, json, structs

from anyscale.domain.audit_chain import FORGOTTEN, ROOT, AuditEntry, Removal, entry_hash
from anyscale.domain.models.audit import AuditFilter
from anyscale.errors import StoreUnavailable
from anyscale.server.core.audit.named_accounts import account_id, with_ids
from anyscale.server.core.audit.names import EntryNames, has_id, names_of
from anyscale.server.core.audit.runs import Run, ends_of_runs
from anyscale.server.core.callers import Caller
from anyscale.server.core.permissions import Permission
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.audit import AuditRecord
from anyscale.server.store.transaction import Transaction

#: The events of files that have personal data of all users, or the whole log.
USERS_EXPORTED: Final = "users.exported"
AUDIT_EXPORTED: Final = "audit.exported"

#: what a caller needs for a file with these
_EXPORTS: Mapping[str, Permission] = {
    USERS_EXPORTED: Permission.READ_ACCOUNTS,
    AUDIT_EXPORTED: Permission.READ_AUDIT_LOG,
}

#: Seconds between two entries of the same denial: a flood of requests must not fill the database.
_DENIED_EVERY = 60.0

#: Denials in memory: some 3 MB. Beyond this number, the one that was written first is removed.
_MAX_DENIALS = 10_000

#: seconds that a denial waits for the entry of another one
_DENIAL_PATIENCE = 1.0

#: seconds between two deletions of old entries
_PURGE_EVERY = 24 * 60 * 60.0


class Entry(NamedTuple):
    """An entry that is to be appended."""

    #: `token:jane`, `user:usr_...`, or `local:jane` for a system user of this machine
    actor: str
    #: `batch.published` and the like
    event: str
    #: an id, never an email: entries stay when a user is deleted
    subject: str
    #: details of the event; no password, and no email but that of `account.email_changed`
    data: dict[str, Any]


class _Denials(Struct):
    """Denied requests of one actor for one reason."""

    actor: str
    reason: str
    #: of the latest one: the method and the route
    call: str = ""
    #: when an entry was last written; before the first one a minute before any time
    written: float = -_DENIED_EVERY
    #: how many no entry has yet
    times: int = 0

    def entry(self, times: int) -> Entry:
        data = {"reason": self.reason, "call": self.call, "times": times}
        return Entry(self.actor, "access.denied", "", data)


def append_entry(
    tx: Transaction, actor: str, event: str, subject: str, data: dict[str, Any]
) -> None:
    """Append an entry, in the transaction of the change that it records."""
    append_entries(tx, [Entry(actor, event, subject, data)])


def append_entries(tx: Transaction, entries: Sequence[Entry]) -> None:
    """Append entries in order, in the transaction of the change that they record, or none."""
    if not entries:
        return
    last, now = tx.audit.lock(), tx.now()
    records = []
    for entry in entries:
        last = _after(last, entry, now)
        records.append(last)
    tx.audit.add(*records)


def root_of(user_ids: Iterable[str]) -> bytes:
    """Return the SHA-256 over user ids in order, which stands for them in entries."""
    return hashlib.sha256("\n".join(user_ids).encode()).digest()


class AuditLog:
    """Lists entries, and appends those of denied requests."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._lock = threading.Lock()
        #: by actor and reason
        self._denied: dict[tuple[str, str], _Denials] = {}
        self._writing = threading.Lock()
        #: `NUMBER:HASH` of the last entry when this process logged it; empty before
        self.logged_head: str = ""
        self._purged = -_PURGE_EVERY

    def list(
        self,
        after: int,
        limit: int,
        *,
        before: int | None = None,
        newest_first: bool = False,
        only: AuditFilter | None = None,
    ) -> list[AuditEntry]:
        """Return entries by number, or the newest first.

        Args:
            after: only those with a larger number.
            limit: at most this many.
            before: only those with a smaller number; None for no end.
            newest_first: whether to list them in the reverse order.
            only: which of them; None for all. An email is that of an account.

        Raises:
            NotFound: an email of the filter never was that of an account, or the event is unknown.
        """
        with self._transactions.read() as tx:
            chosen = with_ids(tx, only or AuditFilter())
            found = tx.audit.list(
                after, limit, before=before, newest_first=newest_first, only=chosen
            )
        return [_outside(entry) for entry in found]

    def list_runs(
        self, limit: int, only: AuditFilter, *, before: int | None = None, after: int | None = None
    ) -> Sequence[Run]:
        """Return the newest entries first, or those after a number, with each run as one.

        Args:
            limit: at most this many runs and other entries.
            only: a period, and nothing else.
            before: only those with a smaller number; None for no end.
            after: in place of `before`, only those with a larger number, the oldest first.
        """
        newest_first = after is None
        place = before if newest_first else after
        with self._transactions.read() as tx:
            ends = ends_of_runs(tx, place, only, newest_first=newest_first)
            found = [sorted(pair, key=lambda one: -one.number) for pair in islice(ends, limit)]
        return [Run(_outside(newest), _outside(oldest)) for newest, oldest in found]

    def with_ids(self, only: AuditFilter) -> AuditFilter:
        """Return a filter with ids in place of emails.

        Raises:
            NotFound: an email of the filter never was that of an account, or the event is unknown.
        """
        with self._transactions.read() as tx:
            return with_ids(tx, only)

    def has_subject(self, subject: str) -> bool:
        return bool(self.list(0, 1, only=AuditFilter(subject=subject)))

    def id_of(self, text: str) -> str:
        """Return what a filter has for a text: see `account_id`."""
        with self._transactions.read() as tx:
            return account_id(tx, text)

    def names(self, entries: Sequence[AuditEntry], *ids: str) -> EntryNames:
        """Return the names of all that entries have the ids of, and of some ids."""
        if not entries and not any(map(has_id, ids)):
            return EntryNames({}, {}, {}, {})
        with self._transactions.read() as tx:
            return names_of(tx, entries, *ids)

    def list_events(self) -> Sequence[str]:
        with self._transactions.read() as tx:
            return tx.audit.list_events()

    def record_export(self, event: str, caller: Caller, data: dict[str, Any]) -> None:
        """Append an entry for a file with all users, or with the audit log, before it is sent.

        Raises:
            NotAuthenticated, NotPermitted: the caller has lost its permission.
        """
        with self._transactions.write_for(caller, _EXPORTS[event]) as (tx, _):
            append_entry(tx, caller.actor, event, "", data)

    def record_denied(self, actor: str, reason: str, call: str) -> None:
        """Append an entry for a denied request: the first at once, then one a minute with a count.

        `reason` is the code of the error, and `call` the method and the route.

        Raises:
            StoreUnavailable: also if the entry of another denial takes long to write.
        """
        if due := self._due(actor, reason, call):
            self._write_denied([due])

    def record_counted(self, *, at_end: bool = False) -> None:
        """Append entries of denials that were only counted, without a later one to write them.

        Those whose latest entry is a minute old; at the end of the process all.

        Raises:
            StoreUnavailable: see `record_denied`.
        """
        now = time.monotonic()
        latest = now if at_end else now - _DENIED_EVERY
        with self._lock:
            due = [one for one in self._denied.values() if one.times and one.written <= latest]
            for one in due:
                one.written = now
        if due:
            self._write_denied(due)

    def close(self) -> None:
        """Append the entries that are still due, if the database takes them."""
        with suppress(StoreUnavailable):
            self.record_counted(at_end=True)

    def purge(self, before: int) -> None:
        """Delete entries from before a time, and append one that says so; at most once a day."""
        if time.monotonic() - self._purged < _PURGE_EVERY:
            return
        with self._transactions.write_unattended("clean-up") as tx:
            if last := tx.audit.purge(before):
                details = Removal(before, f"{last.number}:{last.hash.hex()}")
                append_entry(tx, "system", FORGOTTEN, f"{last.number + 1}", structs.asdict(details))
        self._purged = time.monotonic()  # only now: the next clean-up repeats one that failed

    def log_head(self) -> None:
        """Log the head of the chain if it has grown: `anyscale audit verify --head` takes it."""
        with self._transactions.read() as tx:
            last = tx.audit.get_last()
        if last and last.number > int(self.logged_head.partition(":")[0] or 0):
            import logging  # only by servers

            self.logged_head = f"{last.number}:{last.hash.hex()}"
            extra = {"head": self.logged_head}
            logging.getLogger("anyscale.server").info("audit head", extra=extra)

    @contextmanager
    def _denial(self) -> Iterator[None]:
        """Let one thread write a denial at a time: while writes wait, others continue."""
        if not self._writing.acquire(timeout=_DENIAL_PATIENCE):
            raise StoreUnavailable("another denied request is still being written to the audit log")
        try:
            yield
        finally:
            self._writing.release()

    def _due(self, actor: str, reason: str, call: str) -> _Denials | None:
        """Count a denial; return those like it if their entry is due."""
        now, key = time.monotonic(), (actor, reason)
        with self._lock:
            found = self._denied.get(key) or _Denials(actor, reason)
            found.call = call
            found.times += 1
            if now - found.written < _DENIED_EVERY:
                return None
            found.written = now
            self._denied.pop(key, None)  # the latest one moves to the end
            self._denied[key] = found
            if len(self._denied) > _MAX_DENIALS:
                del self._denied[next(iter(self._denied))]
            return found

    def _write_denied(self, due: Sequence[_Denials]) -> None:
        with self._denial():
            with self._lock:
                counted = [(one, one.times, one.entry(one.times)) for one in due if one.times]
            try:
                with self._transactions.write_unattended("access denied") as tx:
                    append_entries(tx, [entry for _, _, entry in counted])
            except StoreUnavailable:
                for one in due:
                    one.written = -_DENIED_EVERY  # the next denial or clean-up tries it again
                raise
            with self._lock:
                for one, times, _ in counted:
                    one.times -= times


def _outside(e: AuditRecord) -> AuditEntry:
    return AuditEntry(e.number, e.at, e.actor, e.event, e.subject, e.data, e.hash.hex())


def _after(last: AuditRecord | None, entry: Entry, now: int) -> AuditRecord:
    text = json.encode(entry.data, order="deterministic").decode()
    number = last.number + 1 if last else 1
    row = AuditRecord(number, now, entry.actor, entry.event, entry.subject, text, hash=b"")
    return structs.replace(row, hash=entry_hash(last.hash if last else ROOT, row))
