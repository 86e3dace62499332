"""A form that arrives twice creates once: its second answer says what the first one created."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from html import unescape
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from tests.server.http.console.conftest import Console
from tests.server.http.pages.requests import PUBLIC, create_owner, get, send
from tests.support.at_once import at_once
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.control_planes import NewDeployment
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.server_in_process import serve_in_process
from tests.support.sign_in.sign_ins import events_of
from tests.support.users import create_accounts

from anyscale.domain.models.applications import NewApplication
from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.validation import Policy, check
from anyscale.server.settings import Settings

pytestmark = pytest.mark.both_stores

HUB = "https://hub.example.com/callback"

SECRET = re.compile(r"mr[tcl]_[\w-]{20,}")


class Servers(NamedTuple):
    """One server over SQLite, or two over PostgreSQL, with an owner, jane."""

    console: Console
    first: HttpClient
    second: HttpClient

    def send_twice(self, path: str, form: dict[str, str]) -> list[HttpResponse]:
        """Send a form at the same moment to both servers; return the answer with a secret first."""
        answers = at_once([partial(send, one, path, **form) for one in (self.first, self.second)])
        return sorted(answers, key=lambda answer: not SECRET.search(answer.text))

    def count(self, event: str) -> int:
        return [name for name, _ in events_of(self.console.control_plane)].count(event)

    def user_id(self, email: str) -> str:
        (user,) = self.console.control_plane.users.find([email])
        assert user
        return user.user_id


@pytest.fixture(scope="module")
def servers(store_kind: str, new_deployment: NewDeployment) -> Iterator[Servers]:
    with ExitStack() as stack:
        deployment = stack.enter_context(new_deployment())
        settings = Settings(database=deployment.database, public_url=PUBLIC)
        control_planes = [
            cheap_control_plane(settings) for _ in range(1 if store_kind == "sqlite" else 2)
        ]
        create_accounts(control_planes[0], "jane")
        create_owner(control_planes[0])
        urls = [stack.enter_context(serve_in_process(one)) for one in control_planes]
        console = Console(control_planes[0], urls[0])
        first, second = console.browser(), HttpClient(urls[-1])
        second.cookies = first.cookies
        yield Servers(console, first, second)


def form_of(page: HttpResponse, action: str, **typed: str) -> dict[str, str]:
    """Return the hidden fields of a form of a page, with those that its user has typed."""
    (form,) = re.findall(rf'<form[^>]*action="{re.escape(action)}".*?</form>', page.text, re.DOTALL)
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: unescape(value) for name, value in hidden} | typed


def follow(servers: Servers, answer: HttpResponse) -> str:
    """Return the page to which an answer redirects, or the answer itself."""
    page = get(servers.first, answer.headers["location"]) if answer.status == 303 else answer
    return " ".join(unescape(re.sub("<[^>]+>", " ", page.text[page.text.index("<main") :])).split())


class Case(NamedTuple):
    """A form with a secret in its first answer."""

    #: prepares the server and returns the page, the address and the typed fields of the form
    prepare: Callable[[Servers], tuple[str, str, dict[str, str]]]
    #: of the audit log, once for a form
    event: str
    #: of the second answer
    words: str
    #: the page and the address of the form that replaces what was not seen; empty where the
    #: second answer has it
    replacement: Callable[[Servers, HttpResponse], tuple[str, str]]


def _account_of(servers: Servers, answer: HttpResponse) -> tuple[str, str]:
    page = urlsplit(answer.headers["location"]).path
    return page, f"{page}/link"


def _new_account(servers: Servers, name: str) -> str:
    create_accounts(servers.console.control_plane, name, password=None)
    return f"/console/users/{servers.user_id(f'{name}@example.com')}"


def _link(servers: Servers) -> tuple[str, str, dict[str, str]]:
    page = _new_account(servers, "lina")
    return page, f"{page}/link", {}


def _rotation(servers: Servers) -> tuple[str, str, dict[str, str]]:
    new = NewApplication(name="Rotated", redirect_uris=[HUB])
    created = servers.console.control_plane.applications.create(OPERATOR, new)
    path = f"/console/applications/{created.application.client_id}/rotate-secret"
    return path, path, {"when": "now"}


def _batch(servers: Servers) -> tuple[str, str, dict[str, str]]:
    users = [
        check(
            Policy(),
            name="Kim",
            email=f"kim{at}@batch.org",
            password=None,
            is_sso_user=False,
            lastname=None,
            title=None,
        )
        for at in range(3)
    ]
    batches = servers.console.control_plane.batches
    created = batches.create(OPERATOR, "kims", [user for user in users if user], "fail")
    path = f"/console/batches/{created.batch.batch_id}/links"
    return path, path, {"format": "csv"}


def _selected(servers: Servers) -> tuple[str, str, dict[str, str]]:
    user_id = _new_account(servers, "sela").rpartition("/")[2]
    return f"/console/users/links?user_id={user_id}", "/console/users/links", {"format": "csv"}


def _where_it_leads(_: Servers, answer: HttpResponse) -> tuple[str, str]:
    place = str(answer.headers["location"])
    return place, urlsplit(place).path


CASES = {
    "application": Case(
        lambda _: (
            "/console/applications/new",
            "/console/applications/new",
            {"name": "Wiki", "redirect_uris": HUB},
        ),
        "application.created",
        "the application was created once, and its secret was shown in the first answer",
        lambda _, answer: (
            f"{urlsplit(answer.headers['location']).path}/rotate-secret",
            f"{urlsplit(answer.headers['location']).path}/rotate-secret",
        ),
    ),
    "token": Case(
        lambda _: (
            "/console/tokens/new",
            "/console/tokens/new",
            {"name": "laptop", "days": "30"},
        ),
        "token.created",
        "The token laptop was created once, and shown in the first answer.",
        lambda _, __: ("", "/console/tokens/new"),
    ),
    "user": Case(
        lambda _: (
            "/console/users/new",
            "/console/users/new",
            {"email": "ada@example.com", "name": "Ada"},
        ),
        "links.created",
        "This form arrived twice: the account was created once.",
        _account_of,
    ),
    "link": Case(_link, "links.created", "A link was created after you opened", _account_of),
    "secret": Case(
        _rotation, "application.secret_rotated", "The secret was replaced after", _where_it_leads
    ),
    "links of a batch": Case(_batch, "links.created", "3 links were created", _where_it_leads),
    "links of users": Case(_selected, "links.created", "1 link was created", _where_it_leads),
}


@pytest.mark.parametrize("name", CASES)
def test_a_form_that_arrives_twice_creates_once_and_offers_to_replace(
    servers: Servers, name: str
) -> None:
    case = CASES[name]
    page, action, typed = case.prepare(servers)
    form = form_of(get(servers.first, page), action, **typed)
    before = servers.count(case.event)
    first, second = servers.send_twice(action, form)
    again = send(servers.first, action, **form)
    assert SECRET.search(first.text)
    for answer in (second, again):
        assert not SECRET.search(answer.text)
        assert case.words in follow(servers, answer)
    entries = 3 if name == "links of a batch" else 1  # one for each account
    assert servers.count(case.event) == before + entries
    page, action = case.replacement(servers, again)
    form = form_of(get(servers.first, page) if page else again, action, **typed)
    replaced, refused = servers.send_twice(action, form)
    assert SECRET.findall(replaced.text) != SECRET.findall(first.text)
    assert SECRET.search(replaced.text)
    assert not SECRET.search(refused.text)


def test_a_replaced_token_stops_working(servers: Servers) -> None:
    page = "/console/tokens/new"
    form = form_of(get(servers.first, page), page, name="lost", days="30")
    first, second = servers.send_twice(page, form)
    replaced = send(servers.first, page, **form_of(second, page))
    tokens = servers.console.control_plane.tokens.list_live(servers.user_id("jane@example.com"))
    assert [token.name for token in tokens].count("lost") == 1
    secrets = [SECRET.search(answer.text) for answer in (first, replaced)]
    calls = [
        HttpClient(servers.console.url).request(
            "GET", "/v1/users?limit=1", headers={"Authorization": f"Bearer {secret[0]}"}
        )
        for secret in secrets
        if secret
    ]
    assert [call.status for call in calls] == [401, 200]


def test_a_public_application_has_no_secret_to_replace(servers: Servers) -> None:
    page = "/console/applications/new"
    typed = {"name": "Phone", "redirect_uris": HUB, "is_public": "yes"}
    form = form_of(get(servers.first, page), page, **typed)
    send(servers.first, page, **form)
    answer = follow(servers, send(servers.first, page, **form))
    assert "the application was created once." in answer
    assert "secret was shown" not in answer


FORMS = {
    "/console/applications/new": {"redirect_uris": HUB},
    "/console/tokens/new": {"days": "30"},
}


@pytest.mark.parametrize("path", FORMS)
def test_a_form_to_which_the_browser_went_back_creates_nothing_with_another_name(
    servers: Servers, path: str
) -> None:
    form = form_of(get(servers.first, path), path, **FORMS[path], name=f"first of {path}")
    send(servers.first, path, **form)

    answer = send(servers.first, path, **(form | {"name": "second"}))

    assert answer.status == 400
    assert "This form was sent before" in answer.text
    assert 'value="second"' in answer.text
    assert form_of(answer, path)["form_key"] != form["form_key"]


def test_the_form_of_another_user_names_nothing(servers: Servers) -> None:
    page = "/console/tokens/new"
    form = form_of(get(servers.first, page), page, name="hers", days="30")
    send(servers.first, page, **form)
    create_accounts(servers.console.control_plane, "olga")
    create_owner(servers.console.control_plane, "olga")
    answer = send(servers.console.browser("olga"), page, **form)
    assert "This form was sent before" in answer.text
    assert "hers" not in answer.text.partition("<form")[0]


@pytest.mark.parametrize("change", ["suspend", "restore", "sign-out", "role", "delete"])
def test_a_change_that_arrives_twice_has_one_entry_and_the_same_answer(
    servers: Servers, change: str
) -> None:
    name = f"twice-{change}"
    page = _new_account(servers, name)
    if change == "restore":
        send(servers.first, f"{page}/suspend")
    typed = {"role": "owner", "email": f"{name}@example.com"}
    only = AuditFilter(subject=page.rpartition("/")[2])
    audit_log = servers.console.control_plane.audit_log
    before = len(audit_log.list(0, 1_000, only=only))
    answers = servers.send_twice(f"{page}/{change}", typed)
    places = {answer.headers["location"] for answer in answers}
    assert [answer.status for answer in answers] == [303, 303]
    assert len(places) == 1
    assert len(audit_log.list(0, 1_000, only=only)) - before <= 1
