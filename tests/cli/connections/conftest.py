"""The command, run against a host."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.commands.running import CommandResult, RunAnyscale
from tests.support.users_files import write_users_file


@pytest.fixture
def ask(anyscale: RunAnyscale, tmp_path: Path) -> Callable[..., CommandResult]:
    """Run batch-create against a host, and check that the message is complete."""
    file = write_users_file(tmp_path / "users.yaml", 3, 0)

    def run(host: str, **env: str) -> CommandResult:
        result = anyscale(
            *("user", "batch-create", "-f", file, "--host", host),
            env={"ANYSCALE_CLI_TOKEN": "mrt_secret"} | env,
        )
        assert "Traceback" not in result.stderr
        assert "mrt_secret" not in result.stderr
        assert result.stdout == ""
        return result

    return run
