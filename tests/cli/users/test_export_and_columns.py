"""Exports of `user list`, and spreadsheets with columns of other names, as users files."""

import json
import re
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale

PEOPLE = """create_users:
- {name: Jane, email: jane@example.com, lastname: Doe, title: Engineer}
- {name: =Zoë, email: -zoe@example.com, is_sso_user: true}
- {name: Ann, email: ann@example.com}
"""
PASSED_OVER = (
    "Passed over, since only the server sets them: "
    "permission_level, created_at, user_id, suspended_at, suspended_by_sync, last_sign_in_on."
)
FORMATS = pytest.mark.parametrize("file_format", ["csv", "json", "jsonl", "yaml"])


def exported(anyscale: RunAnyscale, folder: Path, file_format: str) -> Path:
    file = folder / f"export.{file_format}"
    done = anyscale("user", "list", "-o", file_format)
    assert done.returncode == 0, done.stderr
    file.write_text(done.stdout, encoding="utf-8")
    return file


@FORMATS
def test_an_export_is_compared_and_creates_the_same_accounts_elsewhere(
    anyscale: RunAnyscale, tmp_path: Path, file_format: str
) -> None:
    here, there = (
        {"ANYSCALE_HOST": "embedded", "ANYSCALE_DATA_DIR": str(tmp_path / name)}
        for name in ("here", "there")
    )
    assert anyscale("user", "batch-create", "-f", "-", stdin=PEOPLE, env=here).returncode == 0
    export = tmp_path / f"export.{file_format}"
    listed = anyscale("user", "list", "-o", file_format, env=here).stdout
    export.write_text(listed, encoding="utf-8")

    compared = anyscale("user", "verify", "-f", export, env=here)
    created = anyscale("user", "batch-create", "-f", export, env=there)

    assert (compared.returncode, compared.stdout) == (0, ""), compared.stderr
    assert compared.stderr.count(PASSED_OVER) == created.stderr.count(PASSED_OVER) == 1
    arriving = f"{PASSED_OVER} All users arrive as collaborators."
    assert (arriving in compared.stderr, arriving in created.stderr) == (False, True)
    assert created.returncode == 0, created.stderr
    people = [
        json.loads(anyscale("user", "list", "-o", "json", env=env).stdout) for env in (here, there)
    ]
    for user in (*people[0], *people[1]):
        del user["user_id"], user["created_at"]
    assert people[0] == people[1]


