"""Send the passwords of a batch to be hashed, in chunks that take about half a second each."""

import time
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice

from anyscale.batch_run.recent_rate import RecentRate
from anyscale.batch_run.run_calls import Progress, RunCalls
from anyscale.domain.models.batches import Batch
from anyscale.domain.user_sources import Reading, chunks

#: Seconds that hashing a chunk should take: progress moves, and an interrupted run ends soon.
_CHUNK_SECONDS = 0.5

#: passwords in the first chunk, and in the smallest one
_FEWEST = 8

#: seconds over which the speed of hashing is measured
_RATE_SECONDS = 5.0


class ChunkSize:
    """How many passwords to send at a time: those that are hashed in half a second.

    Only the control plane knows how fast it hashes, and for how many clients: so it is measured.
    Passwords that are not hashed now say nothing of that speed: those whose hashes an earlier run
    has stored, which a resumed run sends first, and those of skipped users.

    Args:
        most: passwords in a chunk.
        stored: how many passwords will not be hashed; those of skipped users may be anywhere, so
            chunks of them double instead of having the largest size at once.
    """

    def __init__(self, most: int, stored: int = 0) -> None:
        self._most = most
        self._stored = stored
        self._rate = RecentRate(_RATE_SECONDS)
        self._hashed = 0
        self._rate.add(0, time.monotonic())
        self._size = min(most, _FEWEST)

    def next(self) -> int:
        """Return how many passwords the next chunk has."""
        if self._hashed:
            return self._size
        size = min(self._size, max(_FEWEST, self._stored))
        self._stored -= size
        return size

    def add(self, hashed: int) -> None:
        """Count a chunk of which so many passwords were hashed now, and not by an earlier run."""
        self._hashed += hashed
        rate = self._rate.add(self._hashed, time.monotonic())
        size = int(rate * _CHUNK_SECONDS) if hashed else 2 * self._size
        self._size = min(self._most, max(_FEWEST, size))


def send_passwords(
    calls: RunCalls, batch: Batch, reading: Reading, size: ChunkSize, on_progress: Progress
) -> None:
    """Send the passwords of all users of a reading.

    Raises:
        BatchRefused: the policy refuses passwords.
    """
    from anyscale.batch_run.bounded_executor import BoundedExecutor

    stored = 0

    def show() -> None:
        on_progress("Hashing", stored, batch.hashes_due, stored)

    with BoundedExecutor[int](
        calls.hashes_at_once, calls.cancel_retries, calls.on_notice, show
    ) as executor:
        for chunk in _password_chunks(reading, size):
            for hashed in executor.submit(partial(calls.batches.hash, batch.batch_id, chunk)):
                size.add(hashed)
                stored += hashed
            show()
        for hashed in executor.drain():
            stored += hashed
            show()


def _password_chunks(reading: Reading, size: ChunkSize) -> Iterator[list[tuple[int, str]]]:
    passwords = chain.from_iterable(chunk.passwords for chunk in chunks(reading, _FEWEST))
    while chunk := list(islice(passwords, size.next())):
        yield chunk
