"""The command, run against a host."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.support.commands.running import CommandResult, RunAnyscale
from tests.support.users_files import write_users_file

from anyscale.transport.http import retry_policy


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


@pytest.fixture
def long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clock of the retries be 11 seconds later at each look, without any pause."""
    clock = count(0, 11)
    monkeypatch.setattr(retry_policy, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    for name in ("FIRST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(retry_policy, f"_{name}", 0.0)
