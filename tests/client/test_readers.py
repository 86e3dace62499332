"""Readers return any value as it was written, in each format, and no input makes them crash."""

import io
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.client.bad_files.of_csv import CSV
from tests.client.bad_files.of_json import JSON, JSON_LINES
from tests.client.bad_files.of_yaml import YAML
from tests.client.bad_files.people import (
    WRITERS,
    Row,
    as_written,
    checked,
    passwords,
    rows,
)
from tests.client.bad_files.reading import lines, read

from anyscale.domain.validation import CheckedUser, Policy
from anyscale.users_file import UsersFile, format_of
from anyscale.users_file.field_words import boolean_fault

every_format = pytest.mark.parametrize(
    "name", ["users.yaml", "users.json", "users.jsonl", "users.csv"]
)

MANAGER = '{"email": "jane@example.com", "title": "Manager"}'

PLACE_IN_A_FILE = ["create_users:\n- name: Jane\n  ", "name,email\n", '{"create_users": [', ""]


# Most of the time goes into making the users, so each example has all writers write the same ones.


def users_of_files(people: list[Row]) -> dict[str, list[CheckedUser | None]]:
    """Return the users that each format can express, by the name of its file."""
    names = {name for name, _ in WRITERS.values()}
    return {name: [checked(as_written(name, row)) for row in people] for name in names}


@given(people=rows)
def test_users_come_back_as_every_writer_wrote_them(people: list[Row]) -> None:
    expected = users_of_files(people)
    for title, (name, write) in WRITERS.items():
        users, reading = read(write(people).encode(), name)

        assert reading.problems == [], title
        assert users == expected[name], title
        assert reading.take_passwords() == passwords(people), title
        assert reading.take_passwords() == []


@settings(max_examples=30)
@given(people=rows, mark=st.booleans())
def test_a_byte_order_mark_changes_nothing(people: list[Row], mark: bool) -> None:
    expected = users_of_files(people)
    for title, (name, write) in WRITERS.items():
        text = write(people).encode("utf-8-sig" if mark else "utf-8")

        assert read(text, name)[0] == expected[name], title


@settings(max_examples=30)
@given(people=rows, data=st.data())
def test_a_problem_has_the_place_of_the_email(people: list[Row], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(people) - 1))
    people[index]["email"] = "oopsoops"
    for title, (name, write) in WRITERS.items():
        text = write(people)

        _users, reading = read(text.encode(), name)

        (problem,) = reading.problems
        assert (problem.index, problem.field, problem.code) == (index, "email", "email_invalid")
        assert problem.line, title
        assert problem.column, title
        there = text.split("\n")[problem.line - 1][problem.column - 1 :]
        assert there.removeprefix('"').removeprefix("'").startswith("oopsoops"), title


@settings(max_examples=30)
@given(people=rows)
def test_a_reading_knows_the_place_of_each_valid_email(people: list[Row]) -> None:
    for number, row in enumerate(people):
        row["email"] = f"oops{number}@example.com"
    for title, (name, write) in WRITERS.items():
        text = write(people)
        _users, reading = read(text.encode(), name)

        for index in range(len(people)):
            place = reading._entries.place_of_email(index)
            there = text.split("\n")[place.line - 1][place.column - 1 :]
            assert there.lstrip("\"'").startswith(f"oops{index}@"), title


