"""A wrong command line, environment or control plane: one line says what is wrong."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.cli.test_command_line import USERS
from tests.support.commands.running import RunAnyscale

from anyscale.cli.lazy_group import LazyGroup
from anyscale.cli.root import root


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["user", "batch-create"], 2, "Missing option '--users-file' / '-f'"),
        (["user", "batch-create", "-f", "none.yaml"], 2, "cannot read none.yaml: No such file"),
        (["user", "batch-create", "-f", "."], 2, "cannot read .: Is a directory"),
        # It can be opened, and fails as a file of a broken disk does.
        (["user", "batch-create", "-f", "/proc/self/mem"], 2, "mem: Input/output error"),
        (["user", "batch-create", "-f", "-", "--format", "xml"], 2, "'xml' is not one of"),
        (["user", "batch-create", "--user-file", "x"], 2, "No such option '--user-file'"),
        (["user", "get", "--email", "no@b.io"], 1, "no user with the email 'no@b.io'"),
        (["user", "get"], 2, "give either an email or a name"),
        (
            ["user", "batch-create", "-f", USERS, "--label", ""],
            2,
            "--label: a label cannot be empty: leave it out for the name of the file",
        ),
        (
            ["user", "batch-create", "-f", USERS, "--encoding", ""],
            2,
            "'' is not the encoding of a text file: such are windows-1252",
        ),
        (
            ["user", "verify", "-f", USERS, "--sheet", ""],
            2,
            "the name of the sheet is empty: leave it out for the first visible one",
        ),
        (["user", "verify", "-f", "/proc/self/mem"], 2, "cannot read /proc/self/mem: Input/output"),
        (["user", "list", "--max-items", "-1"], 2, "-1 is not in the range"),
        (
            ["user", "list", "--not-since", "1 Oct"],
            2,
            "'--not-since': '1 Oct' is not a date such as 2026-09-30.",
        ),
        (["batch", "show", "bat_0"], 1, "no batch bat_0: `anyscale batch list` shows the batches"),
        (["user", "list", "--host", ""], 2, "--host is empty: name a server, or use the embedded"),
        (["server", "list-tokens", "--database", ""], 2, "--database is empty: give a value"),
        (["batch", "drop", "bat_0"], 1, "no batch bat_0: `anyscale batch list` shows the batches"),
        (
            ["user", "get", "--name", "Jane Doe"],
            1,
            "/anyscale.db: `anyscale user list --search 'Jane Doe'` finds parts of names and",
        ),
        (["user", "get", "usr_0"], 1, "error: there is no user with the id 'usr_0' in the"),
        (["users"], 2, "No such command 'users'"),
    ],
)
def test_an_error_is_one_line(
    arguments: list[str], status: int, message: str, anyscale: RunAnyscale, home: Path
) -> None:
    result = anyscale(*arguments)

    assert result.returncode == status
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert not list(home.iterdir())


@pytest.mark.parametrize(
    ("environment", "status", "message"),
    [
        ({"ANYSCALE_CLI_TOKEN": "t0ken"}, 2, "has a token, and there is no host"),
        ({"ANYSCALE_HOST": "https://x.example"}, 2, "there is no token for https://x.example"),
        ({"ANYSCALE_DATABASE_URL": "postgresql://a:pw@b/c"}, 2, "PostgreSQL needs a server"),
        ({"ANYSCALE_BATCH_CREATE": "off"}, 1, "only available on customer-hosted clouds"),
        ({"ANYSCALE_BATCH_CREATE": "maybe"}, 2, "ANYSCALE_BATCH_CREATE must be on or off"),
        ({"ANYSCALE_PASSWORD_MIN_LENGTH": "5"}, 2, "must be a whole number from 8 to 1024"),
        ({"ANYSCALE_DATABASE_URL": "sqlite:////etc/hostname"}, 1, "the file is not a database"),
    ],
)
def test_a_wrong_environment_is_reported_in_one_line(
    environment: dict[str, str], status: int, message: str, anyscale: RunAnyscale
) -> None:
    result = anyscale("user", "batch-create", "-f", USERS, env=environment)

    assert result.returncode == status, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert "t0ken" not in result.stderr


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("ANYSCALE_DATA_DIR", "{}", "ANYSCALE_DATA_DIR is {}, which"),
        ("ANYSCALE_DATA_DIR", "{}/data", "ANYSCALE_DATA_DIR is {}/data, and {}"),
        ("XDG_DATA_HOME", "{}", "the data directory is {}/anyscale, and {}"),
        ("ANYSCALE_DATABASE_URL", "sqlite:///{}/x.db", "ANYSCALE_DATABASE_URL names a database in"),
    ],
)
def test_a_file_in_the_place_of_the_data_directory_is_found_before_anything_else(
    variable: str, value: str, named: str, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    env = {"ANYSCALE_DATA_DIR": "", variable: value.replace("{}", str(file))}
    for words in (("user", "batch-create", "-f", USERS, "--dry-run"), ("server", "migrate")):
        done = anyscale(*words, env=env)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: {named.replace('{}', str(file))}"), line
        assert " is a file, and not a folder: " in line


@pytest.mark.parametrize("target", ["not mounted", "link"])
def test_a_data_directory_that_is_a_link_to_nothing_is_named(
    anyscale: RunAnyscale, tmp_path: Path, target: str
) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / target)
    done = anyscale("user", "list", env={"ANYSCALE_DATA_DIR": str(link)})
    message = f"ANYSCALE_DATA_DIR is {link}, which is a link to nothing: set it to a folder"
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")


@pytest.mark.parametrize(
    "command",
    ["user list --name", "user list --email", "batch show", "batch drop"],
)
def test_an_argument_that_is_not_utf8_is_an_error(command: str, anyscale: RunAnyscale) -> None:
    assert anyscale("user", "batch-create", "-f", USERS).returncode == 0

    result = anyscale(*command.split(), "\udcff")  # the octet FF

    assert result.returncode == 2
    assert re.search("[Ee]rror: .* is not UTF-8", result.stderr)


@pytest.mark.parametrize(
    "command", ["user list", "batch list", "audit list", "audit verify", "user get --name Jane"]
)
@pytest.mark.parametrize("variable", ["ANYSCALE_DATA_DIR", "ANYSCALE_DATABASE_URL"])
def test_a_missing_control_plane_is_reported_once(
    command: str, variable: str, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere"
    url = f"sqlite:////{nowhere.relative_to('/')}/anyscale.db"
    env = {variable: str(nowhere) if variable == "ANYSCALE_DATA_DIR" else url}

    result = anyscale(*command.split(), env=env)

    message = f" There is no control plane yet at {nowhere}/anyscale.db\n"
    assert result.stderr.count(message) == 1, result.stderr
    assert result.returncode == (1 if "get" in command else 0)
    assert not nowhere.exists()


def test_the_first_batch_does_not_report_a_missing_control_plane(anyscale: RunAnyscale) -> None:
    for options in (["--dry-run"], []):
        created = anyscale(
            *("user", "batch-create", "-f", "-", *options),
            stdin="create_users: [{name: Jane, email: jane@example.com}]",
        )
        assert created.returncode == 0, created.stderr
        assert "no control plane" not in created.stderr
    assert anyscale("user", "list").stderr == ""


TEXTS = "--search looks at emails and names already"
ORDER = "lists the best matches first"
TWICE = "is given 2 times: name one file. Join them first, or run the command for each"
CREATIONS = "(Did you mean one of: 'create-owner', 'create-token', 'migrate'?)"
EMPTY = "is empty: give a value, or leave the option out"
ROLE = "Invalid value for '--role': 'x' is not one of 'owner', 'collaborator'."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["help"], "No such command 'help'."),
        (["users"], "No such command 'users'. Did you mean 'user'?"),
        (["user", "lsit"], "No such command 'lsit'. Did you mean 'list'?"),
        (["user", "show"], "No such command 'show'."),
        (
            ["server", "create"],
            f"No such command 'create'. {CREATIONS}",
        ),
        (["user", "list", "jane"], "Got unexpected extra argument (jane). Use --search jane"),
        (
            ["user", "list", "--search", "jane", "o'doe"],
            """Got unexpected extra argument (o'doe). Use --search 'jane o'"'"'doe'""",
        ),
        (["user", "list", "--serch", "a"], "No such option '--serch'. Did you mean '--search'?"),
        (["user", "list", "--query=Doe"], "No such option '--query'."),
        (["user", "list", "--limit", "5", "x"], "No such option '--limit'."),
        (["user", "list", "--role", "x", "jane"], ROLE),
        (["user", "list", "--search", " "], "--search is blank: give at least one character"),
        (["user", "list", "--email", ""], "--email is empty: give at least one character"),
        (["user", "list", "--name", ""], "--name is empty: give at least one character"),
        (["server", "start", "--host", ""], f"--host {EMPTY}"),
        (["server", "check", "--environment-file", ""], f"--environment-file {EMPTY}"),
        (["server", "check", "--mail", ""], f"--mail {EMPTY}"),
        (["audit", "list", "--actor", ""], f"--actor {EMPTY}"),
        (["audit", "list", "--event", ""], f"--event {EMPTY}"),
        (["audit", "list", "--subject", ""], f"--subject {EMPTY}"),
        (["audit", "list", "--account", ""], f"--account {EMPTY}"),
        (["user", "sync", "-f", "x", "--they-differ", ""], f"--they-differ {EMPTY}"),
        (["user", "sync", "-f", "x", "--same-person", ""], f"--same-person {EMPTY}"),
        (["user", "update", "a@b.io", "--external-id", ""], f"--external-id {EMPTY}"),
        (["user", "update", "a@b.io", "--lastname", ""], f"--lastname {EMPTY}"),
        (["user", "update", "a@b.io", "--title", ""], f"--title {EMPTY}"),
        (["application", "update", "app_x", "--address", ""], f"--address {EMPTY}"),
        (["audit", "verify", "--database", ""], f"--database {EMPTY}"),
        (["application", "create"], "Missing option '--name'. Missing option '--redirect-uri'."),
        (["application", "create", "--name", "x"], "Missing option '--redirect-uri'."),
        (
            ["user", "set-role"],
            "Missing argument 'EMAIL|ID'. Missing argument '{owner|collaborator}'.",
        ),
        (
            ["user", "list", "--search", "a", "--email", "b", "--newest-first"],
            f"{TEXTS} and {ORDER}: leave out --email and --newest-first",
        ),
        (["user", "list", "--search", "a", "--name", "b"], f"{TEXTS}: leave out --name"),
        (
            ["user", "list", "--search", "a", "--newest-first"],
            f"--search {ORDER}: leave out --newest-first",
        ),
        (["frobnicate"], "No such command 'frobnicate'."),
        (["--frobnicate"], "No such option '--frobnicate'."),
        (
            ["user", "batch-create", "good users.yaml"],
            "Missing option '--users-file' / '-f'. Use -f 'good users.yaml'",
        ),
        (["user", "verify", "users.csv"], "Missing option '--users-file' / '-f'. Use -f users.csv"),
        (["user", "batch-create", "--dry-run"], "Missing option '--users-file' / '-f'."),
        (
            ["user", "batch-create", "-f", "a.yaml", "b.yaml"],
            "Got unexpected extra argument (b.yaml)",
        ),
        (
            ["user", "batch-create", "-f", "a.yaml", "--users-file=b.csv"],
            f"-f/--users-file {TWICE}",
        ),
        (["user", "verify", "-f", "a.yaml", "-f", "a.yaml"], f"-f/--users-file {TWICE}"),
        (["user", "set-password-link", "-fa", "-fb"], f"-f/--users-file {TWICE}"),
        (["user", "batch-create", "a.yaml", "--nope"], "No such option '--nope'."),
        (["user", "batch-create", "help"], "Use `anyscale user batch-create --help`."),
        (
            ["server", "create-token", "--name", "carl", "--role", "collaborator"],
            "Invalid value for '--role': 'collaborator' is not one of 'owner', 'reader'.",
        ),
        (["login", "https://a.example"], "Missing option '--host'. Use --host https://a.example"),
        (
            ["server", "start", "--port", "abc"],
            "Invalid value for '--port': 'abc' is not a valid number.",
        ),
    ],
)
def test_a_wrong_command_line_is_explained(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The command runs in the process of the tests, whose signals stay as they are.
    monkeypatch.setattr("anyscale.cli.root.handle_signals", lambda: None)
    monkeypatch.setattr("anyscale.cli.root.ignore_signals", lambda: None)

    result = CliRunner(catch_exceptions=False).invoke(root, words, prog_name="anyscale")

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: {message}"


def words_of(group: LazyGroup, *words: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Iterate over the commands of a group and of the groups in it, each with its words."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        if isinstance(command, LazyGroup):
            yield from words_of(command, *words, name)
        else:
            yield (*words, name), command


def test_every_command_with_an_output_option_answers_json_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("anyscale.cli.root.handle_signals", lambda: None)
    monkeypatch.setattr("anyscale.cli.root.ignore_signals", lambda: None)
    assert isinstance(root, LazyGroup)
    commands = [
        words
        for words, command in words_of(root)
        # That of `user export` names a file.
        if any("-o" in option.opts and option.name == "output" for option in command.params)
    ]

    errors = {
        words: CliRunner(catch_exceptions=False).invoke(root, [*words, "--json"]).stderr
        for words in commands
    }

    assert ("user", "list") in errors
    assert ("batch", "undo") in errors
    wrong = {
        words: error
        for words, error in errors.items()
        if not error.endswith("Error: No such option '--json'. Use -o json\n")
    }
    assert wrong == {}
