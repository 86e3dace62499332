"""`user update`, and every field of an account in `user list` and `user get`."""

import csv
import io
import json
import re
import shlex
from typing import Any

import pytest
import yaml
from tests.support.commands.running import RunAnyscale
from tests.support.faults.faulty_proxy import FaultyProxy, lose
from tests.support.servers.server_process import ServerProcess

FILE = """create_users:
- {name: Jane, email: Jane@example.com, lastname: Doe, title: "=CTO", is_sso_user: true,
   external_id: 0042}
- {name: Ann, email: ann@example.com, password: correct-donkey-battery}
"""

FILE_WITHOUT_NUMBERS = FILE.replace("external_id: 0042", "external_id: null")

#: the fields of every machine format, in their order
FIELDS = ["email", "name", "permission_level", "created_at", "user_id", "suspended_at"]
FIELDS += [
    "lastname",
    "title",
    "is_sso_user",
    "external_id",
    "suspended_by_sync",
    "last_sign_in_on",
]

JANE = "jane@example.com"


@pytest.fixture
def users(anyscale: RunAnyscale) -> None:
    """Two accounts."""
    done = anyscale("user", "batch-create", "-f", "-", stdin=FILE)
    assert done.returncode == 0, done.stderr


def shown(anyscale: RunAnyscale, email: str = JANE) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(anyscale("user", "get", email, "-o", "json").stdout)
    return fields


def test_a_user_is_corrected_by_email_and_every_refusal_changes_nothing(
    control_plane: str, users: None, anyscale: RunAnyscale
) -> None:
    def update(status: int, text: str, *options: str, email: str = JANE) -> None:
        done = anyscale("user", "update", email, *options)
        assert (done.returncode, text in done.stderr) == (status, True), done.stderr
        assert (done.stdout, "Traceback" in done.stderr) == ("", False)

    before = shown(anyscale)
    update(2, "give at least one of --name, --lastname, --title, --external-id, --email or --sso")
    update(2, "use either --title or --no-title, not both", "--title", "x", "--no-title")
    update(2, "use either --lastname or --no-lastname", "--no-lastname", "--lastname", "x")
    update(2, "use either --sso or --no-sso, not both", "--sso", "--no-sso")
    update(2, "error: name: is blank: every user has a name\n", "--name", " ")
    update(2, "title: has 257 characters; 256 are allowed", "--title", "x" * 257)
    update(2, "error: email: 'x' is not an email address", "--email", "x")
    update(1, "there is no user with the email 'x@b.io'", "--name", "x", email="x@b.io")
    update(1, "there is no user with the email 'Jane'", "--name", "x", email="Jane")
    assert shown(anyscale) == before
    assert (before["lastname"], before["title"], before["is_sso_user"]) == ("Doe", "=CTO", True)

    for changed in ("name: 'Jane' -> 'Janet'; title: '=CTO' -> empty.", "It had these values"):
        update(0, f"Jane@example.com is updated. {changed}", "--name", "Janet", "--no-title")
    assert shown(anyscale) == before | {"name": "Janet", "title": None}
    update(0, "is updated. lastname: 'Doe' -> empty.\n", "--no-lastname", "--no-title")
    assert shown(anyscale) == before | {"name": "Janet", "title": None, "lastname": None}

    link = "create a link to set one by `anyscale user set-password-link Jane@example.com`"
    update(0, link, "--no-sso")
    assert shown(anyscale)["is_sso_user"] is False
    update(0, "Jane@example.com is updated. is_sso_user: false -> true.\n", "--sso")
    assert shown(anyscale)["is_sso_user"] is True
    ann = "ann@example.com"
    assert "link" not in anyscale("user", "update", ann, "--no-sso").stderr

    audit_entries = anyscale("audit", "list", "-o", "jsonl").stdout.splitlines()
    changes = [json.loads(line) for line in audit_entries if "account.updated" in line]
    assert [entry["data"]["fields"] for entry in changes] == [
        *(["name", "title"], ["lastname"], ["is_sso_user"], ["is_sso_user"])
    ]


def read(text: str, output: str) -> list[dict[str, Any]]:
    if output == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    if output == "jsonl":
        return [json.loads(line) for line in text.splitlines()]
    records = json.loads(text) if output == "json" else yaml.safe_load(text)
    return [records] if isinstance(records, dict) else records