@pytest.mark.parametrize(
    ("written", "field", "value"),
    [
        ("name: No", "name", "No"),
        ("name: Yes", "name", "Yes"),
        ("name: ~x", "name", "~x"),
        ("name: 007", "name", "007"),
        ("name: 'null'", "name", "null"),
        ('name: "NULL"', "name", "NULL"),
        ("name: nULL", "name", "nULL"),
        ("name: Jane   # a comment", "name", "Jane"),
        ("password: 0846235170x", "password", "0846235170x"),
        ("password: 08462351709", "password", "08462351709"),
        ("password: 1e1000000", "password", "1e1000000"),
        ("password: .0846235", "password", ".0846235"),
        ("password: null", "password", None),
        ("password: ~", "password", None),
        ("password:", "password", None),
        ("password: ''", "password", None),
        ("password: abc#defgh", "password", "abc#defgh"),
        ("password: a:b:c:d:e:f", "password", "a:b:c:d:e:f"),
        ("title: 12:30:45", "title", "12:30:45"),
        ("title: 2026-01-02", "title", "2026-01-02"),
        ("title: true", "title", "true"),
        ("title: 0x1F", "title", "0x1F"),
        ("title: null", "title", None),
        ("title: ~", "title", None),
        ("title:", "title", None),
        ("title: ''", "title", ""),
        ("title: 'null'", "title", "null"),
        ("title: >-\n    Head\n    of all", "title", "Head of all"),
        ("title: Head\n    of all", "title", "Head of all"),
        ("lastname: null", "lastname", None),
        ("lastname: off", "lastname", "off"),
        ("lastname: ''", "lastname", ""),
    ],
)
def test_a_plain_yaml_text_is_the_text_as_it_is_written(
    written: str, field: str, value: str | None
) -> None:
    name = "" if field == "name" else "  name: Jane\n"
    text = f"create_users:\n- email: jane@example.com\n{name}  {written}\n"

    (user,), reading = read(text.encode())

    assert reading.problems == []
    if field == "password":
        assert reading.take_passwords() == ([] if value is None else [(0, value)])
    else:
        assert getattr(user, field) == value


@pytest.mark.parametrize(
    ("word", "value"),
    [(word, True) for word in ("true", "yes", "on", "True", "YES", "On", "TRUE")]
    + [(word, False) for word in ("false", "no", "off", "False", "No", "OFF", "FALSE")],
)
def test_is_sso_user_takes_the_yaml_words_in_any_case(word: str, value: bool) -> None:
    text = f"create_users:\n- name: J\n  email: jane@example.com\n  is_sso_user: {word}\n"

    (user,), _reading = read(text.encode())

    assert user.is_sso_user is value


@pytest.mark.parametrize("word", ["tRUE", "yEs", "oN", "fALSE", "nO", "oFf"])
def test_is_sso_user_takes_odd_spellings_too_in_yaml_and_csv(word: str) -> None:
    value = word.lower() in ("true", "yes", "on")
    for name, text in (
        ("users.yaml", f"create_users: [{{name: J, email: j@x.com, is_sso_user: {word}}}]\n"),
        ("users.csv", f"name,email,is_sso_user\nJ,j@x.com,{word}\n"),
    ):
        (user,), _reading = read(text.encode(), name)
        assert user.is_sso_user is value


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (
            "WAHR VRAI VERDADERO VERO WAAR VERDADEIRO PRAWDA ИСТИНА 1 ja oui sí sì si sim tak да",
            True,
        ),
        ("FALSCH FAUX FALSO ONWAAR FAŁSZ ЛОЖЬ 0 nein non nee não nie нет", False),
    ],
)
def test_csv_takes_the_booleans_of_spreadsheets_in_any_case(words: str, value: bool) -> None:
    for word in words.split():
        for text in (word, word.lower(), word.title(), f" {word} "):
            data = f"name;email;is_sso_user\nJ;j@x.com;{text}\n".encode()
            (user,), _reading = read(data, "users.csv")
            assert user.is_sso_user is value
            for name in ("users.yaml", "users.json"):
                entry = f'{{"name": "J", "email": "j@x.com", "is_sso_user": {text}}}'
                entry = f'{{"create_users": [{entry}]}}'
                assert read(entry.encode(), name)[1].problems


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("email", "E-Mail,e mail,Email Address,E-Mail-Adresse,MAIL,Courriel,Correo electrónico"),
        ("email", "indirizzo e-mail,E-mailadres,Endereço de e-mail,adres e-mail,Почта"),
        ("name", "First name,FIRSTNAME,first_name,Given Name,Vorname,Prénom,Prenom,Nombre,Nome"),
        ("name", "Voornaam,Imię,Имя"),
        ("lastname", "Last Name,last-name,Surname,Family Name,Nachname,Familienname,Nom"),
        ("lastname", "Apellidos,Cognome,Achternaam,Sobrenome,Nazwisko,Фамилия"),
        ("title", "Job Title,job_title,Titel,Titre,Título,Cargo,Titolo,Stanowisko,Должность"),
        ("external_id", "Personalnr,Personalnr.,Personal-Nr.,Personalnummer,PersNr,Mitarbeiter-ID"),
        ("external_id", "Mitarbeiternummer,Employee ID,employee_id,Employee No.,EmployeeNumber"),
        ("external_id", "Staff ID,Personnel Number,Matricule,Matricola,Personeelsnummer"),
        ("is_sso_user", "SSO,Is SSO user,is-sso,Single Sign-On"),
        ("password", "Passwort,Kennwort,Mot de passe,Contraseña,Wachtwoord,Senha,Hasło,Пароль"),
    ],
)
def test_a_word_of_another_language_is_taken_beside_a_column_that_stands_for_no_field(
    field: str, names: str
) -> None:
    for name in names.split(","):
        others = [other for other in ("name", "email") if other != field]
        header = ";".join([*others, name, "Abteilung"])
        cells = ["jane@example.com" if other == "email" else "Jane" for other in others]
        for word in (name, f" {name.upper()} ", unicodedata.normalize("NFD", name)):
            text = f"{header}\n{';'.join([*cells, '', ''])}\n".replace(name, word)
            csv = "\n".join(lines(text.encode(), "users.csv"))
            assert re.findall("unknown column '(.*?)'", csv) == ["Abteilung"], csv
            entry = f'{{"create_users": [{{"{word}": "x"}}]}}'
            for file in ("users.json", "users.yaml"):
                assert f"did you mean {field!r}?" in "".join(lines(entry.encode(), file))


