"""A node of a Ray cluster, with all of its processes."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.faults.stopping import process_state

#: how often it may be started until it is part of the cluster
_STARTS = 3


class RayNode:
    """`ray start --block`, and all processes that come of it.

    Args:
        command: with its arguments.
        address: of the node.
        environment: of the command.
        folder: for its log.
    """

    def __init__(
        self, command: Sequence[str], address: str, environment: Mapping[str, str], folder: Path
    ) -> None:
        self.address = address
        self._command = command
        # Each of its processes inherits this variable, also one whose parent has ended.
        self._mark = f"MUSTERROLL_TEST_NODE={folder}/{address}"
        name, _, value = self._mark.partition("=")
        self._environment = {**environment, name: value}
        self._folder = folder
        self._log = folder / f"{address}.log"
        self._starts = 0
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self._starts += 1
        with self._log.open("wb") as log:
            return subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def is_started(self) -> bool:
        """Whether it is part of the cluster.

        Start it again if it failed, as systemd would: a node of Ray ends if one of its processes
        takes more than 15 seconds to start.
        """
        log = self._log.read_text(encoding="utf-8", errors="replace")
        if self._process.poll() is not None:
            assert self._starts < _STARTS, log
            self.kill()
            self._process = self._start()
            return False
        return "Ray runtime started" in log

    def kill_if_hashing(self) -> bool:
        """Kill it if it hashes a password now, so that a request to it is lost; tell whether."""
        pids = _processes_with(self._mark)
        if not any(map(_is_hashing, pids)):
            return False
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kill()
        return True

    def kill(self) -> None:
        """Kill all of its processes at once, as when its machine loses power."""
        while pids := _processes_with(self._mark):
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.wait(30)


def _is_hashing(pid: int) -> bool:
    """Whether a process is a worker that hashes, and that runs or waits for a core."""
    folder = Path(f"/proc/{pid}")
    with suppress(OSError):  # it has ended
        is_running = process_state(folder) == "R"
        return is_running and b"core.hashing.worker" in (folder / "cmdline").read_bytes()
    return False


def _processes_with(variable: str) -> set[int]:
    """List the processes that have an environment variable with this value, and their descendants.

    A process of Ray that writes its title over its environment is a descendant of one that has not.
    """
    found, parents = set(), {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is of another user
            stat = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            if stat[0] not in "ZX":
                parents[int(folder.name)] = int(stat[1])
                if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.add(int(folder.name))
    while children := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= children
    return found