@pytest.mark.parametrize("output", ["json", "jsonl", "yaml", "csv"])
def test_every_field_of_an_account_is_in_every_machine_format(
    output: str, users: None, anyscale: RunAnyscale
) -> None:
    jane, ann = read(anyscale("user", "list", "-o", output).stdout, output)
    (got,) = read(anyscale("user", "get", JANE, "-o", output).stdout, output)
    assert got == jane
    assert list(jane) == list(ann) == FIELDS
    shown = [[user[field] for field in FIELDS[5:]] for user in (jane, ann)]
    if output == "csv":
        assert shown == [
            ["", "Doe", "'=CTO", "true", "0042", "false", ""],
            ["", "", "", "false", "", "false", ""],
        ]
    else:
        assert shown == [
            [None, "Doe", "=CTO", True, "0042", False, None],
            [None, None, None, False, None, False, None],
        ]


def test_the_wide_table_shows_every_field(users: None, anyscale: RunAnyscale) -> None:
    def table(*arguments: str) -> list[list[str]]:
        lines = anyscale("user", *arguments).stdout.splitlines()
        return [re.split("  +", line) for line in lines]

    titles = ["EMAIL", "NAME", "LASTNAME", "ROLE", "CREATED AT (UTC)", "STATE"]
    wide = [*titles, "USER ID", "TITLE", "IS SSO USER", "EXTERNAL ID", "SUSPENDED BY SYNC"]
    wide.append("LAST SIGN IN ON (UTC)")
    head, jane, ann = table("list", "--wide")
    assert head == wide
    assert (jane[2:4], ann[2:4]) == (["Doe", "collaborator"], ["-", "collaborator"])
    assert (jane[7:], ann[7:]) == (
        ["=CTO", "true", "0042", "false", "-"],
        ["-", "false", "-", "false", "-"],
    )


def test_one_account_is_shown_with_every_field_one_a_line(
    users: None, anyscale: RunAnyscale
) -> None:
    jane = shown(anyscale)
    for arguments in ([JANE], [jane["user_id"]], ["--name", "Jane"]):
        lines = anyscale("user", "get", *arguments).stdout.splitlines()
        assert lines == [
            "email: Jane@example.com",
            "name: Jane",
            "permission level: collaborator",
            f"created at: {jane['created_at'][:19].replace('T', ' ')} UTC",
            f"user id: {jane['user_id']}",
            "suspended at: -",
            "lastname: Doe",
            "title: =CTO",
            "is sso user: true",
            "external id: 0042",
            "suspended by sync: false",
            "last sign in on: -",
        ]


def test_a_user_is_found_by_an_argument_as_by_its_option(
    users: None, anyscale: RunAnyscale
) -> None:
    assert anyscale("user", "get", "JANE@example.com").stdout == (
        anyscale("user", "get", "--email", JANE).stdout
    )
    for arguments, text in (
        ([JANE, "--email", JANE], "give either an email or a name, and only once"),
        ([JANE, "--name", "Jane"], "give either an email or a name, and only once"),
        ([], "give either an email or a name"),
    ):
        done = anyscale("user", "get", *arguments)
        assert (done.returncode, text in done.stderr) == (2, True), done.stderr


@pytest.mark.usefixtures("control_plane", "users")
def test_a_user_is_found_by_the_id(anyscale: RunAnyscale) -> None:
    jane, _ = read(anyscale("user", "list", "-o", "json").stdout, "json")
    user_id = jane["user_id"]

    assert read(anyscale("user", "get", user_id, "-o", "json").stdout, "json") == [jane]
    unknown = anyscale("user", "get", user_id[:-1])
    assert unknown.returncode == 1
    assert f"error: there is no user with the id {user_id[:-1]!r} in the" in unknown.stderr


