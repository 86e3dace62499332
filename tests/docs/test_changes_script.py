"""The script of the page on accounts that applies the changes of a file, on a server."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.faults.faulty_proxy import FaultyProxy
from tests.support.paths import ANYSCALE, ROOT
from tests.support.servers.server_process import ServerProcess

FILE = """create_users:
- {name: Jane, email: jane@example.com, lastname: Doe, title: Engineer}
- {name: Zoë, email: -zoe@example.com, is_sso_user: true}
- {name: Ann, email: ann@example.com, lastname: Lee}
"""
CHANGED = """create_users:
- {email: jane@example.com, name: "'Jane' \\"$HOME\\" --no-title", lastname: null, title: -f}
- {email: -zoe@example.com, name: Zoe, title: Boss, is_sso_user: false}
- {email: ann@example.com, lastname: Müller}
- {email: new@example.com, name: New}
"""


def run_script(folder: Path, most: int) -> subprocess.CompletedProcess[str]:
    page = (ROOT / "docs" / "operations" / "accounts.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"`changes\.sh`:\n\n```sh\n(.*?)```\n", page, re.DOTALL)
    (folder / "changes.sh").write_text(script, encoding="utf-8")
    return subprocess.run(
        ["sh", "changes.sh", "changed.yaml", str(most)],
        cwd=folder,
        env=os.environ | {"PATH": f"{Path(ANYSCALE).parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def folder(anyscale: RunAnyscale, configured_server: ServerProcess, tmp_path: Path) -> Path:
    """A folder with the file of changes, of users who have accounts on the server."""
    done = anyscale("user", "batch-create", "-f", "-", stdin=FILE)
    assert done.returncode == 0, done.stderr
    (tmp_path / "changed.yaml").write_text(CHANGED, encoding="utf-8")
    return tmp_path


def test_names_and_titles_of_a_file_are_applied_up_to_the_limit(
    folder: Path, anyscale: RunAnyscale
) -> None:
    before = anyscale("user", "list", "-o", "json").stdout
    refused = run_script(folder, 2)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "accounts to change: 3, at most 2: nobody was changed\n" in refused.stderr
    assert anyscale("user", "list", "-o", "json").stdout == before

    done = run_script(folder, 3)
    assert done.returncode == 0, done.stderr
    left = anyscale("user", "verify", "-f", folder / "changed.yaml").stdout.splitlines()
    assert [line.split(": ", 2)[2] for line in left] == [
        "is_sso_user is false, and true in the account of '-zoe@example.com'",
        "'new@example.com' has no account",
    ]
    again = run_script(folder, 0)
    assert (again.returncode, "is updated" in again.stderr) == (0, False)


def test_the_script_stops_at_the_first_failure(
    folder: Path, configured_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    def plan(call: str) -> object:
        calls.append(call.partition(" ")[0])
        return refuse if calls.count("PATCH") == 2 else None

    def refuse(client: object, _: bytes) -> bool:
        client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")  # type: ignore[attr-defined]  # it is a socket
        return False

    with FaultyProxy([configured_server.port], plan) as proxy:  # type: ignore[arg-type]  # a plan returns an object
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        done = run_script(folder, 3)
    assert done.returncode == 1
    assert "jane@example.com is updated." in done.stderr
    assert calls.count("PATCH") == 2
    assert "ann@example.com" not in done.stderr


def test_a_file_that_cannot_be_compared_changes_nobody(folder: Path) -> None:
    (folder / "changed.yaml").write_text("create_users: [{email: x}]")
    done = run_script(folder, 3)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing was compared" in done.stderr
