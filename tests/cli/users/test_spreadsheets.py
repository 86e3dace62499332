"""Excel workbooks, and CSV that is not UTF-8, as users files of the commands."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.client.bad_files.tables import as_csv, as_xlsx, random_table
from tests.client.bad_files.workbooks import saved, workbook
from tests.support.commands.running import RunAnyscale

STAFF = (
    ("Vorname", "Nachname", "E-Mail", "Personalnr."),
    ("Ann", "Lee", "ann@example.com", 1),
    ("Bob", "Berg", "bob@example.com", 2),
)


@pytest.fixture
def staff(tmp_path: Path) -> Path:
    path = tmp_path / "staff.xlsx"
    path.write_bytes(saved(workbook(*STAFF)))
    return path


def test_a_workbook_is_checked_created_and_compared(anyscale: RunAnyscale, staff: Path) -> None:
    checked = anyscale("user", "batch-create", "-f", staff, "--dry-run")
    created = anyscale("user", "batch-create", "-f", staff, "-o", "json")
    compared = anyscale("user", "verify", "-f", staff)

    assert "2 users would be created." in checked.stderr
    assert [user["email"] for user in json.loads(created.stdout)] == [
        "ann@example.com",
        "bob@example.com",
    ]
    assert (compared.returncode, compared.stdout) == (0, ""), compared.stderr


def test_differences_and_steps_of_a_workbook_name_cells(anyscale: RunAnyscale, staff: Path) -> None:
    assert anyscale("user", "batch-create", "-f", staff).returncode == 0
    book = workbook(*STAFF[:2], ("Bob", "Burg", "bob@example.com", 2))
    book.worksheets[0].append(["Cid", None, "cid@example.com", 3])
    staff.write_bytes(saved(book))
    compared = anyscale("user", "verify", "-f", staff, "-o", "json")
    listed = anyscale("user", "verify", "-f", staff)
    planned = anyscale("user", "sync", "-f", staff, "--dry-run")

    differences = json.loads(compared.stdout)["differences"]
    assert [(one["line"], one["column"], one["cell"]) for one in differences] == [
        (3, 3, "C3"),
        (4, 3, "C4"),
    ]
    assert f"{staff}:C3: lastname is 'Burg', and 'Berg' in the account" in listed.stdout
    assert f"{staff}:C4: create cid@example.com (Cid)" in planned.stdout


def test_a_workbook_of_standard_input_names_its_sheet(anyscale: RunAnyscale, staff: Path) -> None:
    command = ("user", "batch-create", "-f", "-", "--format", "xlsx", "--dry-run")
    data = staff.read_bytes()
    good = anyscale(*command, "--sheet", "STAFF", stdin=data)
    other = anyscale(*command, "--sheet", "Old", stdin=data)

    assert "2 users would be created." in good.stderr
    assert other.returncode == 2
    assert "<stdin>: there is no sheet 'Old': the sheets are 'Staff'" in other.stderr


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(4, 4 + metafunc.config.getoption("--workbooks")))


def test_a_table_has_the_same_verdicts_as_csv_and_as_workbook(
    anyscale: RunAnyscale, tmp_path: Path, seed: int
) -> None:
    def verdicts(name: str, data: bytes) -> list[Any]:
        file = tmp_path / name
        file.write_bytes(data)
        done = anyscale("user", "batch-create", "-f", file, "--dry-run", "-o", "json")
        problems = json.loads(done.stdout)["problems"] if done.returncode else []
        fields = ("line", "index", "field", "code", "person")
        return [done.returncode, *([one.get(field) for field in fields] for one in problems)]

    table = random_table(seed)

    assert verdicts("staff.xlsx", as_xlsx(table)) == verdicts("staff.csv", as_csv(table))


def test_csv_of_german_excel_is_refused_with_the_option_that_reads_it(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "staff.csv"
    file.write_bytes("Vorname;Nachname;E-Mail\r\nJörg;Müßig;jm@example.com\r\n".encode("cp1252"))
    command = ("user", "batch-create", "-f", file)
    refused = anyscale(*command)
    created = anyscale(*command, "--encoding", "windows-1252", "-o", "json")

    assert refused.returncode == 2
    assert f"{file}:2:2: the file is not UTF-8 from here on" in refused.stderr
    assert "add --encoding windows-1252, which reads 'Jörg Müßig'" in refused.stderr
    assert [user["lastname"] for user in json.loads(created.stdout)] == ["Müßig"]


def test_the_heads_of_german_exports_get_the_options_that_read_them(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    file = tmp_path / "staff.csv"
    file.write_text("Vorname;Name;E-Mail\nAnn;Lee;ann@example.com\n", encoding="utf-8")
    refused = anyscale("user", "batch-create", "-f", file)
    created = anyscale(
        "user", "batch-create", "-f", file, "--column", "Name=lastname", "-o", "json"
    )

    assert "Without editing the file: `--column Name=lastname`." in refused.stderr
    (user,) = json.loads(created.stdout)
    assert (user["name"], user["lastname"]) == ("Ann", "Lee")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sheet", "A"), "a sheet is chosen for Excel, and "),
        (("--encoding", "rot13"), "'rot13' is not the encoding of a text file"),
        (("--encoding", "zip"), "'zip' is not the encoding of a text file"),
        (("--format", "yaml", "--encoding", "utf-16"), "an encoding is chosen for CSV"),
    ],
)
def test_a_wrong_option_says_what_it_is_for(
    anyscale: RunAnyscale, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("name,email\n", encoding="utf-8")
    done = anyscale("user", "batch-create", "-f", file, *options)

    assert done.returncode == 2
    assert message in done.stderr
