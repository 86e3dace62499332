"""The states of sign-ins whose code was exchanged: each is used once."""

import threading

#: States in memory, at most some 15 MB; then the oldest is deleted. A cookie expires before that,
#: unless 100,000 users sign in within ten minutes.
_MAX_STATES = 100_000


class UsedStates:
    """Remembers the states of this process. A provider accepts each code once anyway."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: in the order of their use
        self._states: dict[str, None] = {}

    def add(self, state: str) -> bool:
        """Remember a state; return False if it was used before."""
        with self._lock:
            if state in self._states:
                return False
            self._states[state] = None
            if len(self._states) > _MAX_STATES:
                del self._states[next(iter(self._states))]
            return True
