"""`--processes`: each test runs once, and no failure is lost."""

import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

_OPTIONS = ("-p", "no:schemathesis", "-p", "tests.support.processes", "--processes", "3", "-q")


def run(folder: Path, **modules: str) -> str:
    """Run tests, of which some fail; give what pytest prints."""
    for name, text in modules.items():
        (folder / f"test_{name}.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *_OPTIONS, folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    return done.stdout


def test_each_test_runs_once_and_a_failure_is_shown(tmp_path: Path) -> None:
    passes = "import pytest\n@pytest.mark.parametrize('n', range(9))\ndef test_it(n): pass\n"
    fails = "def test_it():\n    print('was printed')\n    assert 1 == 2\n"
    output = run(tmp_path, fails=fails, a=passes, b=passes, c=passes, d=passes)
    assert "1 failed, 36 passed" in output
    assert "was printed" in output
    assert "E       assert 1 == 2" in output


def test_the_test_of_a_process_that_dies_has_failed(tmp_path: Path) -> None:
    output = run(tmp_path, dies="import os\ndef test_a(): pass\ndef test_b(): os._exit(0)\n")
    assert "test_b" in output
    assert "1 failed, 1 passed" in output
