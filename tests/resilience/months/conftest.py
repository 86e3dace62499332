"""What the months of a run were."""

from collections import Counter

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many months were compared whole, and what was drawn again."""
    counts = Counter[str]()
    for report in terminalreporter.stats.get("passed", ()):
        if "resilience/months" in report.nodeid:
            counts.update(dict(report.user_properties))
    if counts:
        said = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        terminalreporter.write_line(f"months of offices: {said}")
