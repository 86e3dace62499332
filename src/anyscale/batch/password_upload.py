"""Send the passwords of a batch to be hashed, in chunks that take about half a second each."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import NamedTuple

from anyscale.progress import Progress, RecentRate
from anyscale.transport.base import Transport
from anyscale.user.models import Batch
from anyscale.user.user_sources import Reading, chunks

__all__ = ["ChunkSize", "send_passwords"]

#: Seconds that hashing a chunk should take: progress moves, and an interrupted run ends soon.
_CHUNK_SECONDS = 0.5

#: passwords in the first chunk, and in the smallest one
_FEWEST = 8

#: seconds over which the speed of hashing is measured
_RATE_SECONDS = 5.0


class ChunkSize:
    """How many passwords to send at a time: those that are hashed in half a second.

    Only the control plane knows how fast it hashes, and for how many clients: so it is measured.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._rate = RecentRate(_RATE_SECONDS)
        self._sent = 0
        self.add(0)

    def add(self, passwords: int) -> None:
        """Count passwords that were hashed."""
        self._sent += passwords
        rate = self._rate.add(self._sent, time.monotonic())
        #: of the next chunk
        self.value = min(self._most, max(_FEWEST, int(rate * _CHUNK_SECONDS)))


class _Hashed(NamedTuple):
    passwords: int
    #: those whose hashes were not stored before
    stored: int


def send_passwords(
    transport: Transport, batch: Batch, reading: Reading, most: int, on_progress: Progress
) -> None:
    """Send the passwords of all users of a reading, at most `most` at a time.

    Raises:
        BatchRefused: the policy refuses passwords.
    """
    from anyscale.transport.bounded_executor import BoundedExecutor

    stored, size = 0, ChunkSize(most)

    def show() -> None:
        on_progress("Hashing", stored, batch.hashes_due, stored)

    with BoundedExecutor[_Hashed](
        transport.hashes_at_once, transport.cancel_retries, transport.on_notice, show
    ) as executor:
        for chunk in _password_chunks(reading, size):
            for done in executor.submit(partial(_hash, transport, batch.batch_id, chunk)):
                size.add(done.passwords)
                stored += done.stored
            show()
        for done in executor.drain():
            stored += done.stored
            show()


def _password_chunks(reading: Reading, size: ChunkSize) -> Iterator[list[tuple[int, str]]]:
    passwords = chain.from_iterable(chunk.passwords for chunk in chunks(reading, size.value))
    while chunk := list(islice(passwords, size.value)):
        yield chunk


def _hash(transport: Transport, batch_id: str, passwords: Sequence[tuple[int, str]]) -> _Hashed:
    return _Hashed(len(passwords), transport.hash(batch_id, passwords))
