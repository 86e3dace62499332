"""A server that may be killed and started again, and its client."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.support.databases import Database
from benchmarks.support.measuring import anyscale
from benchmarks.support.serving import Server, served, token

#: seconds until a command has to end
_TIMEOUT = 900


class Client(NamedTuple):
    """A command of the client that runs."""

    command: Sequence[str | Path]
    process: subprocess.Popen[bytes]

    def runs(self) -> bool:
        return self.process.poll() is None

    def has_ended(self, seconds: float) -> bool:
        """Wait for its end, at most for some seconds."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def succeeded(self) -> bool:
        """Wait for its end; return whether its exit status is 0."""
        return self.process.wait(_TIMEOUT) == 0


class Site:
    """A server on a database, and its client.

    Args:
        database: of the server.
        folder: for the log, and the state of the client.
        stack: stops the server when it is closed.
        settings: more settings of the server.
    """

    def __init__(
        self, database: Database, folder: Path, stack: ExitStack, settings: Mapping[str, str]
    ) -> None:
        self.database = database
        home = {"ANYSCALE_DATA_DIR": str(folder / f"data-{Path(database.url).name}")}
        self._settings = home | {"ANYSCALE_DATABASE_URL": database.url} | dict(settings)
        self._log = folder / "server.log"
        self._stack = stack
        self.token = token(self._settings)
        self.server = self._start(0)
        self.client = home | {
            "ANYSCALE_HOST": self.server.url,
            "ANYSCALE_CLI_TOKEN": self.token,
        }

    def _start(self, port: int) -> Server:
        return self._stack.enter_context(served(self._settings, self._log, port))

    def begin(self, *command: str | Path) -> Client:
        """Start a command of the client."""
        process = subprocess.Popen(
            anyscale(*command),
            env=os.environ | self.client,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return Client(command, process)

    def run(self, *command: str | Path) -> bytes:
        """Run a command of the client, and return its standard output."""
        return subprocess.run(
            anyscale(*command), env=os.environ | self.client, check=True, capture_output=True
        ).stdout

    def kill(self, victim: str, client: Client) -> None:
        """Kill the `client` or the `server`."""
        if victim == "client":
            client.process.kill()
            client.process.wait()
        else:
            os.kill(self.server.pid, signal.SIGKILL)

    def complete(self, victim: str, client: Client) -> bool:
        """Start what was killed again; return whether the same command succeeds.

        A client repeats its requests for a while, so it may succeed without a second run.
        """
        if victim == "server":
            self.server = self._start(self.server.port)
            if client.succeeded():
                return True
        return self.begin(*client.command).succeeded()


@contextmanager
def site(
    database: Database, folder: Path, settings: Mapping[str, str] | None = None
) -> Iterator[Site]:
    """Start a server, and stop it at the end of the block."""
    with ExitStack() as stack:
        yield Site(database, folder, stack, settings or {})
