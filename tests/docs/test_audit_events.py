"""The guide to the logs lists every event of the audit log, and each has a sentence."""

import ast
import re
from collections.abc import Iterator
from functools import cache

from tests.support.paths import ROOT

from anyscale.domain.models.audit import EVENTS
from anyscale.server.http.console.audit.sentences import SENTENCES

GUIDE = (ROOT / "docs" / "operations" / "logs.md").read_text(encoding="utf-8")
SOURCE = ROOT / "src" / "anyscale"

#: `batch.published` and the like; the name of a logger has the same form
_EVENT = re.compile(r"(?!anyscale\.)[a-z_]+\.[a-z_]+")


@cache
def events_of_the_code() -> set[str]:
    """Return the names of events in the modules that append entries."""
    modules = [SOURCE / "domain" / "audit_chain.py", *(SOURCE / "server" / "core").rglob("*.py")]
    return {
        node.value
        for module in modules
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if _EVENT.fullmatch(node.value)
    }


def events_of_the_guide() -> Iterator[str]:
    table = GUIDE.partition("| event | meaning |")[2].partition("\n\n")[0]
    for row in table.splitlines():
        if row.startswith("| `"):
            yield from re.findall(r"`([^`]+)`", row.split("|")[1])


def test_the_guide_lists_each_event_of_the_audit_log_once() -> None:
    listed = list(events_of_the_guide())

    assert {"batch.published", "audit.forgotten", "session.created"} <= set(listed)
    assert sorted(listed) == sorted(events_of_the_code())


def test_each_event_has_a_sentence_in_the_console() -> None:
    assert set(SENTENCES) == events_of_the_code()


def test_each_event_can_be_filtered_by() -> None:
    assert set(EVENTS) == events_of_the_code()
