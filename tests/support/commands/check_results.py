"""Run `anyscale server check`, and read its results by their ids."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from tests.support.commands.running import run_command

from anyscale.server.check.run import CheckResult, run_checks


def check_installation(
    environment: Mapping[str, str], folder: Path, *arguments: str | Path
) -> tuple[int, dict[str, CheckResult]]:
    """Run the command; give its exit status, and each result by the id of its check."""
    command = ["server", "check", "-o", "json", *map(str, arguments)]
    done = run_command(command, os.environ | dict(environment), folder=folder)
    results = [CheckResult(**record) for record in json.loads(done.stdout)]
    return done.returncode, {result.check: result for result in results}


def check_in_process(
    environment: Mapping[str, str], only: str, environment_file: Path = Path("/nowhere")
) -> dict[str, CheckResult]:
    """Make the checks whose ids begin with a text, in this process."""
    return {result.check: result for result in run_checks(environment, environment_file, only=only)}
