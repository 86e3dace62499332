"""Idempotency keys of runs."""

from typing import NamedTuple


class OnceKey(NamedTuple):
    """A known key that no later run repeats, as a random one is."""

    key: str
    is_resumable: bool = False

    def get_key(self) -> str:
        return self.key

    def find_key(self) -> str | None:
        return None

    def store_batch(self, batch_id: str) -> None:
        pass
