"""`anyscale server check` on the installed files: another package has the same names."""

import base64
import hashlib
from pathlib import Path

import pytest
from tests.support.commands.check_results import check_in_process

from anyscale.server.check.run import CheckResult


def install(folder: Path, name: str, version: str, files: dict[str, bytes]) -> None:
    """Write a distribution and its files as an installer does."""
    info = f"{name}-{version}.dist-info"
    files = files | {f"{info}/METADATA": f"Name: {name}\nVersion: {version}\n".encode()}
    rows = [f"{info}/RECORD,,"]
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(content)}")
    (folder / info / "RECORD").write_text("\n".join([*rows, "anyscale/compiled.pyc,,"]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which this program is installed."""
    install(tmp_path, "musterroll", "0.1.0", {"anyscale/cli.py": b"ours", "anyscale/a.py": b""})
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def result() -> CheckResult:
    return check_in_process({}, "program.files")["program.files"]


def test_files_as_they_were_installed_are_ok(site: Path) -> None:
    assert (result().status, result().looked_at) == ("ok", f"musterroll 0.1.0 in {site}")


def test_a_package_of_the_same_names_is_noticed_before_it_changes_a_file(site: Path) -> None:
    install(site, "anyscale", "0.26.1", {})

    assert result().status == "warn"
    assert result().found.startswith("anyscale 0.26.1 is installed beside it")


def test_files_that_another_package_has_replaced_or_removed_are_named(site: Path) -> None:
    install(site, "anyscale", "0.26.1", {"anyscale/cli.py": b"theirs"})
    assert result().status == "fail"
    assert result().found == "1 of its files are changed or missing: anyscale/cli.py"

    (site / "anyscale" / "cli.py").unlink()
    (site / "anyscale" / "a.py").unlink()
    assert result().found.startswith("2 of its files")


def test_these_tests_run_on_unchanged_files() -> None:
    assert result().status == "ok"