@FORMATS
def test_a_suspended_row_is_not_created(
    anyscale: RunAnyscale, tmp_path: Path, file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSCALE_DATA_DIR", str(tmp_path / "here"))
    assert anyscale("user", "batch-create", "-f", "-", stdin=PEOPLE).returncode == 0
    assert anyscale("user", "suspend", "ann@example.com").returncode == 0
    export = exported(anyscale, tmp_path, file_format)
    monkeypatch.setenv("ANYSCALE_DATA_DIR", str(tmp_path / "there"))

    done = anyscale("user", "batch-create", "-f", export, "-o", "json")

    assert done.returncode == 2, done.stderr
    (problem,) = json.loads(done.stdout)["problems"]
    assert (problem["index"], problem["field"], problem["code"]) == (2, "suspended_at", "suspended")
    assert "sign in again; remove the user" in problem["detail"]
    assert not (tmp_path / "there").exists()


def test_columns_that_are_all_recognized_are_taken_and_named(
    anyscale: RunAnyscale, control_plane: object, tmp_path: Path
) -> None:
    file = tmp_path / "personal.csv"
    file.write_text("Nachname;Vorname;E-Mail;Titel\nMuster;Mia;mia@example.com;Chefin\n")

    created = anyscale("user", "batch-create", "-f", file, "-o", "json")
    compared = anyscale("user", "verify", "-f", file)

    assert created.returncode == compared.returncode == 0, created.stderr
    line = (
        f"Columns of {file} are read as fields: 'Nachname' as lastname, 'Vorname' as name, "
        "'E-Mail' as email, 'Titel' as title."
    )
    assert created.stderr.count(line) == compared.stderr.count(line) == 1
    (user,) = json.loads(created.stdout)
    assert (user["name"], user["lastname"], user["title"]) == ("Mia", "Muster", "Chefin")


def test_an_option_names_the_field_of_a_column_or_leaves_it_out(
    anyscale: RunAnyscale, control_plane: object, tmp_path: Path
) -> None:
    file = tmp_path / "personal.csv"
    header = "Name;Vorname;Login=Mail;Bu\u0308ro"  # as macOS spells it
    file.write_text(f"{header}\nMuster;Mia;mia@example.com;IT\n", "utf-8")

    refused = anyscale("user", "batch-create", "-f", file)
    options = ["--column", "Name=lastname", "--column=vorname=name", "--column", "Login=Mail=email"]
    created = anyscale(
        "user", "batch-create", "-f", file, *options, "--column", "B\u00fcro=", "-o", "json"
    )

    assert refused.returncode == 2
    assert refused.stderr.count("`--column HEADER=FIELD` names the field of a column.") == 1
    assert created.returncode == 0, created.stderr
    (user,) = json.loads(created.stdout)
    assert (user["name"], user["lastname"]) == ("Mia", "Muster")


@pytest.mark.parametrize("header", ["Name;Vorname;E-Mail", "Vorname; Name;E-Mail"])
@pytest.mark.parametrize("options", [[], ["--column", "Vorname=name"]])
def test_last_names_that_are_called_names_are_mended_by_the_proposed_option(
    anyscale: RunAnyscale, control_plane: object, tmp_path: Path, header: str, options: list[str]
) -> None:
    file = tmp_path / "kollegen.csv"
    names = "Muster;Mia" if header.startswith("Name") else "Mia;Muster"
    file.write_text(f"{header}\n{names};mia@example.com\n")
    command = ["user", "batch-create", "-f", str(file)]

    refused = anyscale(*command, *options)
    (proposed,) = re.findall(r"^Without editing the file: `(.*)`\.$", refused.stderr, re.MULTILINE)
    created = anyscale(*command, *options, *proposed.split(), "-o", "json")

    assert proposed == "--column Name=lastname"
    assert "'Vorname' is the first name" in refused.stderr
    (user,) = json.loads(created.stdout)
    assert (user["name"], user["lastname"]) == ("Mia", "Muster")


def test_two_columns_that_are_read_as_one_field_are_named(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "staff.csv"
    file.write_text("name,email,Mail address\nMia,mia@example.com,m@example.com\n")

    refused = anyscale("user", "verify", "-f", file, "--column", "Mail address=email")

    assert "'email' and 'Mail address' are both read as 'email': choose another" in refused.stderr


def test_the_hint_leaves_all_columns_out_that_stand_for_no_field(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "staff.csv"
    file.write_text("name;email;Abteilung;Kostenstelle\nMia;mia@example.com;IT;7\n")

    refused = anyscale("user", "verify", "-f", file)

    assert (
        "Without editing the file: `--column Abteilung= --column Kostenstelle=` leaves them out, "
        "and `--column HEADER=FIELD` names the field of a column.\n"
    ) in refused.stderr


def test_a_hint_does_not_repeat_a_name_that_is_too_long_to_type(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "staff.csv"
    file.write_text(f"name,email,{'x' * 10_000}\nMia,mia@example.com,\n")

    refused = anyscale("user", "verify", "-f", file)

    assert "Without editing the file: `--column HEADER=` leaves it out" in refused.stderr
    assert len(refused.stderr) < 1_000


def test_the_hint_names_a_column_that_stands_for_no_field(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "staff.csv"
    file.write_text("First name,Email,Cost centre\nMia,mia@example.com,7\n")

    refused = anyscale("user", "batch-create", "-f", file)

    assert "`--column 'Cost centre='` leaves it out" in refused.stderr


def test_a_column_without_a_name_gets_no_hint_to_choose_it_by_its_name(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "staff.csv"
    for header, is_hinted in (("name,email,", False), ("name,email,,emial", True)):
        file.write_text(f"{header}\nMia,mia@example.com,7{',' * is_hinted}\n")
        refused = anyscale("user", "batch-create", "-f", file)

        assert "this cell's column has no name: name it one of" in refused.stderr
        assert ("Without editing the file: " in refused.stderr) is is_hinted


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--column", "Vorname"], "--column Vorname: write HEADER=FIELD"),
        (["--column", "Vorname=first"], "the fields are name, email, password"),
        (["--column", "A=name", "--column", "B=name"], "name is given twice"),
        (["--column", "A=name", "--column", "a=title"], "a is given twice"),
        (["--column", "Missing=name"], "whose field was chosen: the columns are 'name', 'email'"),
        (
            ["--column", "A=name", "--format", "yaml"],
            "is read as YAML: use --format csv if it is CSV",
        ),
    ],
)
def test_a_wrong_column_option_says_what_is_wrong(
    anyscale: RunAnyscale, control_plane: object, tmp_path: Path, options: list[str], message: str
) -> None:
    file = tmp_path / "users.csv"
    file.write_text("name,email\nJane,jane@example.com\n")

    done = anyscale("user", "verify", "-f", file, *options)

    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("columns", [["Vorname=name"], ["Vorname=name", "Mail=email"]])
def test_a_row_that_stands_for_the_header_is_not_shown(
    anyscale: RunAnyscale, tmp_path: Path, columns: list[str], output: str
) -> None:
    file = tmp_path / "users.csv"
    file.write_text("Ann,ann@example.com,secret-zq-12345\n")
    options = [f"--column={column}" for column in columns]

    done = anyscale("user", "batch-create", "-f", file, "--dry-run", *options, "-o", output)

    assert done.returncode == 2
    assert "there is no column 'vorname', whose field was chosen: " in done.stdout + done.stderr
    assert "zq" not in done.stdout + done.stderr


@FORMATS
def test_blanks_around_texts_are_kept_and_counted(
    anyscale: RunAnyscale, tmp_path: Path, file_format: str
) -> None:
    file = tmp_path / f"users.{file_format}"
    rows = {
        "csv": "name,email,title\nJane,jane@a.b,\n Ann,ann@a.b,CTO \nJoe,joe@a.b,\u00a0x\n",
        "yaml": "create_users:\n- {name: Jane, email: jane@a.b}\n- {name: ' Ann', email: ann@a.b}\n"
        "- {name: Joe, email: joe@a.b, title: '\u00a0x'}\n",
        "jsonl": '{"name": "Jane", "email": "jane@a.b"}\n{"name": " Ann", "email": "ann@a.b"}\n'
        '{"name": "Joe", "email": "joe@a.b", "title": "\u00a0x"}\n',
        "json": '{"create_users": [{"name": "Jane", "email": "jane@a.b"},\n'
        '{"name": " Ann", "email": "ann@a.b"},\n'
        '{"name": "Joe", "email": "joe@a.b", "title": "\u00a0x"}]}',
    }
    file.write_text(rows[file_format], encoding="utf-8")
    first = 2 if "json" in file_format else 3

    done = anyscale("user", "batch-create", "-f", file, "--dry-run")

    note = f"2 users have blanks around a text, which are kept: the first in line {first}."
    assert (done.returncode, done.stderr.count(note)) == (0, 1), done.stderr