@pytest.mark.parametrize("name", ["good.xlsx", "users.txt", "-"])
@pytest.mark.parametrize("header", ["name,email", "Name;E-Mail", "Vorname\tNachname\tMail"])
def test_csv_that_is_read_as_yaml_gets_a_hint(name: str, header: str) -> None:
    first = lines(f"{header}\nJane,jane@example.com\n".encode(), name)[0]

    assert first.endswith("; if the file is CSV, use --format csv"), first


@pytest.mark.parametrize("name", ["em.txt", "-"])
@pytest.mark.parametrize("header", ["email", "Titel;E-Mail"])
def test_a_comparison_hints_at_csv_if_the_file_names_only_the_email(name: str, header: str) -> None:
    data = f"{header}\njane@example.com\n".encode()
    hint = "; if the file is CSV, use --format csv"

    assert lines(data, name, verify=True)[0].endswith(hint)
    assert not lines(data, name)[0].endswith(hint)  # creating users requires their names


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hr.csv", "email;title\njane@example.com;Manager\nzoe@example.com;\n"),
        ("hr.jsonl", MANAGER + '\n{"email": "zoe@example.com"}\n'),
        ("hr.json", "[" + MANAGER + ', {"title": null, "email": "zoe@example.com"}]'),
        (
            "hr.yaml",
            (
                "create_users:\n- email: jane@example.com\n  title: Manager\n"
                "- email: zoe@example.com\n"
            ),
        ),
        (
            "flow.yaml",
            "create_users: [{email: jane@example.com, title: Manager}, {email: zoe@example.com}]",
        ),
    ],
)
def test_an_email_is_enough_for_a_comparison_in_every_format(name: str, text: str) -> None:
    users, reading = read(text.encode(), name, verify=True)
    assert reading.problems == []
    assert [(user.email, user.title or None) for user in users] == [
        ("jane@example.com", "Manager"),
        ("zoe@example.com", None),
    ]
    assert "name" in lines(text.encode(), name)[0]  # creating users requires it


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", "email,name\njane@example.com,\n", ":2:18: jane@example.com, name: is empty"),
        ("a.yaml", "create_users: [{email: a@b.example, name: null}]", ".name: is empty"),
        ("a.yaml", "create_users:\n- name:\n  email: a@b.example\n- x\n", ".name: is empty"),
        ("a.jsonl", '{"name": null, "email": "a@b.example"}', ".name: is empty"),
        ("a.jsonl", '{"name": " ", "email": "a@b.example"}', ".name: is blank"),
        ("a.jsonl", '{"title": "Boss"}', "create_users[0].email: is missing"),
        ("a.csv", "title\nBoss\n", "there is no column 'email': the first line must name the "),
    ],
)
def test_an_empty_name_and_a_missing_email_are_problems_also_in_a_comparison(
    name: str, text: str, problem: str
) -> None:
    assert problem in lines(text.encode(), name, verify=True)[0]


