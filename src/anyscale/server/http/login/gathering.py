"""Work that is done for several requests at once: for those that wait when it begins."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from anyscale.server.http.bounded_pool import BoundedThreadPool

__all__ = ["Gathering"]

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

Take = Callable[[], list[Asked]]
Work = Callable[[Take[Asked]], Sequence[Answer | Exception]]

#: What somebody asked, and what becomes of it.
Waiting = tuple[Any, "asyncio.Future[Any]"]

#: Of how many at most the first one waits for the last one.
_TOGETHER = 4

#: Seconds between two answers: each is some work of the event loop, and so is the next request that
#: often follows at once. Whoever asks for anything else waits for one of them, not for all.
_APART = 0.002
#: Of many answers the part that is told in one such moment: an eighth.
_PARTS = 8


class Gathering(BoundedThreadPool):
    """A lane in which a thread takes its share of all that waits, and not one at a time.

    Its share is as large as if each core that is free took one as well.

    Args:
        name: of the kind of work.
        threads: that do it at a time.
        waiting: how many more may wait for one.
        shares: into how many what waits is divided, where nothing is under way: the cores.
        others: says whether anybody asks for anything else; answers leave apart only then, since it
            costs a fifth of what a sign-in takes besides its hash.
    """

    def __init__(
        self, name: str, threads: int, waiting: int, *, shares: int, others: Callable[[], bool]
    ) -> None:
        super().__init__(name, threads, waiting)
        self._shares = shares
        self._others = others
        self._taking = threading.Lock()
        #: groups that were taken and are not done yet
        self._under_way = 0
        #: threads that were called and have not taken anybody yet
        self._called = 0
        self._waiting: deque[Waiting] = deque()
        #: answers that nobody was told yet, and whether the next one is told in a moment
        self._answers: deque[tuple[Waiting, Any]] = deque()
        self._is_telling = False

    async def gather(self, work: Work[Asked, Answer], asked: Asked) -> Answer:
        """Have something done for who has a `place`. Once begun, it is finished.

        Args:
            work: the same at each call. It is given a function that gives whoever waits, the same
                at each call, to be called when something can be done for them; it returns an answer
                or an error for each.
            asked: what it is done for.

        Raises:
            Exception: the error that is returned for this one, or raised for all.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()
        do = partial(self._do, work, loop)
        with self._taking:
            self._waiting.append((asked, answer))
            self._call(do)
        return await answer

    def _call(self, do: Callable[[], None]) -> None:
        """Call as many threads as those who wait need: to wake one more costs as much as a look-up.

        One for each core, as long as there are people for it, and one for each group.
        """
        waiting = len(self._waiting)
        while self._called < max(min(waiting, self._shares), -(-waiting // _TOGETHER)):
            self._called += 1
            self._threads.submit(do)

    def _do(self, work: Work[Any, Any], loop: asyncio.AbstractEventLoop) -> None:
        with self._taking:
            if not self._waiting:  # another thread took them along
                self._called -= 1
                return
        group = _Group(partial(self._take, partial(self._do, work, loop)))
        answers: Sequence[Any]
        try:
            answers = _answers(work, group)
        except Exception as error:  # noqa: BLE001 - it is told to each who waits for an answer
            group.take()
            answers = [error] * len(group.taken)
        finally:
            self._release(group)
        told = list(zip(group.taken, answers, strict=True))
        loop.call_soon_threadsafe(self._tell_all, told, loop)

    def _take(self, do: Callable[[], None]) -> list[Waiting]:
        with self._taking:
            share = -(-len(self._waiting) // max(self._shares - self._under_way, 1))
            taken = [self._waiting.popleft() for _ in range(min(share, _TOGETHER))]
            self._under_way += 1
            self._called -= 1
            self._call(do)
        # Of who gave up nothing is begun.
        return [waiting for waiting in taken if not waiting[1].done()]

    def _tell_all(
        self, told: Sequence[tuple[Waiting, Any]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._answers.extend(told)
        if not self._is_telling:
            self._tell(loop)

    def _tell(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell the next one, or the next ones where many wait, and the others a moment later."""
        self._is_telling = bool(self._answers)
        if self._is_telling:
            loop.call_later(_APART, self._tell, loop)
        for _ in range(-(-len(self._answers) // (_PARTS if self._others() else 1))):
            (_, future), answer = self._answers.popleft()
            if not future.done():  # somebody still waits for it
                _set(future, answer)

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
    if len(answers) != len(group.take()):  # before anybody is told what is another's
        raise RuntimeError("there is not one answer for each")
    return answers


def _set(future: "asyncio.Future[Any]", answer: Any) -> None:
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
