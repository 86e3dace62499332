"""The line of the backup guide that names the restored database in the settings."""

import subprocess
from pathlib import Path

import pytest
from tests.support.paths import ROOT


@pytest.mark.parametrize("end", ["", "?host=/var/run/postgresql"], ids=["no query", "query"])
def test_the_restored_database_replaces_the_old_one_in_every_url(end: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "operations" / "backup.md").read_text(encoding="utf-8")
    (line,) = [line for line in text.splitlines() if line.startswith("sed -i ")]
    file = tmp_path / "environment"
    file.write_text(f"ANYSCALE_DATABASE_URL='postgresql://m:p@db.example.com/musterroll{end}'\n")

    command = line.replace("/etc/musterroll/environment", str(file))
    subprocess.run(["/bin/sh", "-c", command], check=True)

    assert f"/musterroll_restored{end}'" in file.read_text()