def test_a_comparison_names_an_unknown_column_beside_the_email() -> None:
    unknown = "unknown column 'Abteilung': rename it to one of "
    first, *others = lines(b"email;Abteilung\njane@example.com;x\n", "users.csv", verify=True)

    assert first.startswith(f"users.csv:1:7: {unknown}")
    assert others == []


def test_a_comparison_shows_no_cell_of_a_user_called_email() -> None:
    text = "\n".join(lines(b"email,jane@example.com,correct-horse\n", "users.csv", verify=True))

    assert "unknown column: " in text
    assert "correct-horse" not in text


@pytest.mark.parametrize("text", ['[{"name": "Jane"}]', ' [\n{"name": "Jane"}\n]'])
def test_json_that_is_read_as_yaml_gets_a_hint(text: str) -> None:
    (problem,) = lines(text.encode(), "-")

    assert problem.endswith("; if the file is JSON, use --format json"), problem


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("users.yaml", "create_users: []\n"),
        ("users.yaml", '{"create_users": [ ] }'),
        ("users.json", '{"create_users": []}'),
        ("users.json", " [ ]\n"),
        ("users.csv", "name,email\n"),
    ],
)
def test_a_file_may_hold_no_users(name: str, text: str) -> None:
    users, reading = read(text.encode(), name)

    assert (users, reading.problems) == ([], [])


def test_a_problem_names_nobody_by_a_field_that_may_be_another() -> None:
    swapped = b"name,lastname,email\nann@example.com,Roe,Ann\nBen,Berg,ben\n"
    _, reading = read(swapped, "users.csv")
    assert [(one.code, one.person) for one in reading.problems] == [
        ("email_invalid", ""),
        ("email_invalid", "Ben Berg"),
    ]


def test_csv_columns_come_in_any_order_and_blank_lines_are_skipped() -> None:
    (jane, joe), reading = read(
        b"email,title,name\r\n\r\njane@example.com,Boss,Jane\r\n\njoe@example.com,,Joe", "users.csv"
    )

    assert reading.problems == []
    assert (jane.name, jane.title) == ("Jane", "Boss")
    assert (joe.name, joe.title) == ("Joe", None)


@pytest.mark.parametrize(
    "header",
    [
        "Name,Email,Is_SSO_User,Lastname",
        " NAME , EMAIL ,\tis_sso_user , LastName ",
        '"Name"," Email ","IS_SSO_USER",lastname',
    ],
)
def test_csv_columns_are_known_in_any_case_and_with_blanks_around(header: str) -> None:
    (jane,), reading = read(f"{header}\nJane,jane@example.com,yes,Doe".encode(), "users.csv")

    assert reading.problems == []
    assert (jane.name, jane.email) == ("Jane", "jane@example.com")
    assert (jane.is_sso_user, jane.lastname) == (True, "Doe")


@pytest.mark.parametrize(
    "header", ['"Name";"E-Mail (work, not private)"', '"E-Mail\n(work, a;b)";Name']
)
def test_separators_and_line_ends_in_the_quotes_of_a_header_separate_no_columns(
    header: str,
) -> None:
    row = "jane@example.com;Jane" if header.endswith("Name") else "Jane;jane@example.com"

    (jane,), reading = read(f"{header}\n{row}\n".encode(), "users.csv")

    assert reading.problems == []
    assert (jane.name, jane.email) == ("Jane", "jane@example.com")
    line, _ = reading._entries.place_of_email(0)
    assert line == header.count("\n") + 2


def test_a_quote_in_a_header_leaves_the_lines_below_it_their_numbers() -> None:
    _, reading = read(b'name,email,title "\nJane,jane@example.com,\nJoe,oops,\n', "users.csv")

    assert [problem.line for problem in reading.problems] == [3]


def test_empty_csv_columns_are_skipped() -> None:
    (jane, joe), reading = read(
        b"name,,email,,\nJane,,jane@example.com,,\nJoe,,joe@example.com,,", "users.csv"
    )

    assert reading.problems == []
    assert (jane.email, joe.email) == ("jane@example.com", "joe@example.com")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line", ["sep={}\n", "SEP={}\r\n", '"sep={}"\n', "\ufeffsep={}\r\n"])
def test_a_line_that_tells_excel_the_separator_is_skipped(line: str, separator: str) -> None:
    text = f"{line}name{{}}email\nJane{{}}jane@example.com\n".replace("{}", separator)

    (jane,), reading = read(text.encode(), "users.csv")

    assert reading.problems == []
    assert (jane.name, jane.email) == ("Jane", "jane@example.com")


