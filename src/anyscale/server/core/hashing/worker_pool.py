"""One hashing process a core, and threads that take turns at them."""

import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from anyscale.server.core.hashing.argon2id import Hasher, Profile
from anyscale.server.core.hashing.worker import HashWorker, Job, answered

__all__ = ["HashWorkers"]

#: A process, or None for one that is still to begin; and whether it was asked already.
_Given = tuple[HashWorker | None, bool]


class _Turn:
    """A thread that waits for a process, and what it is going to ask."""

    def __init__(self, question: Callable[[], Job | None]) -> None:
        self.question = question
        self.given: SimpleQueue[_Given] = SimpleQueue()


class HashWorkers:
    """The processes: each is asked by one thread at a time, first come first served.

    Args:
        profile: the parameters of hashes.
        count: of processes.
    """

    def __init__(self, profile: Profile, count: int) -> None:
        self._profile = profile
        self._hasher = Hasher(profile)
        self._lock = threading.Lock()
        #: The last one used comes first, so that no more begin than are needed.
        self._free: list[HashWorker | None] = [None] * count
        self._count = count
        self._turns: deque[_Turn] = deque()

    def ask(self, question: Callable[[], Job | None]) -> list[Any]:
        """Have a question answered by a process; by this thread, if that one is gone.

        Args:
            question: gives it, the same at each call, or None for nothing. It is called as soon as
                a process is free, by this thread or by the one that was served before.

        Returns:
            What `answered` gives, or nothing.
        """
        process, is_asked = self._take(question)
        owes_answer = is_asked
        try:
            asked = question()
            if asked is None:
                return []
            process = process or self._new_process()
            if not process:
                return answered(self._hasher, asked)
            owes_answer = True
            answers = _answers(process, asked, is_asked=is_asked)
            owes_answer = answers is None
            return answered(self._hasher, asked) if answers is None else answers
        finally:
            if process and owes_answer:  # which is for nobody else
                process.close()
                process = None
            self._pass_on(process)

    def begun(self) -> list[HashWorker]:
        """Give the processes that nobody has now, and that have begun."""
        with self._lock:
            return [process for process in self._free if process]

    def close(self) -> None:
        """Let the processes go; what they have begun is finished."""
        # All of them first: one that is in use comes when it has finished.
        for process, _ in [self._take(lambda: None) for _ in range(self._count)]:
            if process:
                process.close()
            self._pass_on(None)

    def _take(self, question: Callable[[], Job | None]) -> _Given:
        turn = _Turn(question)
        with self._lock:
            if self._free:
                return self._free.pop(), False
            self._turns.append(turn)
        return turn.given.get()

    def _pass_on(self, process: HashWorker | None) -> None:
        with self._lock:
            if not self._turns:
                self._free.append(process)
                return
            turn = self._turns.popleft()
        is_asked = False
        try:
            is_asked = process is not None and _is_asked(process, turn.question)
        finally:
            turn.given.put((process, is_asked))

    def _new_process(self) -> HashWorker | None:
        try:
            return HashWorker(self._profile)
        except OSError:  # too many processes or files, or no memory: then this thread does it
            return None


def _is_asked(process: HashWorker, question: Callable[[], Job | None]) -> bool:
    """Ask for whoever waits: while that one woke up and asked, a core would have nothing to do."""
    try:
        asked = question()
        if asked is not None:
            process.ask(asked)
    except Exception:  # noqa: BLE001 - whoever waits meets it as well, when it asks itself
        return False
    return asked is not None


def _answers(process: HashWorker, asked: Job, *, is_asked: bool) -> list[Any] | None:
    """Ask, if nobody has yet, and give the answers; None where the process is gone."""
    try:
        if not is_asked:
            process.ask(asked)
        return process.answer(asked)
    except (EOFError, OSError):
        return None
