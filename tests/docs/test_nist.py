"""The table of NIST's rules about second factors names existing tests for each rule."""

from tests.docs.requirement_tables import assert_tests_exist, rows_of
from tests.support.paths import ROOT


def test_every_rule_names_how_it_is_kept_and_tests_that_exist() -> None:
    page = (ROOT / "docs" / "nist-800-63b.md").read_text(encoding="utf-8")
    rows = rows_of(page, r"\d\.\d(?:\.\d+)*")
    assert len(rows) > 10
    for number, (_, how, shown) in rows:
        assert how, number
        assert_tests_exist(number, shown)
