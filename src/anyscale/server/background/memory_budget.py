"""The memory that a process has for users files of browsers, and who waits for it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyscale.errors import Overloaded

MIB = 1024 * 1024

#: Octets of files that a process holds: large ones, and those up to a MiB, which have memory of
#: their own, so that long runs of large files lock nobody out.
_LARGE, _SMALL = 120 * MIB, 8 * MIB
_SMALL_FILE = MIB + 64 * 1024

#: seconds that a request waits for memory, and for its turn
_WAIT_SECONDS = 30.0
_RETRY_SECONDS = 30.0

_FULL = "The server works on other large files. Your file was not read: try again in a moment."


class MemoryBudget:
    """The memory for files of a process. It belongs to the event loop."""

    def __init__(self, small: int = _SMALL) -> None:
        self._free = {False: _LARGE, True: small}
        self._shares = {False: _LARGE // 2, True: small // 2}
        #: by account, and whether they are small: the octets of its files
        self._taken = Counter[tuple[str, bool]]()
        self._changed = asyncio.Condition()
        # Two checks at a time, so that they leave threads to other requests that read. Small files
        # do not wait for large ones.
        self._turns = {False: asyncio.Semaphore(2), True: asyncio.Semaphore(2)}

    async def take(self, size: int, user_id: str) -> None:
        """Take so many octets for a user, as soon as they are free.

        A user has one file, or as many as fit into half of the memory.

        Raises:
            Overloaded: there was none for 30 seconds.
        """
        is_small = size <= _SMALL_FILE
        try:
            async with asyncio.timeout(_WAIT_SECONDS), self._changed:
                await self._changed.wait_for(lambda: self._is_free(size, user_id))
                self._free[is_small] -= size
                self._taken[user_id, is_small] += size
        except TimeoutError:
            raise Overloaded(_FULL, _RETRY_SECONDS) from None

    def _is_free(self, size: int, user_id: str) -> bool:
        is_small = size <= _SMALL_FILE
        taken = self._taken[user_id, is_small]
        is_allowed = not taken or taken + size <= self._shares[is_small]
        return is_allowed and self._free[is_small] >= size

    async def give_back(self, size: int, user_id: str) -> None:
        """Give octets back."""
        is_small = size <= _SMALL_FILE
        async with self._changed:
            self._free[is_small] += size
            self._taken[user_id, is_small] -= size
            self._taken += Counter()  # drops those that are 0
            self._changed.notify_all()

    @asynccontextmanager
    async def turn(self, size: int) -> AsyncIterator[None]:
        """Wait for a turn to check a file.

        Raises:
            Overloaded: there was none for 30 seconds.
        """
        turns = self._turns[size <= _SMALL_FILE]
        try:
            await asyncio.wait_for(turns.acquire(), _WAIT_SECONDS)
        except TimeoutError:
            raise Overloaded(_FULL, _RETRY_SECONDS) from None
        try:
            yield
        finally:
            turns.release()
