"""Plain entries of YAML are read by a pattern, which never changes what a file means."""

import io
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.client.bad_files.of_bytes import BYTES
from tests.client.bad_files.of_yaml import YAML
from yaml import SafeLoader

from anyscale.domain.validation import FIELDS, CheckedUser, Policy
from anyscale.users_file import UsersFile, input_stream, yaml_plain_entries, yaml_reader
from anyscale.users_file.entry_collector import EntryCollector
from anyscale.users_file.input_stream import InputStream
from anyscale.users_file.reading_options import ReadingOptions
from anyscale.users_file.yaml_plain_entries import PlainEntries

# A value a line, as files have them: plain ones, and those that mean something else than they look
# like. Here ⏎ is a line end, → a tab, · a blank and ° a no-break space.
_WRITTEN = """\
Jane
Zoë
O'Brien
Head of R&D
C#
a#b
a:b
12:30:45
007
+1
-1
_a
x~
~a
·
~
null
Null
NULL
nULL
'null'
"~"
true
'true'
No
a··b
a→b
a·
a→
·a
a #b
a # b
a: b
a:
a :b
:a
#a
a°
°a
a°b
a#b→c
a#b: c
a:b #c
a:→b
a°#b
a:°b
''
'a'
'·a·'
'a: b'
'a # b'
'a''b'
'a'b
'a
'a'·
'a' # b
'a→b'
'\\'
'"'
""
"a"
"·a·"
"a: b"
"a # b"
"a\\n"
"a\\"b"
"\\x41"
"a"b
"a"b"
"a
"a"·
"'"
²
٣
ﬀ
é
́
👩
a⏎    b
a⏎   - b
a⏎- b
a⏎  b: c
|⏎    a
>-⏎    a
'a⏎    b'
'a⏎- name: b'
"a⏎- name: b"
&a b
*a
!a b
[a]
{a: b}
[a
a]
a, b
? a
- a
@a
`a
%a
|
>
<<
...
---
a...

"""
_SIGNS = str.maketrans({"⏎": "\n", "→": "\t", "·": " ", "°": "\u00a0"})
VALUES = [line.translate(_SIGNS) for line in _WRITTEN.splitlines()]
#: for the other fields: mostly plain ones, too
EMAILS = ["jane@example.com"] * 20 + ["JANE@example.com", "'a@b.co'", "zoë@exämple.com", "a@b", "~"]
FLAGS = ["true", "true", "no", "Off", "yes", "FALSE", "on", "~", "'yes'", "NULL", "1"]
PASSWORDS = ["''", '""', "~", "", "correct horse", "'correct horse'", "horse #7: stable", "horse"]


def lines(key: str, values: list[str]) -> st.SearchStrategy[str]:
    """Draw a field of an entry."""
    plain = [f"{key}: {value}\n" for value in values]
    blanks = [f"{key}:{blank}{value}\n" for value in values for blank in ("  ", "", "\t")]
    ends = ["", " \n", "\n\n", "\n# a\n", "\n    # a\n", "\r"]
    odd = blanks + [f"{key}: {value}{end}" for value in values for end in ends]
    return st.sampled_from(plain * 100 + odd)


FIELD_LINES = st.one_of(
    lines("lastname", VALUES[:10]),
    lines("lastname", VALUES),
    lines("title", VALUES[:10]),
    lines("title", VALUES),
    lines("password", PASSWORDS),
    lines("is_sso_user", FLAGS),
)
OTHER_LINES = st.sampled_from(["name: b\n", "email: b@b.co\n", "x: y\n", "'title': a\n", "- a\n"])


@st.composite
def entries(draw: st.DrawFn, indent: str) -> str:
    """Draw an entry that is plain, or nearly."""
    before = f"{indent}  "
    before_last = st.sampled_from([before] * 9 + [indent, f"{indent}   ", f"{indent}\t"])
    fields = draw(st.lists(FIELD_LINES, max_size=4, unique_by=lambda line: line.split(":")[0]))
    fields += draw(st.sampled_from([True] + [False] * 9)) * [draw(OTHER_LINES)]
    required = [draw(lines("name", VALUES[:10])), draw(lines("email", EMAILS))]
    first, *others, last = draw(st.permutations([*fields, *required]))
    middle = "".join(f"{before}{line}" for line in others)
    return f"{indent}- {first}{middle}{draw(before_last)}{last}"


@st.composite
def files(draw: st.DrawFn) -> str:
    """Draw a text that is a users file, or nearly."""
    above = draw(st.sampled_from([""] * 15 + ["---\n", "# a\n\n", "---\n---\n", "%YAML 1.1\n"]))
    top = draw(st.sampled_from([""] * 19 + [" ", " # a"]))
    many = draw(st.lists(entries(draw(st.sampled_from(["", "  "]))), min_size=1, max_size=5))
    below = draw(st.sampled_from([""] * 5 + ["...\n", "---\n", "x: y\n", "create_users: []", "\0"]))
    return f"{above}create_users:{top}\n{''.join(many)}{below}"


