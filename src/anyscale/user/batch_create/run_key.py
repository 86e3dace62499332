"""The idempotency key of a run, which decides whether a later run can resume it."""

import os
from collections.abc import Callable
from typing import Protocol

__all__ = ["CallKey", "RunKey"]


class RunKey(Protocol):
    """The idempotency key of a run."""

    @property
    def is_resumable(self) -> bool:
        """Whether a later run can repeat the key, and so resume an open batch."""

    def get_key(self) -> str:
        """Return the key. The run calls it before its first write."""

    def find_key(self) -> str | None:
        """Return the key that `get_key` would repeat, or None. Write nothing."""

    def store_batch(self, batch_id: str) -> None:
        """Store the id of the batch that was opened, before anything is reserved in it."""


class CallKey:
    """The key of one call: the caller's own, which a later call can repeat, or a random one.

    `on_get` is called before the first write.
    """

    def __init__(self, own_key: str | None, on_get: Callable[[], None] = lambda: None) -> None:
        self.is_resumable = own_key is not None
        self._own_key = own_key
        self._on_get = on_get

    def get_key(self) -> str:
        self._on_get()
        return self._own_key or os.urandom(16).hex()

    def find_key(self) -> str | None:
        return self._own_key

    def store_batch(self, batch_id: str) -> None:
        """Do nothing: the caller has the key."""
