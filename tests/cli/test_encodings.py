"""Texts of every script: in tables, file names and streams, whatever the locale."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.test_command_line import USERS, users_file
from tests.support.commands.running import RunAnyscale


def test_a_table_is_aligned_with_wide_and_combining_characters(anyscale: RunAnyscale) -> None:
    names = ["Ann", "\u5c71\u7530", "E\u0301va"]
    users = "".join(f"- {{name: {name}, email: e{len(name)}@b.io}}\n" for name in names)
    anyscale("user", "batch-create", "-f", "-", stdin=f"create_users:\n{users}")

    head, first, second, third = anyscale("user", "list").stdout.splitlines()

    column = head.index("ROLE")
    assert first.index("collaborator") == column
    assert second.index("collaborator") == column - 2
    assert third.index("collaborator") == column + 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_names_are_written_as_utf_8_whatever_the_locale(
    encoding: str, anyscale: RunAnyscale
) -> None:
    users = "create_users:\n- {name: \u5c71\u7530, email: a@b.io}\n"
    locale = {"PYTHONIOENCODING": encoding, "LC_ALL": "C"}

    created = anyscale("user", "batch-create", "-f", "-", "-o", "json", stdin=users, env=locale)
    listed = anyscale("user", "list", "--email", "A@B", env=locale)

    assert created.returncode == listed.returncode == 0, created.stderr
    assert json.loads(created.stdout)[0]["name"] == "\u5c71\u7530"
    assert "\u5c71\u7530" in listed.stdout


@pytest.mark.parametrize(
    ("closed", "status"), [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0), ("-f - <&-", 2)]
)
def test_a_closed_standard_stream_is_survived(
    closed: str, status: int, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    command = Path(sys.executable).parent / "anyscale"
    file = "" if "-f" in closed else f"-f {USERS}"

    done = subprocess.run(
        ["sh", "-c", f"{command} user batch-create {file} {closed}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == status, done.stderr
    assert "fault of this program" not in done.stderr


def test_a_file_whose_name_is_not_utf_8_can_be_used(anyscale: RunAnyscale, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.yaml")
    users_file(tmp_path, 2).rename(tmp_path / name)

    result = anyscale("user", "batch-create", "-f", tmp_path / name)
    again = anyscale("user", "batch-create", "-f", tmp_path / name, "-o", "json")

    assert result.returncode == 0, result.stderr
    assert again.returncode == 1, again.stderr
    assert json.loads(again.stdout)["problems"][0]["file"].endswith("caf\\xe9.yaml")


def test_part_of_an_internationalised_domain_finds_its_users(anyscale: RunAnyscale) -> None:
    users = "create_users:\n- {name: a, email: jane@b\u00fccher.example}\n"
    anyscale("user", "batch-create", "-f", "-", stdin=users)

    for part in ("B\u00dcCHER", "xn--bcher", "jane@"):
        assert "jane@" in anyscale("user", "list", "--email", part).stdout
