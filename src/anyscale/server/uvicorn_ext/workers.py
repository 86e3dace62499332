"""Worker processes that shut down in order when Ctrl-C comes while they start."""

import signal
from multiprocessing import resource_tracker

from uvicorn.supervisors import Multiprocess

__all__ = ["SupervisedWorkers", "unblock_interrupts"]


class SupervisedWorkers(Multiprocess):
    """uvicorn's worker processes.

    A terminal sends SIGINT to each process of the group, and a worker that still starts would die
    of it. So SIGINT is blocked in the supervisor while workers start; a child inherits the mask.
    """

    def init_processes(self) -> None:
        """Start the workers."""
        resource_tracker.ensure_running()  # its own start unblocks SIGINT
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            super().init_processes()
        finally:
            unblock_interrupts()


def unblock_interrupts() -> None:
    """Receive SIGINT from now on, and also a blocked one."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
