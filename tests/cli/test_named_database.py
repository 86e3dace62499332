"""Operator's commands that may create a database say which one they use."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.commands import RunAnyscale

PASSWORD = "Zq9-kanarienvogel"
COMMANDS = {
    "migrate": ("server", "migrate"),
    "create-token": ("server", "create-token", "--name", "jane-laptop"),
    "create-owner": ("server", "create-owner", "--email", "jane@example.com"),
}


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """A command that creates the database if there is none."""
    monkeypatch.setenv("ANYSCALE_PUBLIC_URL", "https://accounts.example.com")
    return COMMANDS[str(request.param)]


def test_the_first_log_line_names_the_file(
    command: tuple[str, ...], anyscale: RunAnyscale, data: Path
) -> None:
    done = anyscale(*command)

    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].endswith(f"s) Using the database at {data / 'anyscale.db'}")
    assert "Using" not in done.stdout


def test_the_first_log_line_names_the_postgresql_database_without_its_password(
    command: tuple[str, ...], anyscale: RunAnyscale, postgres_url: str
) -> None:
    parts = urlsplit(postgres_url)
    host = parts.hostname or parse_qs(parts.query)["host"][0]
    separator = "&" if parts.query else "?"
    url = f"{postgres_url}{separator}password={PASSWORD}"

    done = anyscale(*command, env={"ANYSCALE_DATABASE_URL": url})

    assert done.returncode == 0, done.stderr
    first = done.stderr.splitlines()[0]
    assert f"s) Using the database {parts.path.removeprefix('/')} at {host}" in first
    assert PASSWORD not in done.stderr + done.stdout


def test_the_database_is_named_before_it_fails(
    command: tuple[str, ...], anyscale: RunAnyscale
) -> None:
    url = f"postgresql://jane:{PASSWORD}@127.0.0.1:1/accounts"

    done = anyscale(*command, env={"ANYSCALE_DATABASE_URL": url})

    assert done.returncode == 1
    assert "s) Using the database accounts at 127.0.0.1:1" in done.stderr.splitlines()[0]
    assert PASSWORD not in done.stderr


def test_commands_that_create_no_database_add_no_line(anyscale: RunAnyscale) -> None:
    assert anyscale("server", "create-token", "--name", "jane-laptop").returncode == 0

    assert anyscale("server", "list-tokens", "-o", "json").stderr == ""
