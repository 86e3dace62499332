"""How often a call is repeated, and with which error it ends."""

import random
import threading
import time

import pytest

from anyscale.errors import LinkRefused, NotFound, ServerUnreachable, Unavailable
from anyscale.transport.http.retry_policy import RetryState

DOWN = Unavailable("it is down")


class NoPause(threading.Event):
    """An event that is never set, and does not wait; it notes for how long it would."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout or 0)
        return False


def test_each_pause_is_twice_as_long_up_to_five_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, most: most)
    event = NoPause()
    state = RetryState(event)
    pauses = []
    for _ in range(7):
        event.pauses.clear()
        assert state.wait(DOWN, 100.0)
        pauses.append(sum(event.pauses))
    assert pauses == pytest.approx([0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0])


def test_a_call_that_is_cancelled_is_not_repeated() -> None:
    cancelled = threading.Event()
    cancelled.set()
    state = RetryState(cancelled)
    assert not state.wait(DOWN, 100.0)
    assert state.retries == 0


@pytest.mark.parametrize(
    ("seconds", "message"), [(1, "it is down"), (30, "gave up after 30 s: it is down")]
)
def test_an_error_says_how_long_a_call_was_repeated_if_a_user_has_noticed(
    seconds: int, message: str
) -> None:
    state = RetryState(NoPause())
    state.wait(DOWN, 100.0)
    state._started = time.monotonic() - seconds
    assert str(state.given_up(Unavailable("it is down"))) == message


def test_some_errors_tell_the_outcome_although_a_response_was_lost() -> None:
    state = RetryState(NoPause())
    state.outcome_unknown = True
    refused = LinkRefused("it is suspended")
    assert state.final_error(refused) is refused
    lost = state.final_error(NotFound("there is no such batch"))
    assert isinstance(lost, ServerUnreachable)
    assert lost.outcome_unknown
