"""The content of the package."""

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.paths import ROOT


def test_the_wheel_contains_the_source_and_nothing_else(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)

    (wheel,) = tmp_path.glob("musterroll-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    source = ROOT / "src"
    wanted = {
        str(path.relative_to(source))
        for path in (source / "anyscale").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert "anyscale/py.typed" in names
    assert any(name.endswith(".sql") for name in names)
    assert not [name for name in names if "test" in name]


def test_the_source_archive_can_be_built(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "-d", str(tmp_path)]

    done = subprocess.run(build, cwd=ROOT, check=True, capture_output=True, text=True)

    assert done.returncode == 0
    assert list(tmp_path.glob("musterroll-*.tar.gz"))
