"""A table has the same verdicts as CSV and as an Excel workbook."""

from typing import Any

from tests.client.bad_files.reading import read
from tests.client.bad_files.tables import as_csv, as_xlsx, random_table


def verdicts(data: bytes, name: str) -> tuple[Any, ...]:
    """Return the users and passwords of a file, and the row, field and kind of each problem."""
    users, reading = read(data, name)
    problems = [(one.line, one.index, one.field, one.code) for one in reading.problems]
    return users, reading.take_passwords(), sorted(problems, key=repr)


def test_300_tables_have_the_same_users_and_problems_as_csv_and_as_workbooks() -> None:
    kinds = set()
    for seed in range(300):
        table = random_table(seed)
        of_csv = verdicts(as_csv(table), "staff.csv")

        assert verdicts(as_xlsx(table), "staff.xlsx") == of_csv, (seed, table)
        kinds |= {code for *_, code in of_csv[2]} | ({"right"} if of_csv[0] else set())
    assert kinds > {"right", "email_invalid", "required", "spreadsheet", "type", "unknown_key"}