def test_the_format_follows_the_file_name_and_is_yaml_by_default() -> None:
    names = ["a.YAML", "a.yml", "a.json", "a.JSONL", "a.ndjson", "a.csv", "a.txt", "a", "csv", "-"]

    assert [format_of(name) for name in names] == [
        *("yaml", "yaml", "json", "jsonl", "jsonl", "csv", "yaml", "yaml", "yaml", "yaml")
    ]


# A spreadsheet writes the sign and two digits of an exponent; the others are more than a number.
ALMOST = [
    "8E3",
    "1.5E3",
    "3,14E159",
    "8,4E",
    "18.4E5x",
    "18,46235E+10",
    "8.46e+10",
    "#N/A!",
    "#NVx",
    "# NV",
    "#name?",
]


@pytest.mark.parametrize("text", ALMOST)
def test_a_csv_text_that_only_looks_like_a_damaged_cell_is_a_text(text: str) -> None:
    (user,), reading = read(f"name;email\n{text};j@x.com\n".encode(), "users.csv")

    assert (user.name, reading.problems) == (text, [])


def test_a_comparison_looks_at_no_damaged_password_of_csv() -> None:
    data = io.BytesIO(b"name;email;password\nJ;j@x.com;8,46235E+10\n")
    reading = UsersFile(data, "users.csv", "csv").reading(Policy(), verify=True)

    assert (len(list(reading)), reading.problems) == (1, [])


@pytest.mark.parametrize("text", ["8,46235E+10", "#NV", "#N/A"])
def test_what_a_spreadsheet_writes_is_a_text_in_other_formats(text: str) -> None:
    entry = f'{{"name": "{text}", "email": "j@x.com"}}'
    for name, data in (("users.yaml", f"create_users: [{entry}]"), ("users.jsonl", entry)):
        (user,), _reading = read(data.encode(), name)
        assert user.name == text


# --- no input makes a reader crash


def assert_only_problems_come_of(data: bytes, name: str) -> None:
    users, reading = read(data, name)

    assert all(isinstance(user, CheckedUser) for user in users)
    for problem in reading.problems:
        assert problem.line
        assert problem.column
        assert problem.line >= 1
        assert problem.column >= 1
        # Editors show one more line after the last line end.
        assert problem.line <= data.count(b"\n") + data.count(b"\r") + 2
        assert "\n" not in str(problem)
        assert str(problem).isprintable()
    places = [(problem.line or 0, problem.column or 0) for problem in reading.problems]
    assert places == sorted(places)


@every_format
@given(data=st.binary(max_size=200))
@example(data=b"\xef\xbb\xbf")
@example(data=b"\xef\xbb")
@example(data=b"\x00")
def test_no_binary_makes_a_reader_crash(name: str, data: bytes) -> None:
    assert_only_problems_come_of(data, name)


PIECES = [
    *(
        "create_users",
        ":",
        ": ",
        " ",
        "  ",
        "\n",
        "\n  ",
        "\n- ",
        "- ",
        "name",
        "email",
        "password",
    ),
    *("is_sso_user", "title", "[", "]", "{", "}", ",", ";", "\t", '"', "'", "\\", "\\u", "d800"),
    *("null", "true", "~", "Null", "&a", "*a", "!a", "!!", "<<", "?", "|", ">", "#", "%", "@", "`"),
    *("a@b.co", "Jane", "é", "\ufeff", "\u2028", "\x85", "\0", "\x07", "\r", "\r\n", "1", "-1e5"),
    *("---", "...", "NaN", "//", '"name": ', '"email": ', '{"create_users": [', "]}", '""', ",,"),
    *("name,email", "name;email\n", "create_users:\n- name: Jane\n  email: ", "\ud800", "👩‍👩‍👧"),
]


@every_format
@given(start=st.sampled_from(PLACE_IN_A_FILE), pieces=st.lists(st.sampled_from(PIECES)))
@example(start='{"create_users": [', pieces=['{"password": true}]}'])
@example(start="name,email,title\n", pieces=['Ja"ne,a@b.co,5" pipe'])
def test_no_text_like_a_users_file_makes_a_reader_crash(
    name: str, start: str, pieces: list[str]
) -> None:
    data = (start + "".join(pieces)).encode("utf-8", "surrogatepass")

    assert_only_problems_come_of(data, name)


