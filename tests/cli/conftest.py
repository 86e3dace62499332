"""Fixtures of the tests of commands."""

from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale


@pytest.fixture(params=["embedded", "http"])
def control_plane(request: pytest.FixtureRequest) -> str:
    """The control plane of the command over each transport; gives its kind."""
    if request.param == "http":
        request.getfixturevalue("configured_server")
    kind: str = request.param
    return kind


@pytest.fixture
def users(request: pytest.FixtureRequest, anyscale: RunAnyscale, tmp_path: Path) -> Path:
    """A file with the text `FILE` of the test's module, whose users have accounts."""
    file = tmp_path / "users.yaml"
    file.write_text(request.module.FILE, encoding="utf-8")
    done = anyscale("user", "batch-create", "-f", file)
    assert done.returncode == 0, done.stderr
    return file
