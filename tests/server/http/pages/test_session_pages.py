"""Pages for signed-in users, and pages only for owners."""

from contextlib import closing
from pathlib import Path

import pytest
from litestar.handlers import HTTPRouteHandler
from litestar.params import RawBody
from tests.server.http.pages.requests import Come, create_owner, get, send
from tests.support.callers import operator
from tests.support.servers.http_client import HttpClient
from tests.support.users import NEW_PASSWORD, PASSWORD

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.permissions import Permission
from anyscale.server.http.authentication import require_permission
from anyscale.server.http.bodies import SMALL_BODY
from anyscale.server.http.dependencies import UserRequest
from anyscale.server.http.login import pages
from anyscale.server.http.route_handlers import get as get_handler
from anyscale.server.http.route_handlers import post as post_handler
from anyscale.server.http.web.session_pages import session_pages
from anyscale.server.settings import Settings


@get_handler("/", pool="read")
def show_email(request: UserRequest) -> str:
    return request.user.account.email


@post_handler("/", pool="read")
def write(request: UserRequest, body: RawBody) -> str:
    return f"{request.user.actor} {len(body)}"


@get_handler("/", pool="read", guards=[require_permission])
def show_nothing() -> str:
    return ""


HANDLERS: list[HTTPRouteHandler] = [show_email, write]
#: one for all tests, whose servers share their routes
OWNERS = session_pages(HANDLERS, path="/owners", permission=Permission.USE_CONSOLE)
#: requires a permission, and names none
FORGOTTEN = session_pages([show_nothing], path="/forgotten")


@pytest.fixture
def jane(come: Come, monkeypatch: pytest.MonkeyPatch) -> HttpClient:
    """A client of a server that has a page for owners besides its own ones."""
    monkeypatch.setattr(pages, "ROUTERS", [*pages.ROUTERS, OWNERS, FORGOTTEN])
    return come()


def open_control_plane(folder: Path) -> "closing[ControlPlane]":
    return closing(ControlPlane(Settings(database=folder / "anyscale.db")))


def denials(folder: Path) -> list[str]:
    with open_control_plane(folder) as control_plane:
        entries = control_plane.audit_log.list(0, 100)
    return [entry.data for entry in entries if entry.event == "access.denied"]


def test_a_page_without_a_session_redirects_to_the_sign_in_page(
    jane: HttpClient, tmp_path: Path
) -> None:
    for path in ("/", "/owners"):
        answer = get(jane, path)
        assert (answer.status, answer.headers["location"]) == (303, "/sign-in")
        ended = get(jane, path, Cookie="__Host-session=unknown")
        assert ended.headers["location"] == "/sign-in?note=session_expired"
    assert denials(tmp_path) == []


def test_a_page_for_owners_needs_a_password_of_their_own_and_the_role(
    jane: HttpClient, tmp_path: Path
) -> None:
    with open_control_plane(tmp_path) as control_plane:
        create_owner(control_plane)
    send(jane, "/sign-in", email="jane@example.com", password=PASSWORD)
    answer = get(jane, "/owners")
    assert (answer.status, answer.headers["location"]) == (303, "/password")
    send(jane, "/password", current=PASSWORD, new=NEW_PASSWORD, again=NEW_PASSWORD)
    answer = get(jane, "/owners")
    assert (answer.status, answer.text) == (200, "jane@example.com")
    assert denials(tmp_path) == []


def test_a_page_for_owners_is_denied_to_collaborators_and_the_audit_log_says_so(
    jane: HttpClient, tmp_path: Path
) -> None:
    jane.sign_in_first_time()
    answer = get(jane, "/owners")
    assert (answer.status, "This is not allowed" in answer.text) == (403, True)
    assert denials(tmp_path) == ['{"call":"GET /owners","reason":"not_permitted","times":1}']
    assert send(jane, "/owners").status == 403


def test_a_page_that_names_no_permission_has_that_of_the_operator(
    jane: HttpClient, tmp_path: Path
) -> None:
    jane.sign_in_first_time()
    with open_control_plane(tmp_path) as control_plane:
        create_owner(control_plane)
    assert get(jane, "/forgotten").status == 403


def test_a_page_for_owners_takes_no_token(jane: HttpClient, tmp_path: Path) -> None:
    with open_control_plane(tmp_path) as control_plane:
        token = control_plane.tokens.create(operator("test"), "laptop", "owner", None)
    answer = get(jane, "/owners", Authorization=f"Bearer {token}")
    assert (answer.status, answer.headers["location"]) == (303, "/sign-in")


def test_a_form_of_an_owner_is_small_and_comes_from_our_own_pages(
    jane: HttpClient, tmp_path: Path
) -> None:
    jane.sign_in_first_time()
    with open_control_plane(tmp_path) as control_plane:
        create_owner(control_plane)
    for size, site, status in (
        (SMALL_BODY, "same-origin", 201),
        (SMALL_BODY + 1, "same-origin", 413),
        (1, "cross-site", 403),
    ):
        headers = {"Sec-Fetch-Site": site}
        answer = jane.request("POST", "/owners", raw=b"x" * size, headers=headers)
        assert answer.status == status
