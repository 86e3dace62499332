"""Tell the user about outages: calls that are repeated, and calls without a response for long."""

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from operator import itemgetter

from anyscale.errors import Unavailable
from anyscale.transport.base import Outage
from anyscale.transport.http.retry_policy import RetryState

#: Seconds without a response to any call after which the user gets a message, while calls wait.
#: Clearly more than a connection attempt takes: an address that drops packets gets only its error.
_SILENCE = 15.0

#: seconds between two looks whether calls get no response
_LOOK_EVERY = 1.0

#: Seconds between two failures that count as two outages, if a call has succeeded between them. An
#: outage makes all calls in progress fail, and is reported once.
_SAME_OUTAGE = 10.0


class OutageReporter:
    """Reports that calls of one client fail, or get no response; threads share it.

    One thread looks for silence, from the first call until `close`.

    Args:
        host: the address of the control plane.
        patience: returns the seconds after which a call ends with an error.
        on_notice, on_outage: see `open_transport`.
    """

    def __init__(
        self,
        host: str,
        patience: Callable[[], float],
        on_notice: Callable[[str], None],
        on_outage: Callable[[Outage], None],
    ) -> None:
        self._host = host
        self._patience = patience
        self._on_notice = on_notice
        self._on_outage = on_outage
        self._lock = threading.Lock()
        self._is_watching = False
        self._closed = threading.Event()
        self._last_failure = self._last_success = -math.inf
        #: the calls with an attempt in progress, and when that began
        self._attempts: dict[RetryState, float] = {}

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    @contextmanager
    def attempt(self, call: RetryState) -> Iterator[None]:
        """Look for silence during the block, which makes an attempt of a call."""
        started = time.monotonic()
        self._start_watching()
        try:
            self._attempts[call] = started
            yield
        finally:
            self._attempts.pop(call, None)

    def note_success(self) -> None:
        """End an outage: a call has succeeded."""
        self._last_success = time.monotonic()

    def report_retry(self, error: Unavailable, failed_at: float, call: RetryState) -> None:
        """Report that a call is about to be repeated whose last attempt failed at a moment."""
        if self._last_success < failed_at:
            self._note_outage(self._unavailable if call.got_response else self._silence, call)
        if call.retries == 1:
            # The reason is last, as it may be a question.
            self._notify(f"Trying again: {error}")

    def look(self) -> None:
        """Report an outage if calls are in progress, and none has succeeded for long."""
        attempts = list(self._attempts.items())
        if not attempts:
            return
        call, started = min(attempts, key=itemgetter(1))
        seconds = time.monotonic() - max(started, self._last_success)
        if seconds >= _SILENCE:
            self._note_outage(self._silence, call)
            self._notify(f"No response from {self._host} for {seconds:.0f} s: still waiting")

    @property
    def _silence(self) -> str:
        return f"no response from {self._host}"

    @property
    def _unavailable(self) -> str:
        return f"{self._host} is unavailable"

    def _start_watching(self) -> None:
        with self._lock:
            is_first, self._is_watching = not self._is_watching, True
        if is_first:
            # Without the thread, a limit of processes would end calls that need no other thread.
            with suppress(RuntimeError):
                threading.Thread(target=self._watch, name="silence", daemon=True).start()

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_EVERY):
            self.look()

    def _note_outage(self, reason: str, call: RetryState) -> None:
        self._on_outage(Outage(reason, call.last_response, self._patience()))

    def _notify(self, text: str) -> None:
        """Tell the user, once for each outage."""
        with self._lock:
            previous, self._last_failure = self._last_failure, time.monotonic()
            is_long_ago = self._last_failure - previous >= _SAME_OUTAGE
            is_new = is_long_ago and self._last_success >= previous
        if is_new:
            self._on_notice(text)
