"""Run the installed command: in the foreground, in the background, and until a batch is done."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.paths import ANYSCALE

__all__ = [
    "BatchCreateCommand",
    "CommandResult",
    "RunAnyscale",
    "list_emails",
    "start_command",
    "wait_for_command",
    "wait_for_commands",
]

CommandResult = subprocess.CompletedProcess[str]
RunAnyscale = Callable[..., CommandResult]


@pytest.fixture
def anyscale(tmp_path: Path) -> RunAnyscale:
    """Runs the installed command in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()

    def run(
        *arguments: str | Path,
        stdin: str | bytes | None = None,
        stdout: str | Path | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
    ) -> CommandResult:
        text = stdin.decode("utf-8", "surrogateescape") if isinstance(stdin, bytes) else stdin
        with Path(stdout or os.devnull).open("w", encoding="utf-8") as file:
            return subprocess.run(
                [ANYSCALE, *map(str, arguments)],
                cwd=folder,
                input=text or "",
                env=os.environ | dict(env or {}),
                stdout=file if stdout else subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="surrogateescape",
                timeout=timeout,
                check=False,
            )

    return run


def start_command(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[str]:
    """Start the command, and do not wait for its end."""
    return subprocess.Popen(
        [ANYSCALE, *map(str, arguments)],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | dict(env or {}),
    )


def wait_for_command(process: subprocess.Popen[str]) -> CommandResult:
    """Wait for the end of a command."""
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def wait_for_commands(processes: Iterable[subprocess.Popen[str]]) -> list[CommandResult]:
    """Wait for the ends of commands that run at the same time."""
    return [wait_for_command(process) for process in processes]


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
        folder: the working directory.
        cleanup: kills what a failed test leaves running.
    """

    def __init__(self, file: Path, folder: Path, cleanup: ExitStack) -> None:
        self.file = file
        self._folder = folder
        self._cleanup = cleanup

    def start(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [ANYSCALE, "user", "batch-create", "-f", str(self.file), "-o", "jsonl"],
            cwd=self._folder,
            env=os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._cleanup.callback(_kill, process)
        return process

    def finish(self, tries: int = 8) -> tuple[list[str], str]:
        """Run it until it succeeds, as its message says; give the emails it prints, and its log."""
        for _ in range(tries):
            process = self.start()
            output, log = process.communicate(timeout=150)
            if process.returncode == 0:
                return [json.loads(line)["email"] for line in output.splitlines()], log
            assert process.returncode == 3, log
        raise AssertionError(log)


def _kill(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.kill()
        process.communicate()


@pytest.fixture
def batch_create(tmp_path: Path) -> Iterator[Callable[[Path], BatchCreateCommand]]:
    """Makes the command for a file."""
    with ExitStack() as cleanup:
        yield lambda file: BatchCreateCommand(file, tmp_path, cleanup)
