"""Packages are documented, modules have names, and imports are declared."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from tests.support.paths import ROOT, SOURCE

FOLDERS = pytest.mark.parametrize(
    "folder", [SOURCE, ROOT / "benchmarks"], ids=lambda folder: folder.name
)


def undocumented_packages(source: Path) -> list[str]:
    """List the folders with modules whose `__init__.py` has no docstring of a sentence."""
    return [
        str(folder.relative_to(source))
        for folder in sorted({path.parent for path in source.rglob("*.py")})
        if not re.match(r"\S+ .*\.", _docstring(folder / "__init__.py"), re.DOTALL)
    ]


def _docstring(path: Path) -> str:
    if not path.exists():
        return ""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def undeclared_imports(source: Path, declared: set[str]) -> set[str]:
    """Give the packages that modules import, and that are neither declared nor Python's or ours.

    Args:
        source: the folder of the modules.
        declared: names of distributions, as PyPI compares them.
    """
    distributions = packages_distributions()
    found = set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in {name.partition(".")[0] for name in names}:
                # The distribution of an extra may not be installed here: it has this name then.
                owners = {_normal(owner) for owner in distributions.get(name, [name])}
                if name not in {*sys.stdlib_module_names, "anyscale"} and not owners & declared:
                    found.add(name)
    return found


def declared_distributions() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [text for extra in project["optional-dependencies"].values() for text in extra]
    return {_normal(re.split(r"[\[<>=]", text)[0]) for text in project["dependencies"] + extras}


def _normal(name: str) -> str:
    """Write the name of a distribution as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_name_of_a_module_says_its_subject() -> None:
    names = {path.stem for path in SOURCE.rglob("*.py")}
    assert not names & {"utils", "helpers", "manager", "common", "misc"}


def test_the_source_imports_no_package_of_the_tests() -> None:
    assert undeclared_imports(SOURCE, declared_distributions()) == set()


@FOLDERS
def test_every_package_has_a_docstring_of_a_sentence(folder: Path) -> None:
    assert undocumented_packages(folder) == []
