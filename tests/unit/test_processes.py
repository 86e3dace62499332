"""`--processes`: each test runs once, and no failure is lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.paths import ROOT

_OPTIONS = ("-p", "tests.support.processes", "--processes", "3", "-o", "waiting=test_b", "-q")

_PASSES = "import pytest\n@pytest.mark.parametrize('n', range(9))\ndef test_it(n): pass\n"

_MODULES = {
    **dict.fromkeys("abcd", _PASSES),
    "fails": (
        "import pytest\n"
        "@pytest.fixture\ndef room():\n    yield\n    print('was printed at the end')\n"
        "def test_it(room):\n    print('was printed')\n    assert 1 == 2\n"
    ),
    # The last module, so that its process has taken no other one.
    "kills": "import os\ndef test_a(): pass\ndef test_b(): os._exit(0)\n",
}


@pytest.mark.one_python
@pytest.mark.parametrize("durations", [(), ("--durations=0", "--durations-min=0")], ids=str)
def test_each_test_runs_once_and_a_failure_and_the_death_of_a_process_are_shown(
    tmp_path: Path, durations: tuple[str, ...]
) -> None:
    for name, text in _MODULES.items():
        (tmp_path / f"test_{name}.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *_OPTIONS, *durations, tmp_path],
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "2 failed, 37 passed" in done.stdout, done.stderr
    assert "was printed\n" in done.stdout
    assert "was printed at the end\n" in done.stdout
    assert ("s setup " in done.stdout) == bool(durations)
    assert "E       assert 1 == 2" in done.stdout
    assert "test_kills.py::test_b" in done.stdout
    assert done.returncode == 1
