"""A clock that a test counts, and what happens at its times."""

import heapq
import itertools
from collections.abc import Callable

import pytest

from anyscale.server.core.mail.relay import Relay
from anyscale.server.core.mail.sender import MailSender

#: seconds between two looks of the watching thread while a mail is sent
_WATCH_SECONDS = 0.05


class CountedClock:
    """The time of a control plane on SQLite and of its senders, which moves only here."""

    def __init__(self) -> None:
        self.milliseconds = 1_800_000_000_000
        self._events = list[tuple[int, int, Callable[[], None]]]()
        self._numbers = itertools.count()
        #: connections that a sender has cut
        self.aborts = 0

    def time_ns(self) -> int:
        return self.milliseconds * 1_000_000

    def monotonic(self) -> float:
        return self.milliseconds / 1_000

    def at(self, seconds: float, event: Callable[[], None]) -> None:
        """Let something happen after some seconds."""
        at = self.milliseconds + round(seconds * 1_000)
        heapq.heappush(self._events, (at, next(self._numbers), event))

    def pass_time(self, seconds: float) -> None:
        """Move the clock. What is to happen until then happens at its time."""
        until = self.milliseconds + round(seconds * 1_000)
        while self._events and self._events[0][0] <= until:
            at, _, event = heapq.heappop(self._events)
            self.milliseconds = max(self.milliseconds, at)
            event()
        self.milliseconds = max(self.milliseconds, until)

    def run(self, sender: MailSender, seconds: float) -> None:
        """Let a sender work for some seconds, as its thread does."""
        until = self.milliseconds + round(seconds * 1_000)
        while self.milliseconds < until:
            pause = sender.send_next()
            if self._events:
                pause = min(pause, max(self._events[0][0] - self.milliseconds, 0) / 1_000)
            self.pass_time(pause)

    def take_time(self, sender: MailSender, seconds: float) -> None:
        """Let the relay take so long for a reply, unless the sender gives the mail up."""
        until, aborts = self.milliseconds + round(seconds * 1_000), self.aborts
        while self.milliseconds < until:
            sender.watch()
            if self.aborts > aborts:
                return
            self.pass_time(min(_WATCH_SECONDS, (until - self.milliseconds) / 1_000))


def counted_clock(monkeypatch: pytest.MonkeyPatch) -> CountedClock:
    """Let a control plane on SQLite and its senders read a clock of the test."""
    clock = CountedClock()
    abort = Relay.abort

    def counted(relay: Relay) -> None:
        clock.aborts += 1  # before the sender goes on, in another thread
        abort(relay)

    monkeypatch.setattr(Relay, "abort", counted)
    monkeypatch.setattr("anyscale.server.store.sqlite.connection.time", clock)
    monkeypatch.setattr("anyscale.server.core.mail.sender.time", clock)
    return clock
