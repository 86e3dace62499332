"""A newcomer finds each page in the index, and subjects by their names."""

import pytest
from tests.support.paths import ROOT

DOCS = ROOT / "docs"
PAGES = [*DOCS.glob("*.md"), *(DOCS / "operations").glob("*.md")]


def test_every_page_is_in_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    names = {page.relative_to(DOCS).as_posix() for page in PAGES} - {"README.md"}
    assert {name for name in names if f"({name}" not in index} == set()


@pytest.mark.parametrize("word", ["Grafana", "logout", "second factor", "leavers", "SCIM"])
def test_a_newcomer_finds_a_subject_by_its_name(word: str) -> None:
    assert word in (DOCS / "README.md").read_text(encoding="utf-8")
