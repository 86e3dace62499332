"""Read the users of a source, and look up the account of each, chunk by chunk."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import NamedTuple

from anyscale.domain.models.users import User
from anyscale.domain.user_sources import Chunk, UserSource, chunks
from anyscale.domain.validation import CheckedUser, Policy
from anyscale.errors import AnyscaleError, BatchRefused, Problem
from anyscale.transport.base import Transport

__all__ = ["EntryAccounts", "OnProgress"]

#: Users that one call looks up. Their accounts are in memory, for some calls at a time.
_CHUNK = 2_000

OnProgress = Callable[[str, int, int], None]


class LookedUpChunk(NamedTuple):
    """The users of a chunk, and their accounts."""

    #: the position of the first user
    first: int
    users: Sequence[CheckedUser]
    accounts: Sequence[User | None]


class EntryAccounts:
    """One reading of a source; iterate over its users, each with its account or None.

    At the end of the iteration the source was valid.
    """

    def __init__(self, transport: Transport, source: UserSource, on_progress: OnProgress) -> None:
        self._transport = transport
        self._source = source
        self._on_progress = on_progress
        self._reading = source.reading(Policy(), verify=True)

    def __iter__(self) -> Iterator[tuple[CheckedUser, User | None]]:
        """Iterate over users and accounts.

        Raises:
            BatchRefused: the source is wrong, also if the control plane cannot be reached.
        """
        reading, rest = self._reading, self._chunks()
        try:
            for chunk in self._look_up_all(takewhile(lambda _: not reading.problems, rest)):
                yield from zip(chunk.users, chunk.accounts, strict=True)
        except AnyscaleError:
            self._check_rest(rest)
            raise
        self._check_rest(rest)
        self._source.check_unchanged()

    def locate(self, index: int) -> tuple[int | None, int | None]:
        """Return the line and the column of an entry's email, if the source has lines."""
        (placed,) = self._reading.locate([Problem(index=index, code="", detail="")])
        return placed.line, placed.column

    def _chunks(self) -> Iterator[Chunk]:
        for chunk in chunks(self._reading, _CHUNK):
            self._on_progress("Reading", *self._source.progress())
            yield chunk

    def _check_rest(self, rest: Iterable[Chunk]) -> None:
        """Read the users that are left; raise `BatchRefused` if any of the reading was wrong."""
        for _ in rest:
            pass
        if problems := self._reading.problems:
            raise BatchRefused(problems, problems.more, "nothing was changed")

    def _look_up_all(self, to_look_up: Iterable[Chunk]) -> Iterator[LookedUpChunk]:
        """Look the users up chunk by chunk, while the next chunk is read."""
        from anyscale.batch_run.bounded_executor import BoundedExecutor

        transport, first = self._transport, 0
        with BoundedExecutor[LookedUpChunk](
            transport.reservations_at_once, transport.cancel_retries, transport.on_notice
        ) as executor:
            for chunk in to_look_up:
                yield from executor.submit(partial(self._look_up, first, chunk.users))
                first += len(chunk.users)
            yield from executor.drain()

    def _look_up(self, first: int, users: Sequence[CheckedUser]) -> LookedUpChunk:
        accounts = self._transport.users.find([user.email for user in users])
        return LookedUpChunk(first, users, accounts)
