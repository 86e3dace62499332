"""The page of benchmarks shows what was measured, and nothing of the machine that measured it."""

import re
import xml.etree.ElementTree as ET

from benchmarks.report.page import page
from benchmarks.report.results import read_results
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
FOLDER = ROOT / "docs" / "benchmarks"


def test_the_page_of_benchmarks_shows_the_stored_results_of_a_million_users() -> None:
    results = read_results(FOLDER / "results.json")

    assert results.users == 1_000_000
    assert PAGE.read_text(encoding="utf-8") == page(results)


def test_each_plot_of_the_page_is_drawn_and_small() -> None:
    text = PAGE.read_text(encoding="utf-8")

    plots = re.findall(r"!\[[^\]]{20,}\]\(benchmarks/(\w+\.svg)\)", text)

    measured = {f"{point.plot}.svg" for point in read_results(FOLDER / "results.json").points}
    parts = ("speed", "memory", "passwords", "latency", "growth", "search")
    assert measured == {f"{part}.svg" for part in parts}
    assert set(plots) == measured
    assert sorted(plots) == sorted(path.name for path in FOLDER.glob("*.svg"))
    for plot in plots:
        assert (FOLDER / plot).stat().st_size < 100_000
        assert ET.parse(FOLDER / plot).getroot().tag.endswith("svg")


def test_the_results_name_the_kind_of_machine_but_no_host_and_no_path() -> None:
    machine = read_results(FOLDER / "results.json").machine
    assert set(machine) == {
        "Processor",
        "Cores",
        "Memory",
        "System",
        "musterroll",
        "Python",
        "SQLite",
        "PostgreSQL",
        "Django",
    }
    for path in (PAGE, *FOLDER.iterdir()):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/(home|root|tmp|Users|var)/", text), path.name
