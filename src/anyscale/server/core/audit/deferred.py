"""Noting refusals a moment later than they are answered.

An entry of the trail takes longer where there is an account to name. Were it written beside the
answer, the time of that would tell who has an account.
"""

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue

from anyscale.errors import StoreUnavailable
from anyscale.server.core.audit.log import AuditLog
from anyscale.server.store.records import AccountRecord

__all__ = ["DeferredAuditWriter"]

#: seconds, for which others come together with the first
_MOMENT = 0.5


class DeferredAuditWriter:
    """Notes who was refused, in a thread of its own.

    Args:
        trail: where it is noted.
        reason: the error's code.
        call: what was asked for.
    """

    def __init__(self, trail: AuditLog, reason: str, call: str) -> None:
        self._trail = trail
        self._told = (reason, call)
        self._actors: SimpleQueue[str] = SimpleQueue()
        self._come = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="noting", daemon=True)
        self._thread.start()

    def refused(self, account: AccountRecord | None) -> None:
        """Have it noted that somebody was refused."""
        self._actors.put(f"user:{account.user_id}" if account else "anonymous")
        self._come.set()

    def close(self) -> None:
        """Note what is still to be noted."""
        self._closed.set()
        self._come.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._come.wait()
            self._closed.wait(_MOMENT)
            self._come.clear()
            self._note_all()

    def _note_all(self) -> None:
        with suppress(Empty):
            while True:
                actor = self._actors.get_nowait()
                with suppress(StoreUnavailable):  # the refusal was answered all the same
                    self._trail.refuse(actor, *self._told)