@pytest.mark.parametrize("count", [5, 6, 40])
def test_of_many_users_with_a_name_five_are_listed_and_a_command_lists_all(
    count: int, anyscale: RunAnyscale
) -> None:
    name = "Zoë d'Arc"
    emails = [f"zoe{number:02}@example.com" for number in range(count)]
    file = json.dumps({"create_users": [{"name": name, "email": email} for email in emails]})
    assert anyscale("user", "batch-create", "-f", "-", stdin=file).returncode == 0

    done = anyscale("user", "get", "--name", name)

    assert (done.returncode, done.stdout) == (1, "")
    listed, _, rest = done.stderr.partition(" and ")
    assert listed.startswith(f'error: {count} users are named "{name}": {", ".join(emails[:5])}')
    if count == 5:
        assert listed.endswith(". Name one by email instead.\n")
    else:
        more, _, command = rest.partition(" more. Name one by email; ")
        assert int(more) == count - 5
        assert command.endswith("` lists all.\n")
        words = shlex.split(command.split("`")[1])
        assert words[0] == "anyscale"
        users = json.loads(anyscale(*words[1:], "-o", "json").stdout)
        assert [user["email"] for user in users] == emails


def test_a_list_without_a_match_says_so_on_standard_error(
    users: None, anyscale: RunAnyscale
) -> None:
    for options in (
        ["--search", "nobody"],
        ["--email", "nobody"],
        ["--name", "x"],
        ["--suspended"],
    ):
        done = anyscale("user", "list", *options)
        assert (done.returncode, done.stderr) == (0, "No account matches.\n")
        assert len(done.stdout.splitlines()) == 1
        assert anyscale("user", "list", *options, "-o", "json").stderr == ""
    for options in (["--search", "jane"], ["--max-items", "0"], []):
        assert anyscale("user", "list", *options).stderr == ""


def test_an_update_whose_response_was_lost_is_repeated(
    configured_server: ServerProcess,
    users: None,
    anyscale: RunAnyscale,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost: list[str] = []

    def plan(call: str) -> object:
        if call.startswith("PATCH") and not lost:
            lost.append(call)
            return lose
        return None

    with FaultyProxy([configured_server.port], plan) as proxy:  # type: ignore[arg-type]  # a plan returns an object
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        done = anyscale("user", "update", JANE, "--name", "Janet")
    assert (done.returncode, bool(lost)) == (0, True), done.stderr
    audit_entries = anyscale(
        "audit", "list", "-o", "jsonl", env={"ANYSCALE_HOST": configured_server.url}
    )
    assert audit_entries.stdout.count("account.updated") == 1


def test_an_account_gets_another_email_and_stays_the_same(
    control_plane: str, users: None, anyscale: RunAnyscale
) -> None:
    before = shown(anyscale)
    update = ("user", "update", JANE, "--email", "Jane.Roe@example.com")
    done = anyscale(*update)
    changed = "email: 'Jane@example.com' -> 'Jane.Roe@example.com'."
    assert (done.returncode, changed in done.stderr) == (0, True), done.stderr
    new = shown(anyscale, "jane.roe@example.com")
    assert new == before | {"email": "Jane.Roe@example.com"}
    assert shown(anyscale, before["user_id"]) == new
    found = anyscale("user", "list", "--search", JANE, "-o", "json").stdout
    assert json.loads(found) == [new]
    done = anyscale(*update)
    assert (done.returncode, "there is no user with the email" in done.stderr) == (1, True)

    ann = ("user", "update", "ann@example.com", "--email")
    taken = anyscale(*ann, "JANE.ROE@example.com")
    assert (taken.returncode, "has an account already" in taken.stderr) == (1, True)
    freed = anyscale(*ann, JANE)
    assert (freed.returncode, "use `--reuse-email`" in freed.stderr) == (1, True)
    again = anyscale(
        "user", "batch-create", "-f", "-", "--if-exists", "skip", stdin=FILE_WITHOUT_NUMBERS
    )
    assert (again.returncode, again.stderr.count("was the email of another account")) == (1, 1)
    assert anyscale(*ann, JANE, "--reuse-email").returncode == 0
    exported = anyscale("audit", "list", "-o", "jsonl").stdout.splitlines()
    entries = [json.loads(line) for line in exported if "account.email_changed" in line]
    assert [entry["data"]["new_email"] for entry in entries] == ["Jane.Roe@example.com", JANE]


def test_a_link_for_an_account_without_credentials_names_its_new_email(
    users: None, anyscale: RunAnyscale
) -> None:
    done = anyscale("user", "update", JANE, "--no-sso", "--email", "roe@example.com")
    assert "`anyscale user set-password-link roe@example.com`" in done.stderr
