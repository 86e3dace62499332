"""Servers in processes of their own."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest
from tests.support.commands.command_process import CommandProcess
from tests.support.commands.running import run_command
from tests.support.paths import ANYSCALE
from tests.support.ports import free_port, is_free, responds_at
from tests.support.users import create_accounts
from tests.support.waiting import wait_until

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings


class ServerProcess:
    """`anyscale server start`; it may be stopped, killed and started again at the same port.

    Args:
        database: its URL.
        folder: for its log and its temporary files.
        workers: number of worker processes.
        real_hashes: whether it hashes passwords with the parameters of production.
        port: by default a free one.
        settings: more environment variables.
        constants: see `CommandProcess`.
    """

    def __init__(
        self,
        database: str,
        folder: Path,
        workers: int = 1,
        *,
        real_hashes: bool = False,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        constants: Mapping[str, object] | None = None,
    ) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"server-{self.port}.log"
        self._workers = workers
        self._real_hashes = real_hashes
        self._constants = constants
        # A server that is killed leaves its temporary folder.
        self._environment = os.environ | {"TMPDIR": str(folder), "ANYSCALE_DATABASE_URL": database}
        self._environment |= settings or {}
        self._process: subprocess.Popen[bytes] | CommandProcess | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def set(self, **settings: str) -> None:
        """Change the environment of the next start."""
        self._environment |= settings

    def begin_installed(self) -> None:
        """Start the installed command, which imports while it starts; do not wait for it."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [ANYSCALE, *self._arguments()],
                env=self._environment,
                stderr=log,
                start_new_session=True,
            )

    def start(self) -> None:
        """Start it in a forked process, and wait until it is ready."""
        # A worker of a killed server may still listen: it is not a child of this process.
        wait_until(lambda: is_free(self.port))
        _wait_until(self.begin(), self.port, "/readyz", self.log)

    def begin(self) -> CommandProcess:
        """Start it in a forked process, and do not wait until it is ready."""
        self._process = CommandProcess(
            self._arguments(),
            self._environment,
            folder=self.log.parent,
            log=self.log,
            new_session=True,
            real_hashes=self._real_hashes,
            constants=self._constants,
        )
        return self._process

    def _arguments(self) -> list[str]:
        return ["server", "start", f"--port={self.port}", f"--workers={self._workers}"]

    def stop(self) -> int:
        """Stop it by SIGTERM; give its exit status."""
        assert self._process
        self._process.terminate()
        return self.ended()

    @property
    def pid(self) -> int:
        """Of its first process."""
        assert self._process
        return self._process.pid

    def worker_pids(self) -> list[int]:
        """Return the ids of its workers, if it has several: they have a name of their own."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text("ascii").split()
        return [int(pid) for pid in children if _name(pid) == "anyscale-worker"]

    def interrupt(self) -> None:
        """Press Ctrl-C: a terminal sends SIGINT to all of its processes."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGINT)

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes."""
        assert self._process
        os.killpg(self._process.pid, number)

    def ended(self) -> int:
        """Wait for its end; give its exit status."""
        assert self._process
        return self._process.wait(90)

    def kill(self) -> None:
        """Kill all of its processes."""
        if self._process and self._process.poll() is None:
            with suppress(ProcessLookupError):  # a killed process that has not ended yet
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(90)

    def run(self, *arguments: str) -> str:
        """Run a command of the operator on its database; give the standard output."""
        command = ["server", *arguments]
        done = run_command(command, self._environment, folder=self.log.parent)
        done.check_returncode()
        return done.stdout.strip()

    def token(self, name: str = "jane", role: str = "owner") -> str:
        """Create a token."""
        return self.run("create-token", "--name", name, "--role", role)


def _name(pid: str) -> str:
    with suppress(OSError):  # it has ended
        return Path(f"/proc/{pid}/comm").read_text("utf-8").strip()
    return ""


@contextmanager
def server_of_jane(
    folder: Path, workers: int = 1, *, constants: Mapping[str, object] | None = None
) -> Iterator[ServerProcess]:
    """Run a server on SQLite with the account of Jane until the block ends."""
    database = folder / "anyscale.db"
    control_plane = ControlPlane(Settings(database=database))
    create_accounts(control_plane, "jane")
    control_plane.close()
    url = f"sqlite:///{database}"
    with ServerProcess(url, folder, workers, constants=constants) as server:
        yield server


@contextmanager
def run_server_process(
    command: str,
    port: int,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    waits: bool = True,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends, by a command of the documents; SIGTERM has to stop it.

    Args:
        command: for a shell.
        port: at which the command starts it.
        folder: the working directory.
        environment: more environment variables.
        waits: whether the block begins only when the server responds.
    """
    process = subprocess.Popen(
        ["sh", "-c", f"exec {command}"],
        cwd=folder,
        env=os.environ | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        if waits:
            _wait_until(process, port, "/healthz")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=75)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert process.returncode == 0, f"the server ended with {process.returncode}"


def _wait_until(
    process: subprocess.Popen[bytes] | CommandProcess, port: int, path: str, log: Path | None = None
) -> None:
    deadline = time.monotonic() + 60
    while not responds_at(port, path):
        text = log.read_text(encoding="utf-8") if log else ""
        assert process.poll() is None, f"the server ended with {process.poll()}: {text}"
        assert time.monotonic() < deadline, f"the server does not respond: {text}"
        time.sleep(0.02)


@pytest.fixture
def database(request: pytest.FixtureRequest, store_kind: str, tmp_path: Path) -> str:
    """The URL of an empty database on the store of the test."""
    if store_kind == "sqlite":
        return f"sqlite:////{tmp_path.relative_to('/')}/served/anyscale.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def server(database: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that is ready."""
    with ServerProcess(database, tmp_path) as server:
        yield server


@pytest.fixture
def configured_server(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> ServerProcess:
    """A server that the environment names, with an owner's token."""
    monkeypatch.setenv("ANYSCALE_HOST", server.url)
    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
    return server
