"""The markup of all pages: attributes have values that HTML allows, and ids are unique."""

import re
from collections import Counter
from html.parser import HTMLParser

from tests.server.http.console.conftest import Console
from tests.server.http.pages.requests import get
from tests.support.callers import OPERATOR

from anyscale.domain.models.applications import NewApplication

#: attributes without a value (HTML, 2.3.2)
BOOLEAN = {"autofocus", "checked", "disabled", "hidden", "multiple", "open", "readonly", "required"}

#: fields that have no `autocomplete` (HTML, 4.10.5.1)
WITHOUT_AUTOCOMPLETE = {"checkbox", "radio", "button", "submit", "reset", "image"}

#: a part of an address that stands for one of many pages
OF_MANY = re.compile(r"(usr|bat|app|tok|ses|gra)_\w+|\?.*|#.*")


class Page(HTMLParser):
    """Collects what is wrong on a page, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.links: list[str] = []
        self._ids = Counter[str]()
        self._names: set[str] = set()
        self.feed(text)
        self.faults += [f"the id {name} is there twice" for name, n in self._ids.items() if n > 1]
        self.faults += [f"there is no id {name}" for name in self._names - self._ids.keys()]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        text = self.get_starttag_text() or ""
        if len(values) < len(attrs):
            self.faults.append(f"an attribute is there twice: {text}")
        if any(value for name, value in attrs if name in {*BOOLEAN, "selected"}):
            self.faults.append(f"a boolean attribute has a value: {text}")
        if "autocomplete" in values and values.get("type") in WITHOUT_AUTOCOMPLETE:
            self.faults.append(f"autocomplete is not for this field: {text}")
        if "None" in values.values() or "True" in values.values():
            self.faults.append(f"a value of Python: {text}")
        self._ids.update([values["id"] or ""] if "id" in values else [])
        self._names.update([values["for"] or ""] if tag == "label" and "for" in values else [])
        if tag == "a":
            self.links.append(values.get("href") or "")


def test_all_pages_to_which_links_lead_are_valid(shared_console: Console) -> None:
    control_plane, jane = shared_console.control_plane, shared_console.browser()
    control_plane.applications.create(
        NewApplication(name="Hub", redirect_uris=["https://hub.example.com"]), OPERATOR
    )
    control_plane.batches.open("unfinished", "fail", OPERATOR)
    faults, seen, due = list[str](), set[str](), ["/console", "/"]
    while due:
        path = due.pop()
        kind = OF_MANY.sub("", path)
        if kind in seen or not path.startswith("/"):
            continue
        seen.add(kind)
        response = get(jane, path)
        if response.headers["content-type"].startswith("text/html"):
            page = Page(response.text)
            faults += [f"{path}: {fault}" for fault in page.faults]
            due += page.links
    assert faults == []
    assert len(seen) > 25
