"""Users files in Python: `anyscale.user.users_file`, on the embedded control plane."""

from pathlib import Path
from typing import Any

import pytest
from tests.client.bad_files.workbooks import saved, workbook

import anyscale
from anyscale.errors import BatchRefused, ConfigError


def test_a_file_is_created_compared_and_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "staff.xlsx"
    book = workbook(("Rufname", "E-Mail", "Abteilung"), ("Ann", "ann@example.com", "Sales"))
    book.create_sheet("Old").append(["x"])
    path.write_bytes(saved(book))
    columns = {"Rufname": "name", "Abteilung": ""}
    with anyscale.user.users_file(path, sheet="staff", columns=columns) as users:
        created = anyscale.user.admin_batch_create(users)
        anyscale.user.update(email="ann@example.com", title="Boss")

        assert [user.email for user in created] == ["ann@example.com"]
        # The file says nothing of titles.
        assert list(anyscale.user.verify(users)) == []
        assert anyscale.user.sync(users).checked == 1

    path.write_bytes(saved(workbook(*(("name", "email"), ("Bob", "bob@example.com")))))
    with anyscale.user.users_file(path) as users:
        anyscale.user.sync(users, suspend_missing=False)
        anyscale.user.admin_batch_create(users, if_exists="skip", label="November")
    labels = [batch.label for batch in anyscale.batch.list()]
    assert labels == ["November", "staff.xlsx", "staff.xlsx"]


def test_a_wrong_file_raises_problems_with_their_cells(tmp_path: Path) -> None:
    path = tmp_path / "staff.xlsx"
    path.write_bytes(saved(workbook(("name", "email"), ("Ann", "foo"))))
    with (
        anyscale.user.users_file(str(path)) as users,
        pytest.raises(BatchRefused, match=r"staff\.xlsx:B2: Ann, email: 'foo' is not") as refused,
    ):
        anyscale.user.admin_batch_create(users)

    assert (refused.value.problems[0].cell, refused.value.problems[0].person) == ("B2", "Ann")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sheet": "Staff"}, "a sheet is chosen for Excel, and .* is read as CSV"),
        ({"sheet": ""}, "the name of the sheet is empty: leave it out"),
        ({"encoding": ""}, "'' is not the encoding of a text file: such are windows-1252"),
        ({"encoding": "rot13"}, "'rot13' is not the encoding of a text file"),
        ({"file_format": "xml"}, "file_format must be one of yaml, json"),
        ({"columns": {"Ruf": "nome"}}, "Ruf=nome: the fields are name, email"),
        ({"file_format": "yaml", "encoding": "cp1252"}, "an encoding is chosen for CSV"),
    ],
)
def test_a_file_with_wrong_arguments_is_not_opened(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    path = tmp_path / "staff.csv"
    path.write_text("name,email\n", encoding="utf-8")

    with pytest.raises(ConfigError, match=message):
        anyscale.user.users_file(path, **arguments)


@pytest.mark.parametrize("argument", ["path", "columns", "sheet"])
def test_an_argument_of_a_wrong_type_is_named(argument: str) -> None:
    arguments: dict[str, Any] = {"path": "staff.csv", argument: [("Rufname", "name")]}

    with pytest.raises(TypeError, match=f"{argument} must be .*, not list"):
        anyscale.user.users_file(**arguments)


def test_an_empty_label_is_refused() -> None:
    with pytest.raises(ConfigError, match="a label cannot be empty: leave it out"):
        anyscale.user.admin_batch_create([], label="")
