"""A relay in a process of its own, which may be killed, and what it has accepted."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.support.mail import relay_program
from tests.support.mail.delivered import Delivered
from tests.support.ports import free_port, is_listening
from tests.support.waiting import wait_until


class AcceptedMail(Delivered):
    """A mail that the relay has accepted."""

    def __init__(self, recipient: str, started: float, octets: str) -> None:
        super().__init__(recipient, octets.encode("latin-1"))
        #: when the server began to send it, of the monotonic clock of this machine
        self.started = started


class RelayProcess:
    """The program `relay_program`.

    Args:
        folder: for the mails.
        defer: each mail that is the so manieth one is deferred; 0 for none.
    """

    def __init__(self, folder: Path, defer: int = 0) -> None:
        self.port = free_port()
        self._defer = defer
        self._file = folder / "mails.jsonl"
        self._file.touch()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it listens."""
        arguments = str(self.port), str(self._file), str(self._defer)
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-E", relay_program.__file__, *arguments]
        )
        wait_until(lambda: is_listening(self.port))

    def kill(self) -> None:
        """Kill it; what it has accepted stays."""
        assert self._process
        self._process.kill()
        self._process.wait(30)

    def forget(self) -> None:
        """Forget what it has accepted."""
        self._file.write_bytes(b"")

    def count(self) -> int:
        """Return how many mails it has accepted."""
        return self._file.read_bytes().count(b"\n")

    def mails(self) -> list[AcceptedMail]:
        """Return what it has accepted, in order, but for a line that a kill has cut."""
        lines = self._file.read_text(encoding="ascii").split("\n")[:-1]
        return [AcceptedMail(**json.loads(line)) for line in lines]
