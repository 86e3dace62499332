"""The command line: help, formats, exit statuses, standard output and standard error."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from tests.support.commands.running import RunAnyscale
from tests.support.paths import ROOT

from anyscale.cli.root import root

USERS = ROOT / "examples" / "users.yaml"


def users_file(folder: Path, count: int, name: str = "users.yaml") -> Path:
    lines = (f"- {{name: n{i}, email: e{i}@example.com}}\n" for i in range(count))
    path = folder / name
    path.write_text("create_users:\n" + "".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("output", ["json", "jsonl", "yaml", "csv"])
def test_the_created_users_are_written_in_each_format(output: str, anyscale: RunAnyscale) -> None:
    result = anyscale("user", "batch-create", "-f", USERS, "-o", output)

    text = result.stdout
    if output == "json":
        users = json.loads(text)
    elif output == "jsonl":
        users = [json.loads(line) for line in text.splitlines()]
    elif output == "yaml":
        users = yaml.safe_load(text)
    else:
        users = list(csv.DictReader(io.StringIO(text)))
    assert [list(user) for user in users] == 2 * [
        ["user_id", "name", "email", "created_at", "is_sso_user", "lastname", "title"]
    ]
    assert [user["email"] for user in users] == ["test1@anyscale.com", "test2@anyscale.com"]
    assert {user["is_sso_user"] for user in users} in ({False}, {"false"})
    assert all(user["created_at"].endswith("Z") for user in users)
    assert "2 users created." in result.stderr


@pytest.mark.parametrize("output", ["json", "jsonl", "yaml", "csv", "text"])
def test_an_empty_list_is_a_success(output: str, anyscale: RunAnyscale, data: Path) -> None:
    result = anyscale("user", "batch-create", "-f", "-", "-o", output, stdin="create_users: []\n")

    assert result.returncode == 0
    assert "0 users created." in result.stderr
    wanted = {
        "json": "[]\n",
        "yaml": "[]\n",
        "csv": "user_id,name,email,created_at,is_sso_user,lastname,title\n",
    }
    assert result.stdout == wanted.get(output, "")
    assert not data.exists()


def test_one_user_is_singular(anyscale: RunAnyscale) -> None:
    one = "create_users:\n- {name: a, email: a@b.io}\n"
    two = one + "- {name: c, email: c@b.io}\n"

    assert "1 user created.\n" in anyscale("user", "batch-create", "-f", "-", stdin=one).stderr
    again = anyscale("user", "batch-create", "-f", "-", "--if-exists", "skip", stdin=two)
    assert "1 user created.\n" in again.stderr
    assert "1 user skipped: it exists.\n" in again.stderr


def test_existing_users_can_be_skipped(anyscale: RunAnyscale, tmp_path: Path) -> None:
    anyscale("user", "batch-create", "-f", users_file(tmp_path, 3))
    more = users_file(tmp_path, 5, "more.yaml")

    result = anyscale("user", "batch-create", "-f", more, "--if-exists", "skip", "-o", "jsonl")

    assert result.returncode == 0
    assert "2 users created.\n" in result.stderr
    assert "3 users skipped: they exist.\n" in result.stderr
    emails = [json.loads(line)["email"] for line in result.stdout.splitlines()]
    assert emails == ["e3@example.com", "e4@example.com"]


def test_a_dry_run_reports_the_result_and_writes_nothing(
    anyscale: RunAnyscale, home: Path, tmp_path: Path
) -> None:
    result = anyscale("user", "batch-create", "-f", users_file(tmp_path, 1_500), "--dry-run")

    assert result.returncode == 0
    assert [line.partition(") ")[2] for line in result.stderr.splitlines()] == [
        "Checking users...",
        "1500 users would be created.",
    ]
    assert not list(home.iterdir())


def test_problems_are_lines_on_standard_error(anyscale: RunAnyscale, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("create_users:\n- name: a\n  email: foo\n  pasword: x\n", encoding="utf-8")

    result = anyscale("user", "batch-create", "-f", bad)

    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.splitlines()[1:] == [
        f"{bad}:3:10: create_users[0].email: 'foo' is not an email address",
        f"{bad}:4:3: create_users[0]: unknown key 'pasword': did you mean 'password'?",
        "error: 2 problems; nobody was created.",
    ]


def test_problems_are_one_document_for_machines(anyscale: RunAnyscale, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("create_users:\n- name: a\n  email: foo\n", encoding="utf-8")

    result = anyscale("user", "batch-create", "-f", bad, "-o", "json")

    assert result.returncode == 2
    assert json.loads(result.stdout) == {
        "problems": [
            {
                "index": 0,
                "field": "email",
                "code": "email_invalid",
                "detail": "'foo' is not an email address",
                "file": str(bad),
                "line": 3,
                "column": 10,
            }
        ],
        "more": 0,
    }


def test_text_shows_fifty_problems_and_json_all(anyscale: RunAnyscale, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    entries = "".join(f"- {{name: a, email: foo{i}}}\n" for i in range(120))
    bad.write_text(f"create_users:\n{entries}", encoding="utf-8")

    result = anyscale("user", "batch-create", "-f", bad)
    for_machines = anyscale("user", "batch-create", "-f", bad, "-o", "json")

    lines = result.stderr.splitlines()
    assert sum(line.startswith(f"{bad}:") for line in lines) == 50
    assert lines[-2] == "... and 70 problems more: `-o json` gives the first 10,000"
    assert lines[-1] == "error: 120 problems; nobody was created."
    assert len(json.loads(for_machines.stdout)["problems"]) == 120


def test_standard_input_is_a_file_named_stdin(anyscale: RunAnyscale) -> None:
    result = anyscale(
        "user", "batch-create", "-f", "-", "--format", "csv", stdin="name,email\nAnn,foo\n"
    )

    assert result.returncode == 2
    assert "<stdin>:2:5: create_users[0].email: 'foo' is not an email address" in result.stderr


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("u.yml", "create_users:\n- {name: a, email: a@b.io}\n"),
        ("u.txt", "create_users:\n- {name: a, email: a@b.io}\n"),
        ("u.JSON", '{"create_users": [{"name": "a", "email": "a@b.io"}]}'),
        ("u.jsonl", '{"name": "a", "email": "a@b.io"}\n'),
        ("u.ndjson", '{"name": "a", "email": "a@b.io"}\n'),
        ("u.csv", "name;email\na;a@b.io\n"),
    ],
)
def test_the_format_goes_by_the_name(
    name: str, text: str, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    (tmp_path / "work" / name).write_text(text, encoding="utf-8")

    assert anyscale("user", "batch-create", "-f", name).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["user", "batch-create"], 2, "Missing option '--users-file' / '-f'"),
        (["user", "batch-create", "-f", "none.yaml"], 2, "cannot read none.yaml: No such file"),
        (["user", "batch-create", "-f", "."], 2, "cannot read .: Is a directory"),
        (["user", "batch-create", "-f", "-", "--format", "xml"], 2, "'xml' is not one of"),
        (["user", "batch-create", "--user-file", "x"], 2, "No such option '--user-file'"),
        (["user", "get", "--email", "no@b.io"], 1, "no user with the email 'no@b.io'"),
        (["user", "get"], 2, "give either an email or a name"),
        (["user", "list", "--max-items", "-1"], 2, "-1 is not in the range"),
        (["batch", "show", "bat_0"], 1, "no batch bat_0: `anyscale batch list` shows the batches"),
        (["batch", "drop", "bat_0"], 1, "no batch bat_0: `anyscale batch list` shows the batches"),
        (
            ["user", "get", "--name", "Jane Doe"],
            1,
            "name 'Jane Doe': `anyscale user list --search 'Jane Doe'` finds parts of names and",
        ),
        (["user", "get", "usr_0"], 1, "error: there is no user with the id 'usr_0'\n"),
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
        ({"ANYSCALE_CLI_TOKEN": "t0ken"}, 2, "there is a token and no host"),
        ({"ANYSCALE_HOST": "https://x.example"}, 2, "there is no token for https://x.example"),
        ({"ANYSCALE_DATABASE_URL": "postgresql://a:pw@b/c"}, 2, "PostgreSQL needs a server"),
        ({"ANYSCALE_BATCH_CREATE": "off"}, 1, "only available on customer-hosted clouds"),
        ({"ANYSCALE_BATCH_CREATE": "maybe"}, 2, "ANYSCALE_BATCH_CREATE must be on or off"),
        ({"ANYSCALE_PASSWORD_MIN_LENGTH": "5"}, 2, "must be a whole number from 8 to 1024"),
        ({"ANYSCALE_DATA_DIR": "/dev/null/x"}, 1, "Not a directory"),
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
    "command",
    ["user list --name", "user list --email", "batch show", "batch drop"],
)
def test_an_argument_that_is_not_utf8_is_an_error(command: str, anyscale: RunAnyscale) -> None:
    assert anyscale("user", "batch-create", "-f", USERS).returncode == 0

    result = anyscale(*command.split(), "\udcff")  # the octet FF

    assert result.returncode == 2
    assert re.search("error: .* is not UTF-8", result.stderr)


def test_the_operator_can_set_a_stricter_policy(anyscale: RunAnyscale) -> None:
    users = "create_users:\n- {name: a, email: a@b.io, password: twelve-chars}\n"
    strict = {"ANYSCALE_PASSWORD_MIN_LENGTH": "15"}

    refused = anyscale("user", "batch-create", "-f", "-", stdin=users, env=strict)
    sso = anyscale("user", "batch-create", "-f", "-", stdin=users, env={"ANYSCALE_SSO_ONLY": "on"})

    assert "<stdin>:2:38: create_users[0].password: is shorter than 15 characters" in refused.stderr
    assert "create_users[0].password: must be empty: everybody here signs in by SSO" in sso.stderr
    assert anyscale("user", "batch-create", "-f", "-", stdin=users).returncode == 0


@pytest.mark.parametrize(
    ("kind", "users", "place"),
    [
        ("yaml", "create_users:\n- {name: a, email: a@b.io}\n", "2:3"),
        ("json", '{"create_users": [{"name": "a", "email": "a@b.io"}]}', "1:19"),
        ("csv", "name,email\na,a@b.io\n", "2:1"),
    ],
)
def test_with_sso_only_a_user_without_is_sso_user_is_a_problem(
    kind: str, users: str, place: str, anyscale: RunAnyscale
) -> None:
    call = ("user", "batch-create", "-f", "-", "--format", kind)
    result = anyscale(*call, stdin=users, env={"ANYSCALE_SSO_ONLY": "on"})
    assert result.returncode == 2
    problem = "create_users[0].is_sso_user: must be true: everybody here signs in by SSO"
    assert f"<stdin>:{place}: {problem}" in result.stderr


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


def test_batches_can_be_listed_and_shown(anyscale: RunAnyscale) -> None:
    anyscale("user", "batch-create", "-f", USERS)

    (batch,) = json.loads(anyscale("batch", "list", "-o", "json").stdout)
    shown = json.loads(anyscale("batch", "show", batch["batch_id"], "-o", "json").stdout)
    text = anyscale("batch", "show", batch["batch_id"]).stdout

    assert (batch["state"], batch["users"], batch["skipped"]) == ("published", 2, 0)
    assert batch.items() <= shown.items()
    assert shown["opened_by"] == shown["published_by"] == "local:root"
    labels = {line.partition(":")[0] for line in text.splitlines()}
    assert {"option --if-exists", "last activity at", "passwords not hashed yet"} <= labels
    assert "state: published" in text.splitlines()
    assert anyscale("batch", "list", "--open").stdout.splitlines()[1:] == []
    refused = anyscale("batch", "drop", batch["batch_id"])
    assert refused.returncode == 1
    assert "is published: its users are accounts" in refused.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_names_the_command(shell: str, anyscale: RunAnyscale) -> None:
    result = anyscale("completion", shell)

    assert result.returncode == 0
    assert f"_ANYSCALE_COMPLETE={shell}_complete" in result.stdout


def test_options_are_completed(anyscale: RunAnyscale) -> None:
    words = {"COMP_WORDS": "anyscale user batch-create --us", "COMP_CWORD": "3"}

    result = anyscale(env={"_ANYSCALE_COMPLETE": "bash_complete"} | words)

    assert result.stdout == "plain,--users-file\n"


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["user"],
        ["batch"],
        ["user", "batch-create"],
        ["user", "list"],
        ["user", "get"],
        ["batch", "list"],
        ["batch", "show"],
        ["batch", "drop"],
        ["completion"],
    ],
)
def test_every_command_has_a_help_with_an_example(words: list[str], anyscale: RunAnyscale) -> None:
    result = anyscale(*words, "--help")

    assert result.returncode == 0
    assert result.stderr == ""
    assert len(words) == 1 or f"  anyscale {' '.join(words)}".rstrip() in result.stdout


def test_a_table_is_aligned_with_wide_and_combining_characters(anyscale: RunAnyscale) -> None:
    names = ["Ann", "\u5c71\u7530", "E\u0301va"]
    users = "".join(f"- {{name: {name}, email: e{len(name)}@b.io}}\n" for name in names)
    anyscale("user", "batch-create", "-f", "-", stdin=f"create_users:\n{users}")

    head, first, second, third = anyscale("user", "list").stdout.splitlines()

    column = head.index("PERMISSION")
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


FIND = "Say `anyscale user list --search TEXT`, or `anyscale user get EMAIL` for one user"
TEXTS = "--search looks at emails and names already"
ORDER = "lists the best matches first"
ROLE = "Invalid value for '--role': 'x' is not one of 'owner', 'collaborator'."


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["help"], "No such command 'help'. Say `anyscale --help`."),
        (["user", "help"], "No such command 'help'. Say `anyscale user --help`."),
        (["version"], "No such command 'version'. Say `anyscale --version`."),
        (["batch", "version"], "No such command 'version'. Say `anyscale --version`."),
        (["users"], "No such command 'users'. Did you mean 'user'?"),
        (["user", "Create"], "No such command 'Create'. Did you mean 'batch-create'?"),
        (["user", "remove"], "No such command 'remove'. Did you mean 'delete'?"),
        (["user", "show"], "No such command 'show'. Did you mean 'get'?"),
        (["user", "find", "jane"], f"No such command 'find'. {FIND}"),
        (["user", "search"], f"No such command 'search'. {FIND}"),
        (["user", "list", "jane"], "Got unexpected extra argument (jane). Say --search jane"),
        (
            ["user", "list", "--search", "jane", "o'doe"],
            """Got unexpected extra argument (o'doe). Say --search 'jane o'"'"'doe'""",
        ),
        (["user", "list", "--lastname", "Doe"], "No such option '--lastname'. Say --search TEXT"),
        (["user", "list", "--lastname=Doe"], "No such option '--lastname'. Say --search TEXT"),
        (["user", "list", "--filter", "Doe"], "No such option '--filter'. Say --search TEXT"),
        (["user", "list", "--query=Doe"], "No such option '--query'. Say --search TEXT"),
        (["user", "list", "--owner"], "No such option '--owner'. Say --role owner"),
        (["user", "list", "--limit", "5"], "No such option '--limit'. Say --max-items N"),
        (["user", "list", "--limit", "5", "x"], "No such option '--limit'. Say --max-items N"),
        (["user", "list", "--role", "x", "jane"], ROLE),
        (["user", "list", "--search", " "], "--search is blank: give at least one character"),
        (["user", "list", "--email", ""], "--email is empty: give at least one character"),
        (["user", "list", "--name", ""], "--name is empty: give at least one character"),
        (
            ["user", "list", "--search", "a", "--email", "b", "--newest-first"],
            f"{TEXTS} and {ORDER}: leave out --email and --newest-first",
        ),
        (["user", "list", "--search", "a", "--name", "b"], f"{TEXTS}: leave out --name"),
        (
            ["user", "list", "--search", "a", "--newest-first"],
            f"--search {ORDER}: leave out --newest-first",
        ),
        (["batch", "rm"], "No such command 'rm'. Did you mean 'drop'?"),
        (["batch", "get"], "No such command 'get'. Did you mean 'show'?"),
        (["batch", "status"], "No such command 'status'. Did you mean 'show'?"),
        (
            ["batch", "undo", "bat_0", "--yes"],
            "No such option '--yes'. Leave it out: nothing is asked.",
        ),
        (["search", "jane"], "No such command 'search'. Say `anyscale user list --search TEXT`"),
        (["server", "status"], "No such command 'status'. Did you mean 'check'?"),
        (["server", "run"], "No such command 'run'. Did you mean 'start'?"),
        (["frobnicate"], "No such command 'frobnicate'."),
        (["--frobnicate"], "No such option '--frobnicate'."),
        (
            ["user", "batch-create", "good users.yaml"],
            "Missing option '--users-file' / '-f'. Say -f 'good users.yaml'",
        ),
        (["user", "verify", "users.csv"], "Missing option '-f' / '--users-file'. Say -f users.csv"),
        (["user", "batch-create", "--dry-run"], "Missing option '--users-file' / '-f'."),
        (
            ["user", "batch-create", "-f", "a.yaml", "b.yaml"],
            "Got unexpected extra argument (b.yaml)",
        ),
        (
            ["user", "batch-create", "-f", "a.yaml", "--force"],
            "No such option '--force'. Say --if-exists skip",
        ),
        (["user", "verify", "--file", "a"], "No such option '--file'. Say -f FILE"),
        (["user", "batch-create", "a.yaml", "--nope"], "No such option '--nope'."),
    ],
)
def test_a_wrong_command_line_says_what_was_probably_meant(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The command runs in the process of the tests, whose signals stay as they are.
    monkeypatch.setattr("anyscale.cli.root.handle_signals", lambda: None)
    monkeypatch.setattr("anyscale.cli.root.ignore_signals", lambda: None)

    result = CliRunner(catch_exceptions=False).invoke(root, words, prog_name="anyscale")

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == f"Error: {message}"


def test_many_emails_with_accounts_are_counted_before_they_are_listed(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = users_file(tmp_path, 6)
    few, many = users_file(tmp_path, 4, "few.yaml"), users_file(tmp_path, 8, "many.yaml")
    assert anyscale("user", "batch-create", "-f", file).returncode == 0

    for options in ([], ["--dry-run"]):
        result = anyscale("user", "batch-create", "-f", many, *options)
        lines = [line for line in result.stderr.splitlines() if "(anyscale" not in line]
        assert result.returncode == 1
        assert lines[0] == "6 of 8 emails have an account:"
        assert lines[1].endswith("create_users[0].email: 'e0@example.com' has an account already")
        assert lines[7:] == [
            "error: 6 problems; nobody was created.",
            "`--if-exists skip` skips the users who have an account.",
        ]
    document = anyscale("user", "batch-create", "-f", many, "-o", "json")
    assert (len(json.loads(document.stdout)["problems"]), "of 8" in document.stderr) == (6, False)
    assert "emails have an account:" not in anyscale("user", "batch-create", "-f", few).stderr
