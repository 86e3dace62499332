"""Pages of accounts in bounded time, from steps that find them block by block.

A page reads up to `BLOCKS` blocks by an index, looks at all accounts for `BUDGET`, and then returns
what it has found, with the place where the next call continues. So no list and no search, however
few accounts match, takes a thread of the server for long. Only the first page is that short: later
ones read up to `LATER` times as much. docs/decisions/0017-search.md has the reasons.
"""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from msgspec import structs

from anyscale.server.core.search.cursor import Key, PagePosition
from anyscale.server.store.records.users import UserRecord
from anyscale.server.store.transaction import Transaction

Found_co = TypeVar("Found_co", bound=UserRecord, covariant=True)

#: Blocks that the first page reads by an index. They are counted and not timed, so that a busy
#: server gives the same pages.
BLOCKS = 25

#: Seconds after which the first page looks at no more accounts. A block takes up to 10 ms more.
BUDGET = 0.03

#: How many times as much a later page reads: the caller has the best matches and wants the rest,
#: which a million accounts would divide into 50 pages.
LATER = 10


class StepBlock(NamedTuple, Generic[Found_co]):
    """Accounts that a step found in a short time, each with the key after which it continues."""

    found: Sequence[tuple[Key, Found_co]]
    #: The key after which the next block begins; None if the step is done.
    end: Key | None
    #: of how many blocks it has the rows
    blocks: int = 1


class Step(Protocol[Found_co]):
    """A way to find accounts, block by block."""

    #: Whether it may look at every account, so that its time is limited. A page that has accounts
    #: ends before such a step.
    is_slow: bool

    def read(self, tx: Transaction, key: Key, limit: int) -> StepBlock[Found_co]:
        """Return the block after a key, which is empty for the first block.

        Args:
            tx: the transaction.
            key: of an earlier block.
            limit: how many accounts the page has room for; a block may have more.
        """


def read_page(
    tx: Transaction,
    steps: Sequence[Step[Found_co]],
    position: PagePosition,
    limit: int,
    clock: Callable[[], float],
    *,
    is_brief: bool = False,
) -> tuple[list[Found_co], PagePosition | None]:
    """Return accounts after a position, and the position where they end; None after the last one.

    A page reads one block at least, so that the next one gets further. A brief one reads no more
    than the first page.
    """
    is_first = not position.step and not position.key
    limits = _Limits(clock, 1 if is_brief or is_first else LATER)
    users: list[Found_co] = []
    while position.step < len(steps):
        step, room = steps[position.step], limit - len(users)
        limits.begin(step)
        block = step.read(tx, position.key, room)
        limits.count(step, block)
        users += [user for _, user in block.found[:room]]
        position = _position_after(block, room, position)
        if len(users) == limit or limits.are_reached() or (users and _is_slow(steps, position)):
            break
    return users, position if position.step < len(steps) else None


class _Limits:
    """What a page may read: some blocks by an index, and slow steps for a time."""

    def __init__(self, clock: Callable[[], float], times: int) -> None:
        self._clock = clock
        self._most_blocks, self._budget = times * BLOCKS, times * BUDGET
        self._blocks = 0
        self._deadline: float | None = None

    def begin(self, step: Step[UserRecord]) -> None:
        """Note that a block of a step is read."""
        if step.is_slow and self._deadline is None:
            self._deadline = self._clock() + self._budget

    def count(self, step: Step[UserRecord], block: StepBlock[UserRecord]) -> None:
        """Count what was read by an index."""
        if not step.is_slow:
            self._blocks += block.blocks

    def are_reached(self) -> bool:
        if self._deadline is not None and self._clock() >= self._deadline:
            return True
        return self._blocks >= self._most_blocks


def _is_slow(steps: Sequence[Step[UserRecord]], position: PagePosition) -> bool:
    """Whether a slow step is next: a page that has accounts does not wait for it."""
    return not position.key and any(step.is_slow for step in steps[position.step :][:1])


def _position_after(
    block: StepBlock[UserRecord], room: int, position: PagePosition
) -> PagePosition:
    """Return the position after the accounts of a block for which a page has room."""
    end = block.end if len(block.found) <= room else block.found[room - 1][0]
    if end is None:
        return structs.replace(position, step=position.step + 1, key=())
    return structs.replace(position, key=end)
