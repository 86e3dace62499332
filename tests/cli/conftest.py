"""Fixtures of the tests of commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.servers.control_planes import HttpDeployment, NewDeployment

from anyscale.domain.validation import Policy


@pytest.fixture(params=["embedded", "http"])
def control_plane(
    request: pytest.FixtureRequest, new_deployment: NewDeployment, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The control plane of the command over each transport; gives its kind."""
    if request.param == "embedded":
        yield request.param
        return
    with new_deployment(over_http=True) as deployment:
        assert isinstance(deployment, HttpDeployment)
        monkeypatch.setenv("ANYSCALE_HOST", deployment.url(Policy()))
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", deployment.token)
        yield request.param


@pytest.fixture
def users(request: pytest.FixtureRequest, anyscale: RunAnyscale, tmp_path: Path) -> Path:
    """A file with the text `FILE` of the test's module, whose users have accounts."""
    file = tmp_path / "users.yaml"
    file.write_text(request.module.FILE, encoding="utf-8")
    done = anyscale("user", "batch-create", "-f", file)
    assert done.returncode == 0, done.stderr
    return file
