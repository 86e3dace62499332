"""The alerts: promtool runs them, a page explains them, a server has the series of each."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support.paths import ROOT
from tests.support.programs import program
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_process import server_of_jane

RULES = ROOT / "deploy" / "prometheus" / "musterroll.rules.yaml"
CASES = Path(__file__).parent / "prometheus" / "musterroll.rules.test.yaml"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def expressions() -> dict[str, str]:
    """The expression of each alert."""
    (group,) = load(RULES)["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


@pytest.mark.parametrize(
    "arguments", [("check", "rules", "--lint-fatal", RULES), ("test", "rules", CASES)]
)
def test_promtool_accepts_the_alerts(arguments: tuple[str | Path, ...]) -> None:
    command = [program("promtool"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_raised_in_a_case(expressions: dict[str, str]) -> None:
    tests = [test for case in load(CASES)["tests"] for test in case.get("alert_rule_test", [])]

    assert {test["alertname"] for test in tests if test["exp_alerts"]} == set(expressions)


def test_the_page_explains_each_alert(expressions: dict[str, str]) -> None:
    page = (ROOT / "docs" / "operations" / "monitoring.md").read_text(encoding="utf-8")

    assert re.findall(r"^\| `(Musterroll\w+)` \|", page, re.MULTILINE) == list(expressions)


def test_a_server_has_the_series_of_each_alert(expressions: dict[str, str], tmp_path: Path) -> None:
    with server_of_jane(tmp_path) as server:
        text = HttpClient(server.url).request("GET", "/metrics").text
    series = re.findall(r"^(anyscale_\w+)(\{.*\})? ", text, re.MULTILINE)

    selectors = [
        selector
        for expression in expressions.values()
        for selector in re.findall(r"(anyscale_\w+)(?:\{([^{}]*)\})?", expression)
    ]
    assert len(selectors) > 10
    for name, matchers in selectors:
        wanted = re.findall(r'(\w+)=(~?)"([^"]+)"', matchers)
        patterns = [
            rf'\b{label}="{value if is_pattern else re.escape(value)}"'
            for label, is_pattern, value in wanted
        ]
        assert any(
            name == found and all(re.search(pattern, labels) for pattern in patterns)
            for found, labels in series
        ), (name, matchers)
