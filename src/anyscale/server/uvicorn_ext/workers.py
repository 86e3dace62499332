"""Several processes that answer, each of which ends in order when Ctrl-C comes while it starts."""

import signal
from multiprocessing import resource_tracker

from uvicorn.supervisors import Multiprocess

__all__ = ["Workers", "hear_interrupts"]


class Workers(Multiprocess):
    """uvicorn's processes. A terminal tells Ctrl-C to each, and one that starts would die of it.

    Whoever starts them holds it back meanwhile, and a process begins with what holds who starts it.
    """

    def init_processes(self) -> None:
        """Start them."""
        resource_tracker.ensure_running()  # at its own start it lets through what is held back
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            super().init_processes()
        finally:
            hear_interrupts()


def hear_interrupts() -> None:
    """Take Ctrl-C from now on, and what was held back until now."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
