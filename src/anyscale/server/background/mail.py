"""The threads of a server that send mail, if it has a relay."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from anyscale.server.background.failures import log_failure
from anyscale.server.core.mail.sender import MailSender

__all__ = ["MailThreads"]

#: seconds between two looks at the mail that is being sent: a third of its lease
_WATCH_SECONDS = 20.0

#: seconds after a failure, such as of the database
_PAUSE_SECONDS = 5.0

#: Seconds that a server that stops waits for the relay's reply to a mail, then for the thread.
_REPLY_SECONDS = 3.0
_STOP_SECONDS = 3.0


class MailThreads:
    """Two threads: one sends the mails that are due, the other one watches it.

    Whatever the relay does, no request waits for them, and `stop` only for some seconds.
    """

    def __init__(self, sender: MailSender) -> None:
        self._sender = sender
        self._stopping = threading.Event()
        self._sending = threading.Thread(target=self._send, name="mail", daemon=True)
        self._watching = threading.Thread(target=self._watch, name="mail-watch", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        self._sending.start()
        self._watching.start()

    def stop(self) -> None:
        """Let a mail that is being sent end, or cut the connection to the relay.

        A thread that is still connecting ends with the process: nothing of it is lost.
        """
        self._stopping.set()
        self._sending.join(_REPLY_SECONDS)
        if self._sending.is_alive():
            self._sender.abort()
            self._sending.join(_STOP_SECONDS)
        self._watching.join(_STOP_SECONDS)

    def _send(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = _PAUSE_SECONDS
            with self._log_failures():
                pause = self._sender.send_next()
        self._sender.close()

    def _watch(self) -> None:
        while not self._stopping.wait(_WATCH_SECONDS):
            with self._log_failures():
                self._sender.watch()

    @contextmanager
    def _log_failures(self) -> Iterator[None]:
        """Log a failure, and continue."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - neither a bug nor the database may end a thread
            if not self._stopping.is_set():  # else the database may be closed
                log_failure("mail", error)
