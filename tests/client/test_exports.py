"""What `-o csv`, `json`, `jsonl` and `yaml` write is read back as users, character by character."""

import io
from contextlib import redirect_stdout
from datetime import UTC, datetime
from operator import attrgetter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anyscale.cli.formats import write_records
from anyscale.domain.models.users import User
from anyscale.domain.spreadsheets import spreadsheet_cell, unescaped_cell
from anyscale.domain.validation import Policy, find_faults
from anyscale.users_file import UsersFile

#: what spreadsheets, CSV and YAML treat in a special way
PIECES = st.sampled_from(
    [
        *("'", "=", "+", "-", "@", ";", ",", '"', " ", "\u00a0", "\u3000", "\uff1d", "#", "\\"),
        *("#N/A", "#NV", "8.46E+10", "###", "Err:502", "null", "true", "~", "Ann", "\ufeff", "é"),
    ]
)
SPECIAL = st.lists(PIECES, max_size=6).map("".join)
TEXTS = st.one_of(SPECIAL, st.text(max_size=8))
FIELDS = ("name", "email", "lastname", "title", "is_sso_user")


def user(name: str, local: str, lastname: str | None, title: str | None) -> User:
    return User(
        email=f"{local}@example.com",
        name=name,
        lastname=lastname,
        title=title,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        permission_level="collaborator",
        user_id="usr_1",
    )


USERS = st.builds(
    user, TEXTS, st.sampled_from(["ann", "'-ann", "=ann", "'=ann", "''+a"]), TEXTS, TEXTS
).filter(lambda one: not find_faults({field: getattr(one, field) for field in FIELDS}, Policy()))


@pytest.mark.parametrize(
    ("output", "fields"),
    [
        *((output, User.__struct_fields__) for output in ("csv", "json", "jsonl", "yaml")),
        ("csv", FIELDS),  # the columns that only the server sets were removed
    ],
)
@given(exported=USERS)
@example(exported=user("'-Ann", "'=a", "#N/A", "8.46E+10"))
@example(exported=user("\ufeffx", "ann", "-", "+1 team"))
def test_an_export_is_read_back_as_it_was(
    exported: User, output: str, fields: tuple[str, ...]
) -> None:
    with redirect_stdout(io.StringIO()) as written:
        write_records([exported], fields, output)
    file = UsersFile(io.BytesIO(written.getvalue().encode()), "export", output)
    reading = file.reading(Policy(), verify=True)
    (read,) = list(reading)

    assert not reading.problems
    values = attrgetter(*FIELDS)
    # CSV cannot tell an empty text from none.
    assert [one or None for one in values(read)] == [one or None for one in values(exported)]


@given(st.one_of(SPECIAL, st.text()))
@example("'\t=")
def test_an_escaped_cell_has_one_text(text: str) -> None:
    assert unescaped_cell(spreadsheet_cell(text)) == text
