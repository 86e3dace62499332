"""The commands for the first token on Kubernetes write it to a new private file."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.support.paths import ROOT

SOURCES = ["docs/operations/kubernetes.md", "deploy/chart/templates/NOTES.txt"]


def run_line(source: str, folder: Path, token: str) -> subprocess.CompletedProcess[str]:
    """Run the line of a text that creates a token, with a `kubectl` that prints one."""
    text = (ROOT / source).read_text(encoding="utf-8")
    (line,) = [line.strip() for line in text.splitlines() if "create-token --name" in line]
    line = line.replace("{{ .Release.Namespace }}", "accounts").replace("{{ .Release.Name }}", "m")
    kubectl = folder / "kubectl"
    kubectl.write_text(f"#!/bin/sh\necho {token}\n")
    kubectl.chmod(0o700)
    environment = {"PATH": f"{folder}:{os.defpath}"}
    command = ["/bin/sh", "-c", line]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("source", SOURCES)
def test_the_first_token_is_written_to_a_private_file_and_never_over_another(
    source: str, tmp_path: Path
) -> None:
    first = run_line(source, tmp_path, "first")
    second = run_line(source, tmp_path, "second")

    (file,) = tmp_path.glob("*.token")
    assert (first.returncode, first.stdout) == (0, "")
    assert second.returncode != 0
    assert file.read_text() == "first\n"
    assert file.stat().st_mode & 0o777 == 0o600
