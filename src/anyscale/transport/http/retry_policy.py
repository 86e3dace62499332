"""How often a call is repeated, and the error that ends it."""

import random
import threading
import time

from anyscale.errors import (
    AccountEdited,
    AnyscaleError,
    BatchGone,
    BatchRefused,
    BatchUnfinished,
    FeatureUnavailable,
    KeyReused,
    LastOwner,
    LinkRefused,
    Overloaded,
    OwnerKept,
    ServerUnreachable,
    Unavailable,
)
from anyscale.interruptible_wait import interruptible_wait

#: Seconds that a call without a response is repeated. A server restarts in less.
PATIENCE = 100.0

#: The same before the first response of all, so that a wrong address fails soon.
FIRST_PATIENCE = 2.0

#: seconds of the header `Retry-After`, at most
LONGEST_RETRY_AFTER = 60.0

#: Seconds that a call is repeated while the control plane responds that it is busy: it works,
#: but for other clients.
_BUSY_PATIENCE = 1800.0

_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 5.0

#: Seconds from which on an error says how long the call was repeated. A user has noticed no less.
_REPORTED_FROM = 5.0

#: Seconds that a message shows; more are shown as minutes.
_MOST_SECONDS = 120

#: Errors that tell the outcome of the call, also if the response to an earlier attempt was lost.
_OUTCOMES = (
    AccountEdited,
    BatchGone,
    BatchRefused,
    BatchUnfinished,
    FeatureUnavailable,
    KeyReused,
    LastOwner,
    LinkRefused,
    OwnerKept,
)


class RetryState:
    """The attempts of one call: whether to make another, and the error if there is none.

    `cancelled` is set when the result is not needed any more.
    """

    def __init__(self, cancelled: threading.Event) -> None:
        self._cancelled = cancelled
        self._started = time.monotonic()
        #: when the control plane last responded that it is busy; before that, the start of the call
        self.last_response: float = self._started
        self._pause = _FIRST_PAUSE
        self.retries: int = 0
        #: Whether an attempt may have arrived. The outcome is then unknown, whatever fails later.
        self.outcome_unknown = False
        #: whether the last attempt got a response by HTTP, be it the error of a proxy
        self.got_response = False

    def remaining(self, patience: float) -> float:
        """Return the seconds until `patience` seconds have passed without a response."""
        return self.last_response + patience - time.monotonic()

    def wait(self, error: Unavailable | Overloaded, patience: float) -> bool:
        """Wait before the next attempt; return False if there is to be none.

        There is none after `patience` seconds without a response, after half an hour of responses
        that the control plane is busy, and if the call is cancelled.
        """
        pause = self._pause * random.uniform(0.5, 1.0)  # noqa: S311 - no secret; not all at once
        since, is_busy = self.last_response, isinstance(error, Overloaded)
        if isinstance(error, Overloaded):
            since, patience = self._started, _BUSY_PATIENCE
            pause = max(pause, error.retry_after_seconds)
        if time.monotonic() + pause - since > patience:
            return False
        if interruptible_wait(self._cancelled.wait, pause):
            return False
        if is_busy:
            self.last_response = time.monotonic()
        self.retries += 1
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        return True

    def given_up(self, error: Unavailable | Overloaded) -> AnyscaleError:
        """Return the error of a call that is not repeated again, with how long it was repeated."""
        seconds = time.monotonic() - self._started
        if self.retries and seconds >= _REPORTED_FROM and not self._cancelled.is_set():
            # The reason is last, as it may be a question.
            error.args = (f"gave up after {_duration(seconds)}: {error}",)
        return self.final_error(error)

    def final_error(self, error: AnyscaleError) -> AnyscaleError:
        """Return the error that ends the call."""
        if not self.outcome_unknown or isinstance(error, _OUTCOMES):
            return error
        if isinstance(error, Unavailable):
            error.outcome_unknown = True
            return error
        return ServerUnreachable(str(error), outcome_unknown=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _MOST_SECONDS else f"{seconds / 60:.0f} minutes"
