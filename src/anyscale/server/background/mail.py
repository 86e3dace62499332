"""The threads of a server that send mail, if it has a relay."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from anyscale.server.background.failures import log_failure
from anyscale.server.core.mail.sender import MailSender

#: seconds between two looks at the mails that are being sent, and while none is
_WATCH_SECONDS = 0.05
_IDLE_SECONDS = 0.5

#: seconds after a failure, such as of the database
_PAUSE_SECONDS = 5.0

#: Seconds that a server that stops waits for the relay's reply to a mail, then for the thread.
_REPLY_SECONDS = 3.0
_STOP_SECONDS = 3.0


class MailThreads:
    """A thread for each sender, which sends the mails that are due, and one that watches them.

    Whatever the relay does, no request waits for them, and `stop` only for some seconds.
    """

    def __init__(self, senders: Sequence[MailSender]) -> None:
        self._senders = senders
        self._stopping = threading.Event()
        self._sending = [
            threading.Thread(target=self._send, args=(sender,), name="mail", daemon=True)
            for sender in senders
        ]
        self._watching = threading.Thread(target=self._watch, name="mail-watch", daemon=True)

    def start(self) -> None:
        """Start the threads."""
        for thread in (*self._sending, self._watching):
            thread.start()

    def stop(self) -> None:
        """Let the mails that are being sent end, or cut the connections to the relay.

        A thread that is still connecting ends with the process: nothing of it is lost.
        """
        self._stopping.set()
        _join(self._sending, _REPLY_SECONDS)
        if any(thread.is_alive() for thread in self._sending):
            for sender in self._senders:
                sender.abort()
            _join(self._sending, _STOP_SECONDS)
        self._watching.join(_STOP_SECONDS)

    def _send(self, sender: MailSender) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            pause = _PAUSE_SECONDS
            with self._log_failures():
                pause = sender.send_next()
        sender.close()

    def _watch(self) -> None:
        pause = _IDLE_SECONDS
        while not self._stopping.wait(pause):
            pause = _PAUSE_SECONDS
            with self._log_failures():
                for sender in self._senders:
                    sender.watch()
                is_sending = any(sender.is_sending for sender in self._senders)
                pause = _WATCH_SECONDS if is_sending else _IDLE_SECONDS

    @contextmanager
    def _log_failures(self) -> Iterator[None]:
        """Log a failure, and continue."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - neither a bug nor the database may end a thread
            if not self._stopping.is_set():  # else the database may be closed
                log_failure("mail", error)


def _join(threads: Sequence[threading.Thread], seconds: float) -> None:
    """Wait until threads have ended, for at most some seconds."""
    until = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0.0))
