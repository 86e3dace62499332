"""Work that is done for several requests at once: for those that wait when it begins."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from anyscale.server.http.lane import Lane

__all__ = ["Gathering"]

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

Take = Callable[[], list[Asked]]
Work = Callable[[Take[Asked]], Sequence[Answer | Exception]]

#: What somebody asked, and what becomes of it.
Waiting = tuple[Any, "asyncio.Future[Any]"]

#: Of how many at most the first one waits for the last one.
_TOGETHER = 4


class Gathering(Lane):
    """A lane in which a thread takes its share of all that waits, and not one at a time.

    Its share is as large as if each core that is free took one as well.

    Args:
        name: of the kind of work.
        threads: that do it at a time.
        waiting: how many more may wait for one.
        shares: into how many what waits is divided, where nothing is under way: the cores.
    """

    def __init__(self, name: str, threads: int, waiting: int, *, shares: int) -> None:
        super().__init__(name, threads, waiting)
        self._shares = shares
        self._taking = threading.Lock()
        #: groups that were taken and are not done yet
        self._under_way = 0
        self._waiting: deque[Waiting] = deque()

    async def gather(self, work: Work[Asked, Answer], asked: Asked) -> Answer:
        """Have something done for who has a `place`. Once begun, it is finished.

        Args:
            work: the same at each call. It is given a function that gives whoever waits, to be
                called once, when something can be done for them; it returns an answer or an error
                for each.
            asked: what it is done for.

        Raises:
            Exception: the error that is returned for this one, or raised for all.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((asked, answer))
        self._threads.submit(self._do, work, loop)
        return await answer

    def _do(self, work: Work[Any, Any], loop: asyncio.AbstractEventLoop) -> None:
        if not self._waiting:  # another thread took it along
            return
        group = _Group(self._take)
        answers: Sequence[Any]
        try:
            answers = _answers(work, group)
        except Exception as error:  # noqa: BLE001 - it is told to each who waits for an answer
            group.take()
            answers = [error] * len(group.taken)
        finally:
            self._release(group)
        loop.call_soon_threadsafe(_tell, group.taken, answers)

    def _take(self) -> list[Waiting]:
        with self._taking:
            share = -(-len(self._waiting) // max(self._shares - self._under_way, 1))
            taken = [self._waiting.popleft() for _ in range(min(share, _TOGETHER))]
            self._under_way += 1
        # Of who gave up nothing is begun.
        return [waiting for waiting in taken if not waiting[1].done()]

    def _release(self, group: "_Group") -> None:
        if group.has_taken:
            with self._taking:
                self._under_way -= 1


class _Group:
    """Those for whom something is done together; they are taken once."""

    def __init__(self, take: Callable[[], list[Waiting]]) -> None:
        self._take = take
        self.has_taken = False
        self.taken: list[Waiting] = []

    def take(self) -> list[Any]:
        if not self.has_taken:
            self.has_taken = True
            self.taken = self._take()
        return [asked for asked, _ in self.taken]


def _answers(work: Work[Any, Any], group: _Group) -> Sequence[Any]:
    answers = work(group.take)
    if len(answers) != len(group.taken):  # before anybody is told what is another's
        raise RuntimeError("there is not one answer for each")
    return answers


def _tell(taken: Sequence[Waiting], answers: Sequence[Any]) -> None:
    for (_, future), answer in zip(taken, answers, strict=True):
        if future.done():  # nobody waits for it any more
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
