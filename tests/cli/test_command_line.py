"""Results and problems in each format, on standard output and standard error."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
import yaml
from tests.support.commands.running import RunAnyscale
from tests.support.paths import ROOT

USERS = ROOT / "examples" / "users.yaml"

SSO_ONLY = {"ANYSCALE_SSO_ONLY": "on"}


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
        f"Using the control plane at {home / '.local/share/anyscale/anyscale.db'}",
        "1,500 users would be created.",
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
    assert "<stdin>:2:5: Ann, email: 'foo' is not an email address" in result.stderr


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


def test_the_operator_can_set_a_stricter_policy(anyscale: RunAnyscale) -> None:
    users = "create_users:\n- {name: a, email: a@b.io, password: twelve-chars}\n"
    strict = {"ANYSCALE_PASSWORD_MIN_LENGTH": "15"}

    refused = anyscale("user", "batch-create", "-f", "-", stdin=users, env=strict)
    sso = anyscale("user", "batch-create", "-f", "-", stdin=users, env=SSO_ONLY)

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
    result = anyscale(*call, stdin=users, env=SSO_ONLY)
    assert result.returncode == 2
    entry = "a, is_sso_user" if kind == "csv" else "create_users[0].is_sso_user"
    problem = f"{entry}: must be true: everybody here signs in by SSO"
    assert f"<stdin>:{place}: {problem}" in result.stderr
    synced = anyscale("user", "sync", *call[2:], "--yes", stdin=users, env=SSO_ONLY)
    line = place.partition(":")[0]
    assert synced.returncode == 2
    assert re.search(rf"<stdin>:{line}:\d+: .*is_sso_user: must be true", synced.stderr)


def test_batches_can_be_listed_and_shown(anyscale: RunAnyscale) -> None:
    anyscale("user", "batch-create", "-f", USERS)

    (batch,) = json.loads(anyscale("batch", "list", "-o", "json").stdout)
    shown = json.loads(anyscale("batch", "show", batch["batch_id"], "-o", "json").stdout)
    text = anyscale("batch", "show", batch["batch_id"]).stdout
    document = anyscale("batch", "show", batch["batch_id"], "-o", "yaml").stdout
    row = anyscale("batch", "show", batch["batch_id"], "-o", "csv").stdout

    assert (batch["state"], batch["users"], batch["skipped"]) == ("published", 2, 0)
    assert batch.items() <= shown.items()
    assert yaml.safe_load(document).keys() == shown.keys() == set(row.splitlines()[0].split(","))
    assert shown["opened_by"] == shown["published_by"] == "local:root"
    labels = {line.partition(":")[0] for line in text.splitlines()}
    assert {"option --if-exists", "last activity at", "passwords not hashed yet"} <= labels
    assert "state: published" in text.splitlines()
    assert anyscale("batch", "list", "--open").stdout.splitlines()[1:] == []
    refused = anyscale("batch", "drop", batch["batch_id"])
    assert refused.returncode == 1
    assert "is published: its users are accounts" in refused.stderr


@pytest.mark.parametrize(
    ("command", "count"),
    [
        (["audit", "list", "--after"], 0),
        (["audit", "list", "--max-items"], 1),
        (["batch", "list", "--max-items"], 1),
        (["user", "list", "--max-items"], 2),
    ],
)
def test_a_number_may_be_larger_than_any_of_a_database(
    anyscale: RunAnyscale, command: list[str], count: int
) -> None:
    anyscale("user", "batch-create", "-f", USERS)
    listed = anyscale(*command, "9" * 20, "-o", "jsonl")
    assert (listed.returncode, len(listed.stdout.splitlines())) == (0, count), listed.stderr


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


def test_a_file_that_was_created_before_is_compared_with_the_accounts(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = users_file(tmp_path, 10_001, "all users.yaml")
    assert anyscale("user", "batch-create", "-f", file).returncode == 0

    lines = anyscale("user", "batch-create", "-f", file).stderr.splitlines()

    assert "10,001 of 10,001 emails have an account:" in lines
    verify = f"anyscale user verify -f '{file}'"
    assert lines[-2:] == [
        "error: 10,001 problems; nobody was created.",
        f"Was this file created already? `{verify}` compares it with the accounts.",
    ]


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_skipped_users_can_be_compared_with_their_accounts(
    options: list[str], anyscale: RunAnyscale, tmp_path: Path
) -> None:
    few, many = users_file(tmp_path, 2, "few.yaml"), users_file(tmp_path, 3, "many.yaml")
    created = anyscale("user", "batch-create", "-f", few, "--if-exists", "skip")
    done = anyscale("user", "batch-create", "-f", many, "--if-exists", "skip", *options)

    hint = (
        f"`anyscale user verify -f {many}` shows where the accounts of skipped users differ from "
        "the file."
    )
    assert hint in done.stderr.splitlines()
    assert "anyscale user verify" not in created.stderr


def test_yaml_output_escapes_what_yaml_does_not_take(anyscale: RunAnyscale) -> None:
    user = {"name": "a\ufffeb\uffff", "email": "a@example.com"}
    text = json.dumps({"create_users": [user]})
    command = ("user", "batch-create", "-f", "-", "--format", "json", "-o", "yaml")
    (created,) = yaml.safe_load(anyscale(*command, stdin=text).stdout)
    assert created["name"] == user["name"]


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("user", "update", "a@b.io", "--title", "A", "--title=B"), "--title"),
        (("user", "list", "-o", "json", "--output", "csv"), "-o/--output"),
        (("server", "create-token", "--name", "a", "--name", "b"), "--name"),
    ],
)
def test_an_option_that_is_given_twice_is_refused(
    words: tuple[str, ...], option: str, anyscale: RunAnyscale
) -> None:
    done = anyscale(*words)
    assert done.returncode == 2
    assert done.stderr.endswith(f"Error: {option} is given twice: give it once\n")


def test_an_empty_name_of_an_output_file_is_named(anyscale: RunAnyscale) -> None:
    done = anyscale("server", "create-token", "--name", "a", "--output-file", "")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the name of the output file is empty: name a new file\n"


def test_the_name_of_an_output_file_may_be_as_long_as_the_file_system_allows(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    path = tmp_path / ("x" * 255)
    done = anyscale("server", "create-token", "--name", "a", "--output-file", path)
    assert (done.returncode, path.exists()) == (0, True), done.stderr
