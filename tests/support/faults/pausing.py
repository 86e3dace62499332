"""Pauses of a command that the test ends."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.waiting import wait_until

from anyscale.server.core.batches.hash_passwords import hash_passwords

#: within which a test has to end its pause
_SECONDS = 600


class Pause:
    """Takes the place of a function that pauses; lasts until a file exists."""

    def __init__(self, until: Path) -> None:
        self._until = until

    def __call__(self) -> None:
        wait_until(self._until.exists, _SECONDS)


class PausingHashes:
    """Takes the place of `hash_passwords`; while a file exists, it hashes a chunk of each batch.

    That is the chunk which arrives first. It need not be the first one of the batch: a client sends
    several at once, and those that wait here would keep that one from its turn. Each call that
    waits adds an octet to the file: see `paused_calls`.
    """

    def __init__(self, during: Path) -> None:
        self._during = during
        #: batch_id -> the position that its first chunk begins with
        self._first: dict[str, int] = {}

    def __call__(self, *arguments: Any) -> int:
        batch_id, ((position, _), *_) = arguments[3:5]
        if self._first.setdefault(batch_id, position) != position:
            self._count_call()
            wait_until(lambda: not self._during.exists(), _SECONDS)
        return hash_passwords(*arguments)

    def _count_call(self) -> None:
        with suppress(FileNotFoundError):  # the pause has ended
            file = os.open(self._during, os.O_WRONLY | os.O_APPEND)
            os.write(file, b".")
            os.close(file)


def paused_calls(during: Path) -> int:
    """Return how many calls wait, or have waited, in the `PausingHashes` of a file."""
    return during.stat().st_size
