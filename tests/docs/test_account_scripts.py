"""The scripts of the page on accounts, for changes and for people who left, on a server."""

import json
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
- email: -zoe@example.com
  name: Zoe
  title: "Größe \\"7\\", 社長; 'A' $(touch made) `touch made` \\\\n *"
  is_sso_user: false
- {email: ann@example.com, lastname: Müller}
- {email: new@example.com, name: New}
"""


def run_script(
    folder: Path, most: int, name: str = "changes.sh", **environment: str
) -> subprocess.CompletedProcess[str]:
    page = (ROOT / "docs" / "operations" / "accounts.md").read_text(encoding="utf-8")
    (script,) = re.findall(rf"`{re.escape(name)}`:\n\n```sh\n(.*?)```\n", page, re.DOTALL)
    (folder / name).write_text(script, encoding="utf-8")
    path = f"{Path(ANYSCALE).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", name, "changed.yaml", str(most)],
        cwd=folder,
        env=os.environ | environment | {"PATH": path},
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
    assert not (folder / "made").exists()
    again = run_script(folder, 0)
    assert (again.returncode, "is updated" in again.stderr) == (0, False)


def test_a_locale_that_is_not_utf_8_changes_no_letter(folder: Path, anyscale: RunAnyscale) -> None:
    """Python refuses to open a file in the encoding of the locale, as few machines have others."""
    changed = "create_users: [{email: ann@example.com, lastname: Müller}]"
    (folder / "changed.yaml").write_text(changed, encoding="utf-8")
    refuse = {"PYTHONWARNDEFAULTENCODING": "1", "PYTHONWARNINGS": "error::EncodingWarning"}

    done = run_script(folder, 1, **refuse)
    assert done.returncode == 0, done.stderr
    account = json.loads(anyscale("user", "get", "ann@example.com", "-o", "json").stdout)
    assert account["lastname"] == "Müller"


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


def test_people_who_left_are_suspended_whatever_their_emails_contain(
    folder: Path, anyscale: RunAnyscale
) -> None:
    left = ["--yes@example.com", "*@example.com", "`touch${IFS}made`@example.com", "jürgen@b.io"]
    users = "".join(f'- {{name: No, email: "{email}"}}\n' for email in left)
    done = anyscale("user", "batch-create", "-f", "-", stdin=f"create_users:\n{users}")
    assert done.returncode == 0, done.stderr
    present = "".join(CHANGED.splitlines(keepends=True)[:2])
    (folder / "changed.yaml").write_text(present, encoding="utf-8")
    (folder / "file@example.com").touch()  # which an unquoted `*` would find
    left += ["-zoe@example.com", "ann@example.com"]

    refused = run_script(folder, len(left) - 1, "leavers.sh")
    assert refused.returncode == 1
    assert f"accounts to suspend: {len(left)}, at most {len(left) - 1}" in refused.stderr
    assert json.loads(anyscale("user", "list", "--suspended", "-o", "json").stdout) == []

    done = run_script(folder, len(left), "leavers.sh")
    assert done.returncode == 0, done.stderr
    suspended = json.loads(anyscale("user", "list", "--suspended", "-o", "json").stdout)
    assert {user["email"] for user in suspended} == set(left)
    assert not (folder / "made").exists()
