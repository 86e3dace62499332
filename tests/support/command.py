"""Databases, servers and files for the tests that run the real command."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.conftest import Anyscale
from tests.support.server_process import ANYSCALE, ServerProcess


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, one for each kind of store."""
    if request.param == "sqlite":
        return f"sqlite:////{tmp_path.relative_to('/')}/served/anyscale.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def server(database: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that is ready."""
    with ServerProcess(database, tmp_path) as server:
        yield server


@pytest.fixture
def signed_in(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> ServerProcess:
    """A server that the environment names, with an owner's token."""
    monkeypatch.setenv("ANYSCALE_HOST", server.url)
    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
    return server


class Command:
    """The main job on a file in the background, which may be killed and run again."""

    def __init__(self, file: Path, folder: Path, left: ExitStack) -> None:
        self.file = file
        self._folder = folder
        self._left = left

    def start(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [ANYSCALE, "user", "batch-create", "-f", str(self.file), "-o", "jsonl"],
            cwd=self._folder,
            env=os.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._left.callback(_end, process)
        return process

    def finish(self, tries: int = 8) -> tuple[list[str], str]:
        """Run it until it is done, as its message says; give the emails it prints, and its log."""
        for _ in range(tries):
            process = self.start()
            output, said = process.communicate(timeout=150)
            if process.returncode == 0:
                return [json.loads(line)["email"] for line in output.splitlines()], said
            assert process.returncode == 3, said
        raise AssertionError(said)


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.kill()
        process.communicate()


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[[Path], Command]]:
    """Makes the command on a file. What a test that failed leaves running is ended."""
    with ExitStack() as left:
        yield lambda file: Command(file, tmp_path, left)


@pytest.fixture
def visible(anyscale: Anyscale) -> Callable[[], int]:
    """Counts the accounts."""

    def count() -> int:
        listed = anyscale("user", "list", "-o", "jsonl")
        assert listed.returncode == 0, listed.stderr
        return len(listed.stdout.splitlines())

    return count
