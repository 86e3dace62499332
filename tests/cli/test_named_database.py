"""Operator's commands that may create a database say which one they use."""

import json
import shlex
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.servers.server_process import ServerProcess

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


def test_a_data_directory_that_cannot_be_written_is_answered_with_another(
    command: tuple[str, ...], anyscale: RunAnyscale, tmp_path: Path
) -> None:
    home = "/sys"  # nobody can create a folder there, root included
    users = "create_users: [{name: Jane, email: jane@example.com}]"
    (tmp_path / "users.yaml").write_text(users)

    env = {"XDG_DATA_HOME": str(home), "ANYSCALE_DATA_DIR": ""}
    for words in (command, ("user", "batch-create", "-f", str(tmp_path / "users.yaml"))):
        done = anyscale(*words, env=env)
        assert done.returncode == 1
        assert f"{home}/anyscale" in done.stderr
        assert done.stderr.splitlines()[-1] == (
            "Set ANYSCALE_DATA_DIR to a folder that you can write to."
        )
    named = f"sqlite:////{home}/x.db"
    done = anyscale(*command, env={"ANYSCALE_DATABASE_URL": named})
    assert done.returncode == 1
    assert "ANYSCALE_DATA_DIR" not in done.stderr


def test_a_data_directory_that_cannot_be_looked_at_is_no_fault_of_the_program(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    """As that of another user; root cannot look at this one either: its name is too long."""
    users = tmp_path / "users.yaml"
    users.write_text("create_users: [{name: Jane, email: jane@example.com}]")
    data = tmp_path / ("x" * 300)
    for options in ((), ("--dry-run",)):
        done = anyscale(
            "user", "batch-create", "-f", users, *options, env={"ANYSCALE_DATA_DIR": str(data)}
        )
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == f"error: {data}/anyscale.db: File name too long"


@pytest.mark.parametrize("path", ["/tmp/x.db", "x.db", "data/x"])
def test_a_file_instead_of_a_url_is_answered_with_its_url(
    path: str, anyscale: RunAnyscale, command: tuple[str, ...]
) -> None:
    done = anyscale(*command, "--database", path)

    assert done.returncode == 2
    assert done.stderr == (
        "error: ANYSCALE_DATABASE_URL, or --database, must be sqlite:///path or postgresql://...: "
        f"write sqlite:///{path}\n"
    )
    secret = anyscale(*command, "--database", f"jane:{PASSWORD}@db/x")
    assert secret.returncode == 2
    assert PASSWORD not in secret.stderr


def test_commands_that_create_no_database_add_no_line(anyscale: RunAnyscale) -> None:
    assert anyscale("server", "create-token", "--name", "jane-laptop").returncode == 0

    assert anyscale("server", "list-tokens", "-o", "json").stderr == ""


OTHER_HOST = "ANYSCALE_HOST is set, but this "
OTHER = {"ANYSCALE_HOST": "http://127.0.0.1:1", "ANYSCALE_CLI_TOKEN": "mrt_x"}


def test_no_new_database_is_created_beside_a_server_of_the_environment(
    command: tuple[str, ...], anyscale: RunAnyscale, data: Path, tmp_path: Path
) -> None:
    for file in ([], ["--output-file", str(tmp_path / "secret")])[: 1 + ("migrate" not in command)]:
        refused = anyscale(*command, *file, env=OTHER)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr == (
            f"error: ANYSCALE_HOST is set, and this command would create {data}/anyscale.db: to "
            "work on that server, run it on the machine of the server; to create a control plane "
            f"here, unset ANYSCALE_HOST or pass --database sqlite:///{data}/anyscale.db\n"
        )
    assert not data.exists()
    assert not (tmp_path / "secret").exists()


@pytest.mark.parametrize("way", ["option", "variable", "without the host", "embedded"])
def test_a_new_database_that_is_named_is_created_beside_a_server_of_the_environment(
    way: str, command: tuple[str, ...], anyscale: RunAnyscale, data: Path
) -> None:
    refused = anyscale(*command, env=OTHER)
    *_, option, url = shlex.split(refused.stderr)
    assert option == "--database"
    if way == "option":
        done = anyscale(*command, option, url, env=OTHER)
    elif way == "variable":
        done = anyscale(*command, env=OTHER | {"ANYSCALE_DATABASE_URL": url})
    elif way == "embedded":
        done = anyscale(*command, env=OTHER | {"ANYSCALE_HOST": "embedded"})
    else:
        done = anyscale(*command)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].endswith(f"s) Using the database at {data / 'anyscale.db'}")
    assert "ANYSCALE_HOST" not in done.stderr
    again = anyscale("server", "create-token", "--name", "again", env=OTHER)
    # The database exists: this is the machine of a server.
    assert (again.returncode, "ANYSCALE_HOST" in again.stderr) == (0, False), again.stderr


