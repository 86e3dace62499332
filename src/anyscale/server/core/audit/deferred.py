"""Audit entries of denied sign-ins, written in the background.

To write an entry takes longer where there is an account to name. If it were written before the
response, the response time would tell which accounts exist.
"""

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

from anyscale.errors import StoreUnavailable
from anyscale.server.core.audit.log import AuditLog
from anyscale.server.store.records import AccountRecord

__all__ = ["DeferredAuditWriter"]

#: seconds for which entries are collected before they are written
_DELAY = 0.5


class DeferredAuditWriter:
    """Writes entries of denied requests in a thread of its own.

    Args:
        audit_log: the log that it writes to.
        reason: the code of the error.
        call: the denied call.
    """

    def __init__(self, audit_log: AuditLog, reason: str, call: str) -> None:
        self._audit_log = audit_log
        self._reason, self._call = reason, call
        self._actors: SimpleQueue[str] = SimpleQueue()
        self._is_due = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def record_denied(self, account: AccountRecord | None) -> None:
        """Have an entry written for an account, or for an email without an account."""
        self._actors.put(f"user:{account.user_id}" if account else "anonymous")
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
            self._write_all()

    def _write_all(self) -> None:
        with suppress(Empty):
            while True:
                actor = self._actors.get_nowait()
                with suppress(StoreUnavailable):  # the request was denied all the same
                    self._audit_log.record_denied(actor, self._reason, self._call)
