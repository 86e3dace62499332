"""Worker processes that shut down in order: by Ctrl-C while they start, and with their parent."""

import logging
import os
import signal
import threading
from contextlib import suppress
from multiprocessing import connection, parent_process, resource_tracker
from pathlib import Path

from uvicorn.supervisors import Multiprocess

_log = logging.getLogger("anyscale.server")

#: The process name of a worker, which `ps -e` and `top` show. Linux cuts names after 15 bytes.
_NAME = "anyscale-worker"


class SupervisedWorkers(Multiprocess):
    """uvicorn's worker processes.

    A terminal sends SIGINT to each process of the group, and a worker that still starts would die
    of it. So SIGINT is blocked in the supervisor while workers start; a child inherits the mask.
    """

    def init_processes(self) -> None:
        resource_tracker.ensure_running()  # its own start unblocks SIGINT
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            super().init_processes()
        finally:
            _unblock_interrupts()

    def keep_subprocess_alive(self) -> None:
        before = self._pids()
        super().keep_subprocess_alive()
        if dead := before - self._pids():
            _report_dead(dead)

    def _pids(self) -> set[int]:
        return {process.pid for process in self.processes if process.pid}


def _report_dead(pids: set[int]) -> None:
    """Log the processes that have ended, and take them out of the sums of gauges."""
    from prometheus_client.multiprocess import mark_process_dead

    for pid in pids:
        _log.warning("worker lost", extra={"worker": pid})
        mark_process_dead(pid)  # type: ignore[no-untyped-call]  # it ships no types


def set_up_worker() -> None:
    """Name this process, and have it shut down as by SIGTERM when its supervisor has died.

    Otherwise it would go on, and no new server could listen at the address.
    """
    _unblock_interrupts()
    with suppress(OSError):  # only Linux has this file
        Path("/proc/self/comm").write_text(_NAME, encoding="ascii")
    threading.Thread(target=_stop_with_parent, name="parent-watch", daemon=True).start()


def _unblock_interrupts() -> None:
    """Receive SIGINT from now on, and also a blocked one."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _stop_with_parent() -> None:
    parent = parent_process()
    assert parent
    connection.wait([parent.sentinel])  # a pipe, which ends with the supervisor
    _log.error("the parent process has died: this worker shuts down")
    os.kill(os.getpid(), signal.SIGTERM)
