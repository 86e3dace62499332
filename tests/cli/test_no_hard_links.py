"""Commands that create files on a file system without hard links, such as FUSE, SMB and exFAT."""

from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.faults.fault_injection import run_under_strace


@pytest.mark.parametrize(
    ("command", "variable"),
    [
        (["server", "create-signing-key"], "ANYSCALE_SIGNING_KEYS"),
        (["server", "create-second-factor-key"], "ANYSCALE_SECOND_FACTOR_KEYS"),
        (["server", "copy", "--to", "FOLDER"], ""),
    ],
)
def test_a_new_file_is_moved_where_it_cannot_be_linked(
    anyscale: RunAnyscale, tmp_path: Path, command: list[str], variable: str
) -> None:
    monkeypatched = {"ANYSCALE_HOST": "embedded"}
    users = "create_users: [{name: Ann, email: ann@example.com}]"
    created = anyscale("user", "batch-create", "-f", "-", stdin=users, env=monkeypatched)
    assert created.returncode == 0, created.stderr
    folder = tmp_path / "folder"
    options = ["-f", "-e", "trace=linkat", "-e", "inject=linkat:error=EPERM"]
    words = [f"sqlite:///{folder / 'copy.db'}" if one == "FOLDER" else one for one in command]
    environment = monkeypatched | ({variable: str(folder)} if variable else {})
    done = run_under_strace([*options, "-o", str(tmp_path / "log")], *words, env=environment)
    assert done.returncode == 0, done.stderr
    assert "linkat" in (tmp_path / "log").read_text()
    assert [one.name for one in folder.iterdir() if "part" in one.name or one.name[0] == "."] == []
