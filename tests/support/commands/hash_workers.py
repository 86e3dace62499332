"""The worker processes of a test's server, which it forks where production starts an interpreter.

The imports of an interpreter take a hundred times as long as the hashes of a test. The pipes, the
process, its group, its environment and its priority are those of production.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from anyscale.server.core.hashing import worker

__all__ = ["ARE_FORKED", "PIPE", "Popen"]

PIPE = subprocess.PIPE

#: a constant that a test of the workers themselves sets to False
ARE_FORKED = True


def Popen(  # noqa: N802 - in place of the one of `subprocess`
    command: list[str], *, stdin: int, stdout: int, env: Mapping[str, str], process_group: int
) -> "_ForkedWorker | subprocess.Popen[bytes]":
    """Start a worker."""
    if ARE_FORKED:
        return _ForkedWorker(command, env, process_group)
    return subprocess.Popen(
        command, stdin=stdin, stdout=stdout, env=env, process_group=process_group
    )


class _ForkedWorker:
    """What `HashWorker` uses of `subprocess.Popen`."""

    def __init__(self, command: list[str], environment: Mapping[str, str], group: int) -> None:
        jobs, writer = os.pipe()
        reader, results = os.pipe()
        # A signal in the first moment would reach the event loop of the server by its descriptor.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self.pid = os.fork()
        if not self.pid:
            _work(command, environment, group, jobs, results, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(jobs)
        os.close(results)
        self.stdin: IO[bytes] = os.fdopen(writer, "wb")
        self.stdout: IO[bytes] = os.fdopen(reader, "rb")
        self._has_ended = False

    def kill(self) -> None:
        if not self._has_ended:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> None:
        if not self._has_ended:
            with suppress(ChildProcessError):  # it was waited for
                os.waitpid(self.pid, 0)
        self._has_ended = True


def _work(
    command: list[str],
    environment: Mapping[str, str],
    group: int,
    jobs: int,
    results: int,
    signals: Collection[int],
) -> None:
    """Run the program of a worker in this process, which has just been forked, to its end."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)  # of the event loop, which is the server's
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setpgid(0, group)
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        os.dup2(jobs, 0)
        os.dup2(results, 1)
        for descriptor in [int(file.name) for file in Path("/proc/self/fd").iterdir()]:
            if descriptor > 2:
                with suppress(OSError):  # the list itself
                    os.close(descriptor)
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        sys.argv = [worker.__name__, command[-1]]
        os.environ.clear()
        os.environ.update(environment)
        worker.main()
    except (EOFError, BrokenPipeError):
        status = 0
    finally:
        os._exit(status)
