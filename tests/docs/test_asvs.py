"""The table of security requirements names existing tests for each requirement."""

import re

from tests.docs.requirement_tables import assert_tests_exist, rows_of
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "asvs.md").read_text(encoding="utf-8")

#: the requirements of level 1 in ASVS 5.0.0
LEVEL_1 = {
    *("1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.5", "1.3.1", "1.3.2", "1.5.1"),
    *("2.1.1", "2.2.1", "2.2.2", "2.3.1"),
    *("3.2.1", "3.2.2", "3.3.1", "3.4.1", "3.4.2", "3.5.1", "3.5.2", "3.5.3"),
    *("4.1.1", "4.4.1"),
    *("5.2.1", "5.2.2", "5.3.1", "5.3.2"),
    *("6.1.1", "6.2.1", "6.2.2", "6.2.3", "6.2.4", "6.2.5", "6.2.6", "6.2.7", "6.2.8"),
    *("6.3.1", "6.3.2", "6.4.1", "6.4.2"),
    *("7.2.1", "7.2.2", "7.2.3", "7.2.4", "7.4.1", "7.4.2"),
    *("8.1.1", "8.2.1", "8.2.2", "8.3.1"),
    *("9.1.1", "9.1.2", "9.1.3", "9.2.1"),
    *("10.4.1", "10.4.2", "10.4.3", "10.4.4", "10.4.5"),
    *("11.3.1", "11.3.2", "11.4.1"),
    *("12.1.1", "12.2.1", "12.2.2"),
    *("13.4.1", "14.2.1", "14.3.1", "15.1.1", "15.2.1", "15.3.1"),
}

#: of level 2: second factors, forgotten passwords, and what ends a sign-in
FURTHER = {
    *("6.3.3", "6.3.4", "6.4.3", "6.4.4", "6.5.1", "6.5.2", "6.5.3", "6.5.4", "6.5.5"),
    *("7.4.3", "7.5.1", "7.5.2"),
}

ROWS = rows_of(PAGE, r"\d+\.\d+\.\d+")


def test_every_requirement_of_level_1_is_met_or_does_not_apply() -> None:
    numbers = [number for number, _ in ROWS]
    assert len(numbers) == len(set(numbers))
    assert set(numbers) == LEVEL_1 | FURTHER
    assert len(LEVEL_1) == 70


def test_every_row_names_a_reason_or_tests_that_exist() -> None:
    for number, cells in ROWS:
        if len(cells) == 2:  # it does not apply
            assert all(len(cell) > 10 for cell in cells), number
            continue
        _, how, shown = cells
        assert how, number
        assert_tests_exist(number, shown)


def test_security_md_names_the_times_for_fixes_of_dependencies() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    part = text.partition("## Dependencies")[2].partition("\n## ")[0]
    assert len(re.findall(r"within (\d+)\s+days", part)) == 2
    assert "once a month" in part


def test_every_file_in_security_md_exists() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    paths = set(re.findall(r"`((?:tests|docs)/[^`\s]+)`", text))
    assert len(paths) > 15
    for path in paths:
        assert (ROOT / path).exists(), path
