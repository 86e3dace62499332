"""Run the command: in the foreground, in the background, and until a batch is done."""

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from tests.support.commands.command_process import CommandProcess, CommandResult
from tests.support.paths import ANYSCALE

__all__ = [
    "BatchCreateCommand",
    "CommandResult",
    "RunAnyscale",
    "list_emails",
    "run_command",
    "run_unread",
    "start_command",
    "wait_for_commands",
]

RunAnyscale = Callable[..., CommandResult]

#: variables that an interpreter reads as it starts: a forked one does not see them
_START_VARIABLES = ("PYTHON", "LC_", "LANG")


@pytest.fixture
def anyscale(tmp_path: Path) -> RunAnyscale:
    """Runs the command in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()

    def run(
        *arguments: str | Path,
        stdin: str | bytes | None = None,
        stdout: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> CommandResult:
        octets = stdin.encode("utf-8", "surrogateescape") if isinstance(stdin, str) else stdin
        environment = os.environ | dict(env or {})
        if any(name.startswith(_START_VARIABLES) for name in env or {}):
            return _run_installed(arguments, environment, folder, octets, timeout)
        return run_command(
            arguments, environment, folder=folder, stdin=octets, stdout=stdout, timeout=timeout
        )

    return run


def _run_installed(
    arguments: Sequence[str | Path],
    environment: Mapping[str, str],
    folder: Path,
    stdin: bytes | None,
    timeout: float,
) -> CommandResult:
    """Run the installed command, in an interpreter of its own."""
    done = subprocess.run(
        [ANYSCALE, *map(str, arguments)],
        cwd=folder,
        input=stdin or b"",
        env=environment,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    output, log = (
        octets.decode("utf-8", "surrogateescape") for octets in (done.stdout, done.stderr)
    )
    return CommandResult(done.args, done.returncode, output, log)


def run_command(
    arguments: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    folder: Path,
    stdin: bytes | None = None,
    stdout: str | Path | None = None,
    timeout: float = 120,
) -> CommandResult:
    """Run the command in a forked process, and wait for its end.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was killed.
    """
    if not stdin:
        process = CommandProcess(arguments, environment, folder=folder, stdout=stdout)
        return process.finish(timeout)
    with TemporaryDirectory() as name:
        fifo = Path(name, "stdin")
        os.mkfifo(fifo)
        threading.Thread(target=_write, args=(fifo, stdin), daemon=True).start()
        process = CommandProcess(arguments, environment, folder=folder, stdin=fifo, stdout=stdout)
        return process.finish(timeout)


def _write(fifo: Path, octets: bytes) -> None:
    with suppress(BrokenPipeError), fifo.open("wb") as pipe:
        pipe.write(octets)


def run_unread(*arguments: str | Path, program: Sequence[str] = (ANYSCALE,)) -> CommandResult:
    """Run the installed command, or a program, whose standard output is a pipe that nobody reads.

    It is not forked: an interpreter that ends writes what is left to its standard output.
    """
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        return subprocess.run(
            [*program, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )


def start_command(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: str | Path = os.devnull,
    real_hashes: bool = False,
    stopped: bool = False,
    constants: Mapping[str, object] | None = None,
) -> CommandProcess:
    """Start the command in a forked process, and do not wait for its end."""
    return CommandProcess(
        arguments,
        os.environ | dict(env or {}),
        folder=Path.cwd(),
        stdin=stdin,
        real_hashes=real_hashes,
        stopped=stopped,
        constants=constants,
    )


def wait_for_commands(processes: Iterable[CommandProcess]) -> list[CommandResult]:
    """Wait for the ends of commands that run at the same time."""
    return [process.finish() for process in processes]


def list_emails(anyscale: RunAnyscale) -> list[str]:
    """List the emails of the accounts, sorted, by `user list`."""
    result = anyscale("user", "list", "-o", "jsonl")
    assert result.returncode == 0, result.stderr
    return sorted(re.findall(r'"email":"([^"]+)"', result.stdout))


@pytest.fixture
def count_accounts(anyscale: RunAnyscale) -> Callable[[], int]:
    """Counts the accounts by `user list`."""
    return lambda: len(list_emails(anyscale))


class BatchCreateCommand:
    """`user batch-create` on one file, in the background; it may be killed and run again.

    Args:
        file: the users file.
        cleanup: kills what a failed test leaves running.
    """

    #: more of its options
    options: Sequence[str] = ()

    def __init__(self, file: Path, cleanup: ExitStack) -> None:
        self.file = file
        self._cleanup = cleanup

    def start(self) -> CommandProcess:
        process = start_command(
            "user", "batch-create", "-f", self.file, "-o", "jsonl", *self.options
        )
        self._cleanup.callback(process.kill)
        return process

    def finish(self, tries: int = 8) -> tuple[list[str], str]:
        """Run it until it succeeds, as its message says; give the emails it prints, and its log."""
        for _ in range(tries):
            done = self.start().finish(150)
            if done.returncode == 0:
                return [json.loads(line)["email"] for line in done.stdout.splitlines()], done.stderr
            assert done.returncode == 3, done.stderr
        raise AssertionError(done.stderr)


@pytest.fixture
def batch_create() -> Iterator[Callable[[Path], BatchCreateCommand]]:
    """Makes the command for a file."""
    with ExitStack() as cleanup:
        yield lambda file: BatchCreateCommand(file, cleanup)