#: in thousandths of a file, how many bytes are replaced there, and by what
CHANGES = st.lists(
    st.tuples(
        st.integers(0, 1_000),
        st.integers(0, 5),
        st.sampled_from(PIECES).map(lambda piece: piece.encode("utf-8", "surrogatepass"))
        | st.binary(max_size=3),
    ),
    min_size=1,
    max_size=3,
)


@given(people=rows, changes=CHANGES)
def test_no_change_to_a_valid_file_makes_a_reader_crash(
    people: list[Row], changes: list[tuple[int, int, bytes]]
) -> None:
    for name, write in WRITERS.values():
        text = bytearray(write(people).encode())
        for place, length, piece in changes:
            at = place * len(text) // 1_000
            text[at : at + length] = piece

        assert_only_problems_come_of(bytes(text), name)


@every_format
@pytest.mark.parametrize("other", [YAML, JSON, JSON_LINES, CSV], ids=["yaml", "json", "jl", "csv"])
def test_a_file_read_in_another_format_has_only_problems(name: str, other: list[Any]) -> None:
    for bad in other:
        assert_only_problems_come_of(bad.data[:100_000], name)


# --- the same bytes always give the same result


class Trickle(io.BytesIO):
    """Returns a few bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        super().__init__(data)
        self._sizes = sizes
        self._turn = 0

    def read(self, size: int | None = -1) -> bytes:
        self._turn += 1
        few = self._sizes[self._turn % len(self._sizes)]
        return super().read(few if size is None or size < 0 else min(size, few))


def read_slowly(data: bytes, name: str, sizes: list[int]) -> tuple[list[CheckedUser], list[str]]:
    reading = UsersFile(Trickle(data, sizes), name, format_of(name)).reading(Policy())
    return list(reading), [str(problem) for problem in reading.problems]


@pytest.mark.parametrize("bads", [YAML, JSON, JSON_LINES, CSV], ids=["yaml", "json", "jl", "csv"])
@pytest.mark.parametrize("sizes", [[1], [3, 1, 7]])
def test_a_bad_file_in_small_pieces_has_the_same_problems(
    bads: list[Any], sizes: list[int]
) -> None:
    for bad in bads:
        if len(bad.data) < 10_000:
            assert read_slowly(bad.data, bad.file, sizes)[1] == bad.lines


@settings(max_examples=30)
@given(people=rows, sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_a_valid_file_in_small_pieces_has_the_same_users(
    people: list[Row], sizes: list[int]
) -> None:
    for title, (name, write) in WRITERS.items():
        data = write(people).encode("utf-8-sig")

        assert read_slowly(data, name, sizes) == (read(data, name)[0], []), title


@every_format
def test_places_stay_right_over_many_chunks(name: str) -> None:
    """A file of many pieces, each of which ends inside a user."""
    count = 30_000 if ".json" in name else 6_000  # JSON is read in pieces of a MB
    text = {
        "users.yaml": "create_users:\n"
        + "".join(f"- name: Zoë {n}\n  email: zoë{n}@example.com\n" for n in range(count))
        + "- {name: Zoë, email: zoë}\n",
        "users.json": '{"create_users": ['
        + "".join(f'{{"name": "Zoë {n}", "email": "z{n}@example.com"}},\n' for n in range(count))
        + '{"name": "Zoë", "email": "zoë"}]}',
        "users.jsonl": "".join(
            f'{{"name": "Zoë {n}", "email": "z{n}@example.com"}}\n' for n in range(count)
        )
        + '{"name": "Zoë", "email": "zoë"}\n',
        "users.csv": "name,email\n"
        + "".join(f"Zoë {n},z{n}@example.com\n" for n in range(count))
        + "Zoë,zoë\n",
    }[name]
    before, _quote, _after = text.rpartition("zoë")
    place = before.count("\n") + 1, len(before) - before.rfind("\n") - name.startswith("users.j")

    entry = "Zoë, email" if name == "users.csv" else f"create_users[{count}].email"
    assert lines(text.encode(), name) == [
        f"{name}:{place[0]}:{place[1]}: {entry}: 'zoë' is not an email address"
    ]


@pytest.mark.parametrize(
    "above", ["\n", ",,\n", ";;;\r\n\r\n", '"","",""\n', "sep=;\n;;\n", "\n\nsep=;\n", " \n"]
)
def test_empty_rows_above_the_header_are_skipped(above: str) -> None:
    text = f"{above}name;email;title\nAnn;ann@example.com;\nJoe;joe;\n"
    reading = UsersFile(io.BytesIO(text.encode()), "users.csv", "csv").reading(Policy())

    assert [user.email for user in reading] == ["ann@example.com"]
    (problem,) = reading.problems
    assert (problem.line, problem.column) == (above.count("\n") + 3, 5)


def test_rows_of_empty_cells_are_skipped() -> None:
    text = b"name;email;title\nAnn;ann@example.com;\n;;\n;;\n"
    reading = UsersFile(io.BytesIO(text), "users.csv", "csv").reading(Policy())

    assert [user.email for user in reading] == ["ann@example.com"]
    assert reading.problems == []


JANE = '{"name": "Jane", "email": "jane@example.com"}'
ANN = '{"name": "Ann", "email": "ann@example.com"}'
BLANK = 3 << 20
COMMAS = ("," * 63 + "\n") * (BLANK >> 6)
BLANK_LINES = COMMAS.replace(",", " ")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.csv", f"name,email\nJane,jane@example.com\n{COMMAS}Ann,ann@example.com\n"),
        ("x.csv", f"{BLANK_LINES}name,email\nJane,jane@example.com\nAnn,ann@example.com\n"),
        ("x.yaml", f"create_users:\n- {JANE}\n" + "\n" * BLANK + f"- {ANN}\n"),
        ("x.yaml", f"create_users:\n- {JANE}\n" + "  # a comment\n" * (BLANK >> 3) + f"- {ANN}\n"),
        ("x.jsonl", f"{JANE}\n" + "\n" * BLANK + f"{ANN}\n"),
        # The last entry is cut by the end of what is read at a time.
        ("x.jsonl", f"{JANE}\n".ljust((2 << 20) - 20) + f"{ANN}\n"),
        ("x.json", f'{{"create_users": [{JANE}' + "\n" * BLANK + f",{ANN}]}}"),
        ("x.json", f'{{"create_users": [{JANE},' + "\n" * BLANK + f"{ANN}]}}"),
        ("x.json", f'{{"create_users": [{JANE},'.ljust((2 << 20) - 20) + f"{ANN}]}}"),
        ("x.json", f"[{JANE},".ljust((2 << 20) - 20) + "\n" * BLANK + f"{ANN}]"),
        ("x.json", '{"create_users":' + "\n" * BLANK + f"[{JANE},{ANN}]}}"),
    ],
)
def test_blank_rows_and_lines_are_skipped_in_any_amount(name: str, text: str) -> None:
    file = UsersFile(io.BytesIO(text.encode()), name, format_of(name))
    reading = file.reading(Policy())
    assert [user.name for user in reading] == ["Jane", "Ann"]
    assert not reading.problems


def test_blank_lines_of_yaml_are_bounded() -> None:
    text = f"create_users:\n- {JANE}\n" + "\n" * (20 << 20) + f"- {ANN}\n"
    reading = UsersFile(io.BytesIO(text.encode()), "x.yaml", "yaml").reading(Policy())
    list(reading)
    assert [problem.code for problem in reading.problems] == ["too_long"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_places_in_yaml_count_every_kind_of_line_end(end: str) -> None:
    # With blanks that put a line end in the middle of CRLF at the end of a piece.
    lines = ["create_users:", f"- {JANE}", f"- {ANN}", "# " + "x" * 70_000, "# \0"]
    for blanks in range(3):
        text = end.join(["#" + " " * blanks, *lines])
        reading = UsersFile(io.BytesIO(text.encode()), "x.yaml", "yaml").reading(Policy())
        list(reading)
        assert [(problem.line, problem.column) for problem in reading.problems] == [(6, 3)]


@pytest.mark.parametrize(
    ("value", "is_shown"), [("nein", True), ("a1b2", False), ("secret", False), ("2", True)]
)
def test_a_wrong_boolean_is_shown_if_it_is_a_short_word_or_symbol(
    value: str, is_shown: bool
) -> None:
    assert (repr(value) in boolean_fault(value, "say true", None)) is is_shown
