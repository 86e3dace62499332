"""The markup of all pages.

Attributes have values that HTML allows, ids are unique, and no browser translates a name or a code.
"""

import re
from collections import Counter
from html.parser import HTMLParser

from tests.server.http.console.conftest import Console, OpenConsole
from tests.server.http.pages.requests import PUBLIC, every_page, fields_of, get, send
from tests.server.http.pages.test_second_factor_pages import APP, seed_of
from tests.support.callers import OPERATOR
from tests.support.second_factor.authenticator_apps import code_shown, seed_keys_folder
from tests.support.servers.http_client import HttpClient

from anyscale.domain.models.applications import NewApplication

#: attributes without a value (HTML, 2.3.2)
BOOLEAN = {"autofocus", "checked", "disabled", "hidden", "multiple", "open", "readonly", "required"}

#: fields that have no `autocomplete` (HTML, 4.10.5.1)
WITHOUT_AUTOCOMPLETE = {"checkbox", "radio", "button", "submit", "reset", "image"}

#: elements without an end (HTML, 13.1.2)
VOID = {"br", "col", "hr", "img", "input", "link", "meta", "wbr"}

#: names of people and applications, emails, ids, addresses, secrets and commands: a browser that
#: translates a page would change them
NOT_WORDS = re.compile(
    r"Jane|Intranet|intranet\.|\w@\w|\b(?:usr|bat|app|tok|ses|syn|gra|mr\w)_\w{5}|\banyscale \w"
    r"|\b[0-9A-Z]{4}(?:[ -][0-9A-Z]{4}){4}"  # recovery codes, and seeds of apps
)

#: elements whose text no browser translates; that of a title can have no element of its own
NOT_TRANSLATED = {"title", "script", "style", "textarea"}

#: a part of an address that stands for one of many pages
OF_MANY = re.compile(r"(usr|bat|app|tok|ses|gra)_\w+|\?.*|#.*")


class Page(HTMLParser):
    """Collects what is wrong on a page, and where its links lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.links: list[str] = []
        self._ids = Counter[str]()
        #: the open elements, each with whether a browser translates it
        self._open: list[tuple[str, bool]] = []
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
        if tag not in VOID:
            is_kept = values.get("translate") == "no" or tag in NOT_TRANSLATED
            self._open.append((tag, is_kept or any(kept for _, kept in self._open)))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if NOT_WORDS.search(data) and not (self._open and self._open[-1][1]):
            self.faults.append(f"a browser would translate {data.strip()!r}")


def test_all_pages_to_which_links_lead_are_valid(shared_console: Console) -> None:
    control_plane, jane = shared_console.control_plane, shared_console.browser()
    control_plane.applications.create(
        OPERATOR, NewApplication(name="Intranet", redirect_uris=["https://intranet.example.com"])
    )
    control_plane.batches.open(OPERATOR, "unfinished", "fail")
    control_plane.tokens.create(OPERATOR, "Jane's robot", "reader", None)
    send(jane, "/console/tokens/new", name="Jane's laptop", days="30")
    [owner] = control_plane.users.find(["jane@example.com"])
    assert owner
    of_owner = f"/console/users/{owner.user_id}"  # has parts that a member's page does not have
    faults, seen, due = list[str](), set[str](), ["/console", "/", of_owner]
    while due:
        path = due.pop()
        kind = path if path == of_owner else OF_MANY.sub("", path)
        if kind in seen or not path.startswith("/"):
            continue
        seen.add(kind)
        response = get(jane, path)
        if response.headers["content-type"].startswith("text/html"):
            page = Page(response.text)
            faults += [f"{path}: {fault}" for fault in page.faults]
            due += page.links
    assert not faults, "\n".join(faults)
    assert len(seen) > 25


def test_the_pages_of_a_first_sign_in_and_those_with_secrets_are_valid(
    open_console: OpenConsole,
) -> None:
    console = open_console(public_url=PUBLIC, second_factor_keys=seed_keys_folder())
    jane = HttpClient(console.url)
    pages = list(every_page(jane))
    [bob] = console.control_plane.users.find(["bob@example.com"])
    assert bob
    for form, fields in {
        "/console/users/new": {"name": "Jane", "email": "kim@example.com"},
        f"/console/users/{bob.user_id}/link": {},
        f"/console/users/{bob.user_id}/delete": {"email": "kim@example.com"},
        "/console/applications/new": {
            "name": "Intranet",
            "redirect_uris": "https://intranet.example.com/callback",
        },
    }.items():
        page = get(jane, form)
        pages += [page, send(jane, form, **fields_of(page) | fields)]
    page = get(jane, send(jane, APP, replaces="").headers["location"])
    fields = fields_of(page) | {"code": code_shown(seed_of(page)), "name": "Jane's phone"}
    pages += [page, send(jane, f"{APP}/confirm", **fields), get(jane, "/")]
    shown = [page for page in pages if "<main" in page.text]
    faults = [fault for page in shown for fault in Page(page.text).faults]
    assert not faults, "\n".join(faults)
    texts = " ".join(page.text for page in shown)
    for secret in ("mrt_", "mrl_", "mrc_", 'id="secret"', 'id="codes"'):
        assert secret in texts
