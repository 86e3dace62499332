"""A value that is fetched on use, and cached for some time."""

import threading
import time
from collections.abc import Callable
from copy import copy
from typing import Generic, TypeVar

from anyscale.errors import ProviderUnavailable, SsoRefused

Value = TypeVar("Value")

#: Seconds after a failure during which nothing is fetched.
_PAUSE = 5.0


class TimedCache(Generic[Value]):
    """Caches what a function fetches. Threads that need it at the same time share one fetch."""

    def __init__(self, fetch: Callable[[], Value]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        #: when the value was fetched, and the value
        self._cached: tuple[float, Value] | None = None
        #: when the last fetch failed, and the error
        self._failed: tuple[float, ProviderUnavailable | SsoRefused] | None = None

    def get(self, seconds: float) -> Value:
        """Return a value of the last so many seconds.

        Raises:
            ProviderUnavailable, SsoRefused: as the function does, or did a moment ago.
        """
        with self._lock:
            now = time.monotonic()
            if self._cached and now - self._cached[0] < seconds:
                return self._cached[1]
            if self._failed and now - self._failed[0] < _PAUSE:
                raise copy(self._failed[1])
            try:
                self._cached = (now, self._fetch())
            except (ProviderUnavailable, SsoRefused) as error:
                self._failed = (time.monotonic(), copy(error))
                raise
            return self._cached[1]
