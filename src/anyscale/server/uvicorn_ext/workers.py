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

    def keep_subprocess_alive(self) -> None:
        """Replace the workers that have died."""
        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        if dead := before - {process.pid for process in self.processes}:
            _mark_dead(dead)


def _mark_dead(pids: set[int | None]) -> None:
    """Take processes that have ended out of the sums of gauges."""
    from prometheus_client.multiprocess import mark_process_dead

    for pid in pids:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]  # it ships no types


def unblock_interrupts() -> None:
    """Receive SIGINT from now on, and also a blocked one."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
