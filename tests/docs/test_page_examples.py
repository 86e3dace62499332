"""Every example on the reference page of the interface runs, taken from the page's text.

The copy of the page has lost the indentation of its YAML, and its last Python example two imports.
Those are put back, and nothing else.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.servers.server_process import ServerProcess

PAGE = (Path(__file__).parent / "page" / "user-api-reference.txt").read_text(encoding="utf-8")

LOST_IMPORTS = "from typing import List\nfrom anyscale.user.models import AdminCreateUser\n"


def between(start: str, end: str, occurrence: int = 1) -> str:
    """Give the page's text between two lines."""
    rest = PAGE
    for _ in range(occurrence):
        rest = rest.partition(f"\n{start}\n")[2]
    assert rest, f"the page has no line {start!r}"
    return rest.partition(f"\n{end}")[0]


def cli_example() -> tuple[str, list[str], str]:
    """Give the command, its log lines and its file."""
    terminal = between("- CLI", "User SDK")
    first, second = terminal.removeprefix("$ ").split("\n$ ")
    command, *log = first.split("\n")
    name, *lines = second.split("\n")
    assert name == "cat users_file.yaml"
    indented = [line if line.startswith(("-", "create_users")) else f"  {line}" for line in lines]
    return command, log, "\n".join(indented) + "\n"


def python_examples() -> dict[str, str]:
    return {
        "admin_batch_create": between("- Python", "User Models", 1),
        "AdminCreateUser": between("- Python", "AdminCreatedUser", 2),
        "AdminCreatedUser": LOST_IMPORTS + between("- Python", "\0", 3),
    }


@pytest.fixture(params=["embedded", "http"], autouse=True)
def where(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """The embedded control plane, and a server."""
    if request.param == "embedded":
        yield "anyscale.db"
        return
    database = f"sqlite:////{tmp_path.relative_to('/')}/served.db"
    with ServerProcess(database, tmp_path) as server:
        monkeypatch.setenv("ANYSCALE_HOST", server.url)
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", server.token())
        yield server.url


def test_the_command_logs_what_the_page_shows(
    anyscale: RunAnyscale, tmp_path: Path, where: str
) -> None:
    command, log, file = cli_example()
    (tmp_path / "work" / "users.yaml").write_text(file, encoding="utf-8")

    result = anyscale(*command.split()[1:])

    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    wanted = [re.sub(r"\d+\.\d", "#", line) for line in log]
    lines = [
        re.sub(r"^(\(anyscale \+)\d+\.\d", r"\1#", line) for line in result.stderr.splitlines()
    ]
    assert [line for line in lines if line in wanted] == wanted
    # Four more lines, and no others, name the control plane, the users who cannot sign in yet, and
    # the batch.
    assert [line for line in lines if line not in wanted] == [lines[1], *lines[-3:]]
    assert where in lines[1]
    assert lines[-3].startswith("(anyscale +#s) 2 users cannot sign in yet")
    assert lines[-2].startswith("(anyscale +#s) Then `anyscale user set-password-link ")
    assert not lines[-1].startswith("(anyscale ")
    assert re.match("This is batch bat_[0-9a-f]+: ", lines[-1])


def test_the_command_creates_the_users_of_the_file(anyscale: RunAnyscale, tmp_path: Path) -> None:
    command, _, file = cli_example()
    (tmp_path / "work" / "users.yaml").write_text(file, encoding="utf-8")

    result = anyscale(*command.split()[1:], "-o", "json")

    shown = [
        (user["name"], user["email"], user["is_sso_user"], user["lastname"], user["title"])
        for user in json.loads(result.stdout)
    ]
    assert shown == [
        ("name1", "test1@anyscale.com", False, "lastname1", "title1"),
        ("name2", "test2@anyscale.com", False, "lastname2", "title2"),
    ]


@pytest.mark.parametrize("name", ["admin_batch_create", "AdminCreateUser", "AdminCreatedUser"])
def test_the_python_example_runs(name: str) -> None:
    code = python_examples()[name]
    check = "print(repr(globals().get('admin_created_users', 'nothing')))"

    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{check}"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert ("user_id='usr_" in result.stdout) == (name == "AdminCreatedUser")


def test_the_python_examples_create_the_user_that_they_name(anyscale: RunAnyscale) -> None:
    subprocess.run([sys.executable, "-c", python_examples()["admin_batch_create"]], check=True)

    result = anyscale("user", "get", "--email", "test@anyscale.com", "-o", "json")

    user = json.loads(result.stdout)
    assert (user["name"], user["permission_level"]) == ("name", "collaborator")


def test_the_help_texts_are_those_of_the_page(anyscale: RunAnyscale) -> None:
    text = " ".join(anyscale("user", "batch-create", "--help").stdout.split())

    assert "Batch create, as an admin, users without email verification." in text
    option = between("--users-file/-f", "Examples").removeprefix(": ")
    assert option in text
    assert "-f, --users-file" in text or "--users-file, -f" in text or "-f," in text
