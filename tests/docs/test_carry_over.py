"""The documented way to carry the users of an earlier commit over to the first release."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.commands.running import RunAnyscale, start_command
from tests.support.paths import ROOT

FILE = """create_users:
- {name: Jane, email: jane@example.com, lastname: Doe, title: Engineer, password: correct horse}
- {name: Zoë, email: zoe@bücher.example, is_sso_user: true, lastname: ""}
- {name: Max, email: max@example.com}
"""
CARRIED = ("email", "name", "lastname", "title", "is_sso_user")


def accounts(anyscale: RunAnyscale, data: Path) -> list[dict[str, Any]]:
    listed = anyscale("user", "list", "-o", "jsonl", env={"ANYSCALE_DATA_DIR": str(data)})
    assert listed.returncode == 0, listed.stderr
    return [json.loads(line) for line in listed.stdout.splitlines()]


def test_the_documented_script_carries_users_over_without_the_suspended(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    before = {"ANYSCALE_DATA_DIR": str(old)}
    assert anyscale("user", "batch-create", "-f", "-", stdin=FILE, env=before).returncode == 0
    assert anyscale("user", "suspend", "max@example.com", env=before).returncode == 0
    listed = anyscale("user", "list", "-o", "jsonl", env=before).stdout
    (tmp_path / "accounts.jsonl").write_text(listed, encoding="utf-8")

    page = (ROOT / "docs" / "operations" / "upgrade.md").read_text(encoding="utf-8")
    found = re.search(r"`carry_over.py`:\n\n   ```python\n(.*?)   ```\n", page, re.DOTALL)
    assert found
    script = re.sub(r"^   ", "", found[1], flags=re.MULTILINE)
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    done = anyscale(
        "user",
        "batch-create",
        "-f",
        str(tmp_path / "users.jsonl"),
        env={"ANYSCALE_DATA_DIR": str(new)},
    )

    assert done.returncode == 0, done.stderr
    expected = [one for one in accounts(anyscale, old) if one["email"] != "max@example.com"]
    assert [{field: one[field] for field in CARRIED} for one in accounts(anyscale, new)] == [
        {field: one[field] for field in CARRIED} for one in expected
    ]


def test_an_export_carries_passwords_and_suspensions_over(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "operations" / "upgrade.md").read_text(encoding="utf-8")
    _, with_passwords, _ = re.split(r"\*\*With(?: passwords|out an export)\.\*\*", page)
    export, create = re.findall(
        r"^anyscale (user (?:export|batch-create) .*)$", with_passwords, re.MULTILINE
    )
    old, new = ({"ANYSCALE_DATA_DIR": str(tmp_path / name)} for name in ("old", "new"))
    (tmp_path / "users.yaml").write_text(FILE, encoding="utf-8")
    create_users = "user", "batch-create", "-f", tmp_path / "users.yaml"
    assert start_command(*create_users, env=old, real_hashes=True).finish().returncode == 0
    assert anyscale("user", "suspend", "max@example.com", env=old).returncode == 0

    for command, environment in ((export, old), (create, new)):
        done = anyscale(*command.split(), env=environment)
        assert done.returncode == 0, done.stderr

    before, after = (accounts(anyscale, tmp_path / name) for name in ("old", "new"))
    kept = (*CARRIED, "has_password")
    assert [{field: one.get(field) for field in kept} for one in after] == [
        {field: one.get(field) for field in kept} for one in before
    ]
    assert [bool(one.get("suspended_at")) for one in after] == [
        bool(one.get("suspended_at")) for one in before
    ]
    assert any(one.get("suspended_at") for one in after)
    hashes = []
    for name, environment in (("a", old), ("b", new)):
        file = tmp_path / f"{name}.jsonl"
        anyscale("user", "export", "-o", file, "--with-password-hashes", env=environment)
        hashes.append(re.findall(r'"password_hash":"([^"]+)"', file.read_text("utf-8")))
    assert hashes[0] == hashes[1] != []