ONE, TWO = (f"- name: {letter}\n  email: {letter}@b.co\n" for letter in "ab")


@contextmanager
def parser_alone() -> Iterator[None]:
    """Let the parser read every entry."""
    with mock.patch.object(yaml_plain_entries, "_HEADER", re.compile("(?!)")):
        yield


def everything(
    data: bytes, *, verify: bool
) -> tuple[list[CheckedUser], list[str], list[Any], list[Any]]:
    """Return the users of a file, their problems, passwords and places."""
    file = UsersFile(io.BytesIO(data), "users.yaml", "yaml")
    reading = file.reading(Policy(), verify=verify)
    users = list(reading)
    places = [reading._entries.place_of_email(index) for index in range(reading._entries.count)]
    return users, list(map(str, reading.problems)), reading.take_passwords(), places


def assert_pattern_and_parser_agree(text: str, *, verify: bool = False) -> None:
    data = text.encode("utf-8", "surrogateescape")
    with parser_alone():
        expected = everything(data, verify=verify)

    assert everything(data, verify=verify) == expected, text


@settings(max_examples=100)
@given(text=files(), piece=st.sampled_from([1 << 16, 200, 50]))
def test_a_file_means_what_the_parser_says(text: str, piece: int) -> None:
    with mock.patch.object(input_stream, "_PIECE", piece):
        assert_pattern_and_parser_agree(text)


@pytest.mark.parametrize(
    "other",
    [
        "name: b\n",
        "  - b\n",
        "   title: b\n",
        "  email: b@b.co\n",
        "  titles: b\n",
        "  title:b\n",
        "-  name: c\n  email: c@b.co\n",
        "- name: b\n",
    ],
)
def test_a_line_of_another_form_below_an_entry_means_what_the_parser_says(other: str) -> None:
    assert_pattern_and_parser_agree(f"create_users:\n{ONE}{other}{TWO}")


@pytest.mark.parametrize(
    "beginning",
    ["", "-", "- ", "- n", "- na", "- name: c\n  em", "- {name: c, email: c@b.co}\n- d\n- e"],
)
def test_a_forbidden_character_ends_the_users_where_it_does_for_the_parser(beginning: str) -> None:
    assert_pattern_and_parser_agree(f"create_users:\n{ONE}{TWO}{beginning}\0")


@pytest.mark.parametrize("other", ["- {name: c, email: c@b.co}\n", "-\n  name: c\n", "- c\n"])
def test_an_entry_that_never_ends_is_too_long_where_it_is_for_the_parser(other: str) -> None:
    never_ends = "- name: '" + "a" * (input_stream.MAX_ENTRY + (1 << 17))

    assert_pattern_and_parser_agree(f"create_users:\n{ONE}{TWO}{other}{never_ends}")


@pytest.mark.parametrize("field", FIELDS)
def test_a_value_means_what_the_parser_says(field: str) -> None:
    rest = {"name": "name: Jane\n", "email": "email: jane@example.com\n"}
    others = [line for other, line in rest.items() if other != field]
    for value in [*VALUES, "a" * 300]:
        entry = "  ".join([f"- {field}: {value}\n", *others])
        assert_pattern_and_parser_agree(f"create_users:\n{entry}{TWO}")


@pytest.mark.parametrize("field", ["password", "title"])
def test_a_value_means_what_the_parser_of_python_says(field: str) -> None:
    """Use it as without libyaml, to compare users: no rule of passwords refuses a value then."""
    with mock.patch.object(yaml_reader, "Parser", SafeLoader):
        for value in VALUES:
            text = f"create_users:\n{ONE}  {field}: {value}\n{TWO}"
            assert_pattern_and_parser_agree(text, verify=True)


@pytest.mark.parametrize("indent", ["\t", "\u00a0", " " * 9])
def test_another_indentation_means_what_the_parser_says(indent: str) -> None:
    assert_pattern_and_parser_agree(f"create_users:\n{textwrap.indent(ONE + TWO, indent)}")


@pytest.mark.parametrize("bad", [*YAML, *BYTES], ids=lambda bad: bad.what)
def test_a_bad_file_after_plain_entries_has_the_problems_that_the_parser_finds(bad: Any) -> None:
    text = bad.data.decode("utf-8", "surrogateescape")
    plain = "".join(f"- name: N\n  email: n{number}@example.com\n" for number in range(20))

    assert_pattern_and_parser_agree(text.replace("create_users:\n", f"create_users:\n{plain}", 1))


