"""The content of the package."""

import subprocess
import sys
import tarfile
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

    (manual,) = (name for name in names if ".data/" in name)
    assert manual.endswith("/share/man/man1/anyscale.1")
    names.discard(manual)
    assert {name for name in names if ".dist-info/" not in name} == wanted
    assert "anyscale/py.typed" in names
    assert any(name.endswith(".sql") for name in names)
    assert not [name for name in names if "test" in name]


def test_the_source_archive_contains_what_builds_checks_and_deploys_it(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)

    (path,) = tmp_path.glob("musterroll-*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("src", "tests", "benchmarks", "deploy", "examples", "requirements", "tools"):
        assert files_of(ROOT / folder) <= names
    assert {".ci/run", "Dockerfile", "dev", "pyproject.toml", "docs/README.md"} <= names
    assert not [name for name in names if name.startswith("docs/screenshots")]


def files_of(folder: Path) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not {"__pycache__", "node_modules"} & set(path.parts)
    }
