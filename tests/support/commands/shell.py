"""Run the lines of a guide in a shell, as an operator would."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.programs import check_found


def run_shell(lines: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run lines that have to succeed; give their standard output.

    Args:
        lines: of which the first one that fails, or that has an unset variable, ends the run.
        folder: the working directory.
        environment: all of the variables.
    """
    done = subprocess.run(
        ["sh", "-eu", "-c", lines],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    check_found(done.returncode, done.stderr)
    assert done.returncode == 0, done.stderr
    return done.stdout
