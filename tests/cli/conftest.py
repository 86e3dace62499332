"""Fixtures of the tests of commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.servers.server_process import ServerProcess


@pytest.fixture(params=["embedded", "postgres"])
def control_plane(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Each transport and each store once: embedded, or a server of PostgreSQL; gives its kind."""
    if request.param == "embedded":
        yield request.param
        return
    with ServerProcess(request.getfixturevalue("postgres_url"), tmp_path) as server:
        monkeypatch.setenv("ANYSCALE_HOST", server.url)
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
        yield request.param


@pytest.fixture
def users(request: pytest.FixtureRequest, anyscale: RunAnyscale, tmp_path: Path) -> Path:
    """A file with the text `FILE` of the test's module, whose users have accounts."""
    file = tmp_path / "users.yaml"
    file.write_text(request.module.FILE, encoding="utf-8")
    done = anyscale("user", "batch-create", "-f", file)
    assert done.returncode == 0, done.stderr
    return file