def test_a_server_warns_of_another_server_and_of_unknown_names_in_the_environment(
    tmp_path: Path, data: Path
) -> None:
    """As in a container whose settings are also those of its clients."""
    unknown = {"ANYSCALE_SSO_ISUER": "never-logged", "ANYSCALE_XYZ": "never-logged"}
    with ServerProcess("", tmp_path, settings=OTHER | unknown) as server:
        assert (data / "anyscale.db").exists()
        assert server.token()
        log = server.log.read_text("utf-8")
    warnings = [line for line in map(json.loads, log.splitlines()) if line["level"] == "warning"]
    (line,) = (line for line in warnings if line["event"].startswith(OTHER_HOST))
    assert line["database"] == f"{data}/anyscale.db"
    assert [line["event"] for line in warnings if " is not known" in line["event"]] == [
        "ANYSCALE_SSO_ISUER is not known: did you mean ANYSCALE_SSO_ISSUER?",
        "ANYSCALE_XYZ is not known",
    ]
    assert "never-logged" not in log


@pytest.mark.parametrize("variable", ["ANYSCALE_DATA_DIR", "ANYSCALE_DATABASE_URL"])
@pytest.mark.parametrize("is_started_first", [True, False])
def test_where_the_settings_choose_the_database_commands_and_server_start_in_any_order(
    variable: str, is_started_first: bool, anyscale: RunAnyscale, data: Path, tmp_path: Path
) -> None:
    """The image sets `ANYSCALE_DATA_DIR`; the unit's settings and the Helm Job have the URL."""
    folder = tmp_path / "served"
    url = f"sqlite:///{folder}/anyscale.db"
    settings = OTHER | {"ANYSCALE_PUBLIC_URL": "https://accounts.example.com"}
    settings[variable] = str(folder) if variable == "ANYSCALE_DATA_DIR" else url
    server = ServerProcess("", tmp_path, settings=settings)
    try:
        if is_started_first:
            server.start()
        for words in COMMANDS.values():
            done = anyscale(*words, env=settings)
            assert done.returncode == 0, done.stderr
        if not is_started_first:
            server.start()
        assert OTHER_HOST not in server.log.read_text("utf-8")
    finally:
        server.kill()
    assert (folder / "anyscale.db").exists()
    assert not data.exists()


@pytest.mark.parametrize("words", [("list-tokens",), ("revoke-token", "jane")])
def test_a_missing_database_beside_a_server_of_the_environment_is_explained(
    words: tuple[str, ...], anyscale: RunAnyscale
) -> None:
    done, without = anyscale("server", *words, env=OTHER), anyscale("server", *words)
    assert (done.returncode, without.returncode) == (1, 1)
    assert done.stderr.count(OTHER_HOST) == 1
    assert OTHER_HOST not in without.stderr


def test_a_check_without_a_database_says_how_to_check_the_server(
    anyscale: RunAnyscale, data: Path
) -> None:
    mend = "to check the server at ANYSCALE_HOST, run this on its machine"
    assert mend in anyscale("server", "check", env=OTHER).stdout
    assert mend not in anyscale("server", "check").stdout

    for url in ("postgresql://jane@127.0.0.1:1/accounts", "sqlite:////nowhere/anyscale.db"):
        checked = anyscale("server", "check", "--database", url, env=OTHER)
        assert "fail       database.reachable" in checked.stdout
        assert mend not in checked.stdout
    data.mkdir(mode=0o700, parents=True)
    (data / "anyscale.db").write_text("no database")
    checked = anyscale("server", "check", env=OTHER)
    assert "fail       database.reachable" in checked.stdout
    assert mend not in checked.stdout