def left_to_the_parser(text: str, policy: Policy | None = None) -> str:
    """Read the plain entries of a text; return what the parser gets, without its blank lines."""
    collector = EntryCollector(ReadingOptions("users.yaml", policy or Policy()))
    plain = PlainEntries(InputStream(io.BytesIO(text.encode()), "users.yaml", yaml=True), collector)
    users = list(plain.users())
    rest = b"".join(iter(plain.read, b"")).decode()
    header = text[: text.index("\n", text.index("create_users:"))]
    left = rest.removeprefix(header).lstrip("\n")
    assert rest.startswith(header)
    assert rest.count("\n") == text.count("\n")
    assert text.endswith(left)
    assert len(users) == collector.count
    return left


ENTRY = """\
- name: Jane
  email: jane{0}@example.com
  password: ''
  is_sso_user: True
  lastname: O'Brien
  external_id: 00{0}
  password_hash: ~
  suspended: no
  password_initial: Yes
  sub: 'usr_{0}'
  title: "Head of #1: C#"
"""
MANY = [ENTRY.format(number) for number in range(2_000)]


@pytest.mark.parametrize("indent", ["", "  "])
def test_the_parser_gets_no_plain_entry(indent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_plain_entries, "_PIECE", 1_000)
    entries = [textwrap.indent(entry, indent) for entry in MANY]

    assert left_to_the_parser(f"create_users:\n{''.join(entries)}") == ""


@pytest.mark.parametrize("end", ["", "\n\n", "\n# a\n", "\n...\n", "\nx: y\n"])
def test_the_parser_gets_the_last_entry_if_more_than_its_line_end_follows(end: str) -> None:
    text = f"create_users:\n{ONE}{TWO.removesuffix(chr(10))}{end}"

    assert left_to_the_parser(text) == TWO.removesuffix("\n") + end
    assert_pattern_and_parser_agree(text)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("piece", [1 << 16, 7, 1])
def test_the_last_entry_means_what_the_parser_says(end: str, piece: int) -> None:
    with mock.patch.object(input_stream, "_PIECE", piece):
        for entries in (ONE, ONE + TWO, f"{ONE}{TWO}  "):
            assert_pattern_and_parser_agree(f"create_users:\n{entries}".replace("\n", end))


@pytest.mark.parametrize("above", ["# a\n\n\n#b\n", "---\n", "# a\n---\n"])
def test_plain_entries_may_have_comments_or_a_document_start_above(above: str) -> None:
    assert left_to_the_parser(f"{above}create_users:  \n{ONE}{TWO}") == ""


@pytest.mark.parametrize("above", ["---\n---\n", "x: y\n", "users:\n", "- a\n", "%YAML 1.1\n---\n"])
def test_another_text_above_means_what_the_parser_says(above: str) -> None:
    assert_pattern_and_parser_agree(f"{above}create_users:\n{ONE}{TWO}")


@pytest.mark.parametrize(
    "top", ["users:", "create_users:\t", "create_users: a", "create_users: |", "create_users:\n\t"]
)
def test_another_key_of_the_list_means_what_the_parser_says(top: str) -> None:
    assert_pattern_and_parser_agree(f"{top}\n{ONE}{TWO}")


@pytest.mark.parametrize("fields", [["email", "name"], [*reversed(FIELDS)]])
def test_plain_entries_have_their_fields_in_any_order(fields: list[str]) -> None:
    by_field = {line.strip("- ").split(":")[0]: line.strip("- ") for line in ENTRY.splitlines()}
    entry = "- " + "\n  ".join(by_field[field] for field in fields) + "\n"
    text = "create_users:\n" + "".join(map(entry.format, range(9)))

    assert left_to_the_parser(text) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Jane", "&a Jane"),
        ("  title", "  titel"),
        ("  title", "  lastname"),
        ("True", "NULL"),
        ("True", "perhaps"),
        ("example.com", "com"),
        ("''", "short"),
        ("O'Brien", "Brien # a comment"),
    ],
)
def test_the_parser_gets_the_first_other_entry_and_all_after_it(old: str, new: str) -> None:
    other = MANY[500].replace(old, new)
    text = f"create_users:\n{''.join(MANY[:500])}{other}{''.join(MANY[501:])}"

    assert left_to_the_parser(text) == other + "".join(MANY[501:])


@pytest.mark.parametrize(
    "value",
    ["", " ", " ~", " null", " 'null'", " Head of sales", "  Élan", " 007", " C#", " 12:30:a#b"],
)
def test_a_plain_entry_may_have_a_null_or_any_text(value: str) -> None:
    entries = [entry.replace(' "Head of #1: C#"', value) for entry in MANY]

    assert left_to_the_parser(f"create_users:\n{''.join(entries)}") == ""


def test_the_rules_of_the_control_plane_hold_for_plain_entries() -> None:
    text = "create_users:\n" + "".join(MANY[:3]).replace("True", "false", 1)

    assert left_to_the_parser(text, Policy(sso_only=True)) == text.removeprefix("create_users:\n")
