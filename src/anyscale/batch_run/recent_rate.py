"""Measure how fast work is done now: for a bar, and for the size of a chunk of passwords."""

from collections import deque

#: A rate needs the first step and the last one.
_FEWEST_STEPS = 2

#: seconds between two steps that are normal
_SILENCE = 2.0


class RecentRate:
    """How much work a second was done in the last `seconds`.

    It is known after `known_after` seconds, also after an outage.
    """

    def __init__(self, seconds: float, known_after: float = 0.0) -> None:
        self._seconds, self._known_after = seconds, known_after
        #: the moments when more was done, and how much it was
        self._steps: deque[tuple[float, int]] = deque()
        #: whether calls get no response since the last step
        self.is_interrupted: bool = False

    def add(self, done: int, now: float) -> float:
        """Add how much is done now; return the rate, which is 0.0 until it is known."""
        is_step = not self._steps or done != self._steps[-1][1]
        if self.is_interrupted and not is_step:
            return 0.0
        if is_step:
            self._add_step(done, now)
        while len(self._steps) > _FEWEST_STEPS and now - self._steps[1][0] >= self._seconds:
            self._steps.popleft()
        since, before = self._steps[0]
        # Not up to now, as the rate would fall between any two steps; but it falls if none comes.
        until = max(self._steps[-1][0], now - _SILENCE)
        is_known = until > since and until - since >= self._known_after
        return (done - before) / (until - since) if is_known else 0.0

    def _add_step(self, done: int, now: float) -> None:
        # The time of an outage does not count. A step soon after the previous one shows that other
        # calls continued.
        if self.is_interrupted and self._steps and self.seconds_since_step(now) >= _SILENCE:
            self._steps.clear()
        self.is_interrupted = False
        self._steps.append((now, done))

    def note_outage(self) -> None:
        """Make the rate unknown until more is done: no call succeeds."""
        self.is_interrupted = True

    def seconds_since_step(self, now: float) -> float:
        return now - self._steps[-1][0]
