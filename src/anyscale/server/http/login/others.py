"""Whether anybody asks for anything but signing in."""

import time

__all__ = ["Others"]

_SIGN_IN = "/v1/sessions"

#: seconds for which somebody who has asked may ask again
_LATELY = 1.0


class Others:
    """Requests that are no sign-ins."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def note(self, route: str) -> None:
        """Note that a request was made."""
        if route != _SIGN_IN:
            self._last = time.monotonic()

    def were_lately(self) -> bool:
        """Whether there was one a moment ago."""
        return time.monotonic() - self._last < _LATELY
