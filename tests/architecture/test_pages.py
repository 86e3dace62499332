"""Pages that people read from the beginning are short, and a newcomer finds subjects by name."""

import pytest
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
PAGES = [*DOCS.glob("*.md"), *(DOCS / "operations").glob("*.md")]

#: pages in which people look one thing up
REFERENCES = {"users-file.md", "errors.md", "benchmarks.md", "asvs.md", "openid.md", "logs.md"}

MOST_WORDS = 1_500


def test_no_page_but_a_reference_has_more_than_1500_words() -> None:
    words = {page.name: len(page.read_text(encoding="utf-8").split()) for page in PAGES}
    long = {name: count for name, count in words.items() if count > MOST_WORDS}
    assert long.keys() - REFERENCES == set(), long


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    names = {page.relative_to(DOCS).as_posix() for page in PAGES} - {"README.md"}
    assert {name for name in names if f"({name}" not in index} == set()


@pytest.mark.parametrize("word", ["Grafana", "logout", "second factor", "leavers", "SCIM"])
def test_a_newcomer_finds_a_subject_by_its_name(word: str) -> None:
    assert word in (DOCS / "README.md").read_text(encoding="utf-8")
