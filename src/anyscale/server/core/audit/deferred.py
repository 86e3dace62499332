"""Audit entries of denied sign-ins, written in the background.

To write an entry takes longer where there is an account to name. If it were written before the
response, the response time would tell which accounts exist.
"""

import threading
from contextlib import suppress
from queue import SimpleQueue

from anyscale.errors import InvalidCredentials, StoreUnavailable
from anyscale.server.core.audit.entries import AuditLog
from anyscale.server.core.callers import user_actor
from anyscale.server.store.records.users import AccountRecord

#: seconds that entries are collected before they are written
_DELAY = 0.5


class DeferredAuditWriter:
    """Writes entries of denied sign-ins in a thread of its own."""

    def __init__(self, audit_log: AuditLog) -> None:
        self._audit_log = audit_log
        self._actors: SimpleQueue[str] = SimpleQueue()
        self._is_due = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def record_denied(self, account: AccountRecord | None) -> None:
        """Queue an entry for an account, or for an email without an account."""
        self._actors.put(user_actor(account.user_id) if account else "anonymous")
        self._is_due.set()

    def close(self) -> None:
        """Write the entries that are still due, and end the thread."""
        self._closed.set()
        self._is_due.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._is_due.wait()
            self._closed.wait(_DELAY)
            self._is_due.clear()
            while not self._actors.empty():
                actor = self._actors.get()
                with suppress(StoreUnavailable):  # the request was denied all the same
                    self._audit_log.record_denied(actor, InvalidCredentials.code, "sign in")
