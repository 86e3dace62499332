"""Every problem of a users file is a complete line that an editor can jump to."""

import pytest
from tests.client.bad_files.bad import Bad
from tests.client.bad_files.of_bytes import BYTES
from tests.client.bad_files.of_csv import CSV
from tests.client.bad_files.of_json import JSON, JSON_LINES
from tests.client.bad_files.of_yaml import YAML
from tests.client.bad_files.reading import lines, read

ALL = [*BYTES, *YAML, *JSON, *JSON_LINES, *CSV]

SECRET = "Tr0ub4dor"


@pytest.mark.parametrize("bad", [pytest.param(bad, id=f"{bad.file}: {bad.what}") for bad in ALL])
def test_a_bad_file_is_refused_with_exactly_these_problems(bad: Bad) -> None:
    _users, reading = read(bad.data, bad.file)

    problems = [(problem.code, str(problem)) for problem in reading.problems]
    assert problems == list(zip(bad.codes, bad.lines, strict=True))


def test_every_bad_file_has_a_name_of_its_own() -> None:
    names = [(bad.file, bad.what) for bad in ALL]

    assert len(names) == len(set(names)) >= 75


MANY_MISTAKES = b"""\
version: 1
create_users:
- name: Jane
  email: jane@example.com
  titel: Engineer
- name: ''
  email: joe
  password: s3cret!
- email: ann@example.com
  is_sso_user: maybe
  lastname: [Smith]
- Bob
- name: Null
  email:
  name: Carl
- &dan
  name: Dan
- name: Eve
  email: JANE@example.com
  password: *eve
- name: Fred
  email: fred@example.com
users: []
"""


def test_all_problems_of_a_file_are_reported_at_once_in_order() -> None:
    assert lines(MANY_MISTAKES) == [
        "users.yaml:1:1: unknown key 'version': the file holds one key, 'create_users'",
        "users.yaml:5:3: create_users[0]: unknown key 'titel': did you mean 'title'?",
        "users.yaml:6:9: create_users[1].name: is blank: every user has a name",
        "users.yaml:7:10: create_users[1].email: 'joe' is not an email address",
        "users.yaml:8:13: create_users[1].password: is shorter than 8 characters",
        "users.yaml:9:3: create_users[2].name: is missing: every user has one",
        (
            "users.yaml:10:16: create_users[2].is_sso_user: must be true or false, not 'maybe': "
            "write true, yes or on, or else false, no or off, without quotes"
        ),
        (
            "users.yaml:11:13: create_users[2].lastname: must be one value, not a list; "
            "put a text that begins with [ or { in quotes"
        ),
        (
            "users.yaml:12:3: create_users[3]: a user must be a map: name, email and so on, "
            "with a blank after each ':'"
        ),
        (
            "users.yaml:13:9: create_users[4].name: Null is unclear: write 'Null' in quotes "
            "if it is the text, or null if there is none"
        ),
        "users.yaml:14:9: create_users[4].email: is empty: every user has one",
        "users.yaml:15:3: create_users[4].name: is there a second time: the first is on line 13",
        (
            "users.yaml:16:3: create_users[5]: has a YAML anchor, which users files do not use; "
            "quote a text that begins with &"
        ),
        (
            "users.yaml:19:10: create_users[6].email: 'JANE@example.com' is also the email of "
            "line 4, column 10 (Jane)"
        ),
        (
            "users.yaml:20:13: create_users[6].password: is a YAML alias, which users files do not "
            "use; quote a text that begins with *"
        ),
        "users.yaml:23:1: unknown key 'users': the file holds one key, 'create_users'",
    ]


def test_a_valid_user_is_read_among_invalid_ones() -> None:
    users, _reading = read(MANY_MISTAKES)

    assert [user.email for user in users] == ["fred@example.com"]


def test_a_problem_has_index_field_line_and_column() -> None:
    _users, reading = read(b"create_users:\n- name: Jane\n  email: foo\n")

    (problem,) = reading.problems
    assert problem.to_dict() == {
        "index": 0,
        "field": "email",
        "code": "email_invalid",
        "detail": "'foo' is not an email address",
        "file": "users.yaml",
        "line": 3,
        "column": 10,
    }


# Texts before and after a password that YAML does not read as a part of it.
SIGNS = [
    *("*", "&", "!", "!!", "!a!", "!<", "* ", "& ", "! ", "@", "`", "%", "|", ">", "|-"),
    *("[", "{", "]", "}", ",", "? ", "- ", ": ", "'", '"', '"\\', '"\\x', '"\\u', "<<: "),
    *("a: ", "*a *", "&a &", "&a *", "!a !", "''", '""', "#", "--- ", "... ", "%YAML "),
]


@pytest.mark.parametrize("before", SIGNS)
@pytest.mark.parametrize("after", ["", "!", ": x", "'", '"', " #", "]", "}", ", x: y", "\n  -"])
def test_a_password_without_its_quotes_is_in_no_message(before: str, after: str) -> None:
    block = f"create_users:\n- name: Jane\n  email: j@x.com\n  password: {before}{SECRET}{after}\n"
    flow = f"create_users: [{{name: Jane, email: j@x.com, password: {before}{SECRET}{after}}}]\n"

    for text in (block, flow):
        users, reading = read(text.encode())
        # The file may be valid; else the messages consist of our own words.
        assert users or reading.problems
        assert SECRET not in "".join(f"{problem} {problem!r}" for problem in reading.problems)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("users.yaml", "create_users:\n- {{name: Tr0ub, email: foo, password: {}}}\n"),
        (
            "users.json",
            '{{"create_users": [{{"name": "Tr0ub", "email": "foo", "password": "{}"}}]}}',
        ),
        ("users.jsonl", '{{"name": "Tr0ub", "email": "foo", "password": "{}"}}\n'),
        ("users.csv", "name,email,password\nTr0ub,foo,{}\n"),
        ("users.csv", "Tr0ub,foo,{}\n"),
        ("users.csv", "name,email,password\nTr0ub,{}\n"),
        ("users.csv", 'name,email,password\nTr0ub,foo,"{}"x\n'),
        ("users.csv", 'name,email,password\nTr0ub,foo,"{}\n'),
    ],
)
@pytest.mark.parametrize(
    "password", ["xyzzy", "letmein123", "tr0ub-xyzzy", "xyzzy" * 300, "xyzzy \u202e plugh"]
)
def test_a_password_that_is_refused_is_not_shown(name: str, data: str, password: str) -> None:
    problems = lines(data.format(password).encode(), name)

    assert problems
    assert not [line for line in problems if password in line or password[:5] in line]
