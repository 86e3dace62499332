"""Stop a process, as Ctrl-Z does."""

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tests.support.waiting import wait_until


def stop_process(pid: int) -> None:
    """Stop a process, and wait until none of its threads runs."""
    os.kill(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")
    wait_until(lambda: are_stopped(threads.iterdir()))


def are_stopped(threads: Iterable[Path]) -> bool:
    """Return whether all threads are stopped, by their folders; False if one has just ended."""
    with suppress(FileNotFoundError, ProcessLookupError):  # before and after its file is opened
        return {process_state(thread) for thread in threads} == {"T"}
    return False


def process_state(folder: Path) -> str:
    """Return the state of a process or thread, by its folder in /proc, as `ps` shows it."""
    return (folder / "stat").read_text("utf-8").rpartition(")")[2].split()[0]
