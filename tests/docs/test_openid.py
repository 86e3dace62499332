"""The tables of OpenID Connect and OAuth 2.1 have each section, and name existing tests."""

from importlib import import_module
from math import prod

from tests.docs.requirement_tables import assert_tests_exist, named_tests, rows_of
from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "openid.md").read_text(encoding="utf-8")
ROWS = rows_of(PAGE, r"(?:Core|Discovery|Logout|RFC \d+) [\d.]+")

#: sections of each document that have requirements for a provider
SECTIONS = {
    "Core": (
        *("2", "3.1.2.1", "3.1.2.2", "3.1.2.3", "3.1.2.4", "3.1.2.5", "3.1.2.6"),
        *("3.1.3.1", "3.1.3.2", "3.1.3.3", "3.1.3.4", "3.1.3.6", "3.2", "3.3", "4"),
        *("5.1", "5.3.1", "5.3.2", "5.3.3", "5.4", "5.5", "5.6", "5.7", "6", "7", "8", "9"),
        *("10.1.1", "10.2", "11", "12.1", "12.2", "15.1", "15.2", "16.3"),
    ),
    "Discovery": ("3", "4"),
    "Logout": ("2", "3", "6"),
    "RFC 6265": ("8.6",),
    "RFC 6749": (
        *("2.3.1", "3.1", "3.1.2", "3.2", "4.1.2", "4.1.3", "4.4", "5.1", "5.2", "6", "10.10"),
    ),
    "RFC 6750": ("2", "3"),
    "RFC 7009": ("2", "5"),
    "RFC 7636": ("4.3", "4.6"),
    "RFC 7518": ("3.4",),
    "RFC 8252": ("7.1", "7.3", "8.6"),
    "RFC 8725": ("3.1",),
    "RFC 9207": ("2",),
    "RFC 9700": (
        *(
            "2.1.2",
            "2.2.1",
            "2.2.2",
            "2.4",
            "4.1",
            "4.2",
            "4.3",
            "4.4",
            "4.5",
            "4.6",
            "4.7",
            "4.8",
            "4.9",
        ),
        *("4.11", "4.12", "4.13", "4.14", "4.15", "4.16"),
    ),
}
ATTACKS = 60


def test_every_section_is_met_or_does_not_apply() -> None:
    expected = {f"{name} {number}" for name, numbers in SECTIONS.items() for number in numbers}

    assert {number for number, _ in ROWS} == expected


def test_every_row_names_a_reason_or_tests_that_exist() -> None:
    for number, cells in ROWS:
        assert all(cells), number
        if "::" in cells[-1]:
            assert_tests_exist(number, cells[-1])
        else:
            assert len(cells[-1]) > 20, number


def test_there_are_at_least_60_attacks() -> None:
    section = PAGE.partition("## Attacks")[2].partition("\n## ")[0]
    tests = {test for line in section.splitlines() for test in named_tests(line)}

    assert sum(_cases(file, name) for file, name in tests) >= ATTACKS


def _cases(file: str, name: str) -> int:
    """Return the number of cases of a test, on one store."""
    module = import_module(file.removesuffix(".py").replace("/", "."))
    marks = getattr(getattr(module, name), "pytestmark", [])
    return prod(len(mark.args[1]) for mark in marks if mark.name == "parametrize")
