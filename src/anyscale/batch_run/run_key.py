"""The idempotency key of a run, which decides whether a later run can resume it."""

import os
import re
from collections.abc import Callable
from typing import Protocol

from anyscale.domain.schemas.batches import IDEMPOTENCY_KEY
from anyscale.errors import ConfigError


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
        self.is_resumable: bool = own_key is not None
        self._own_key = own_key
        self._on_get = on_get

    def get_key(self) -> str:
        self._on_get()
        return self._own_key or os.urandom(16).hex()

    def find_key(self) -> str | None:
        return self._own_key

    def store_batch(self, batch_id: str) -> None:
        """Do nothing: the caller has the key."""


def require_key(key: object) -> None:
    """Raise `ConfigError` unless a key of a caller is None or a valid one."""
    if key is not None and not (isinstance(key, str) and re.fullmatch(IDEMPOTENCY_KEY, key)):
        raise ConfigError("idempotency_key must be a text of 1 to 200 visible ASCII characters")
