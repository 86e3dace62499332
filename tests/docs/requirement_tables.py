"""Tables of requirements in the documents, with the tests that verify each one."""

import re

from tests.support.paths import ROOT

_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows_of(page: str, number: str) -> list[tuple[str, list[str]]]:
    """Give the number of each row, a pattern, with the cells after it."""
    rows = re.finditer(rf"^\| ({number}) \|(.*)\|$", page, re.MULTILINE)
    return [(row[1], [cell.strip() for cell in row[2].split("|")]) for row in rows]


def named_tests(cell: str) -> list[tuple[str, str]]:
    """Give the file and the name of each test of a cell."""
    return _TEST.findall(cell)


def assert_tests_exist(number: str, cell: str) -> None:
    """Check that a cell names tests, and that each of them is there."""
    found = named_tests(cell)
    assert found, f"{number} has no test"
    for file, name in found:
        source = (ROOT / file).read_text(encoding="utf-8")
        defined = re.search(rf"^(async )?def {name}\(", source, re.MULTILINE)
        assert defined, f"{number}: {file}::{name} is not there"
