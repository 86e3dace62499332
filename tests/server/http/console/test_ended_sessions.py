"""What was typed into a form survives the end of the session, and so does the address of a page."""

import re
import zlib
from collections.abc import Iterator
from html import unescape
from urllib.parse import quote

import pytest
from tests.server.http.console.conftest import Console, run_console
from tests.server.http.pages.requests import BROWSER, PROVIDER, PUBLIC, fields_of, get, send
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.sign_in.sign_ins import let_time_pass
from tests.support.users import NEW_PASSWORD, create_accounts

from anyscale.server.core.signer import derive_key, sign
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.http.cookies import DEVICE
from anyscale.server.http.web.kept_forms import COOKIE

HUB = "https://hub.example.com/callback"

#: the typed fields of each form of the product that has any but secrets, by the address
FORMS = {
    "/console/applications/new": {
        "name": "Wiki <1>",
        "redirect_uris": f"{HUB}\n{HUB}/2",
        "audience": "owners",
        "refresh_tokens": "yes",
    },
    "/console/applications/{client_id}/edit": {"name": "Renamed", "without_pkce": "yes"},
    "/console/users/new": {"email": "ada@example.com", "name": "Ada", "is_sso_user": "yes"},
    "/console/users/{user_id}/correct": {"name": "Anna", "title": "Ärztin"},
    "/console/tokens/new": {"name": "laptop", "days": "365", "replaces": "tok_1"},
    "/console/users/{user_id}/delete": {"email": "ann@example.com"},
    "/console/batches/{batch_id}/undo": {"number": "1"},
}


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    folder = tmp_path_factory.mktemp("ended")
    with run_console(folder, public_url=PUBLIC, provider=PROVIDER) as console:
        create_accounts(console.control_plane, "ann")
        yield console


@pytest.fixture
def jane(console: Console) -> HttpClient:
    return console.browser()


def address_of(console: Console, jane: HttpClient, path: str) -> str:
    """Return an address with the ids of an account, its batch and an application."""
    with console.control_plane.store.read() as tx:
        user = tx.accounts.find("ann@example.com")
    assert user
    listed = console.control_plane.applications.list()
    if not listed and "client_id" in path:
        send(jane, "/console/applications/new", name="Hub", redirect_uris=HUB)
        listed = console.control_plane.applications.list()
    client_id = listed[0].client_id if listed else ""
    return path.format(user_id=user.user_id, batch_id=user.batch_id, client_id=client_id)


def follow(client: HttpClient, answer: HttpResponse) -> HttpResponse:
    """Follow the redirects of an answer as a browser does."""
    while answer.status == 303:
        answer = get(client, answer.headers["location"])
    return answer


def sign_in(client: HttpClient, page: HttpResponse, **form: str) -> HttpResponse:
    """Send the sign-in form of a page, and follow the answer."""
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
    sent = {name: unescape(value) for name, value in hidden.items()} | form
    again = "Sign in again" in page.text
    path = "/sign-in-again" if again else "/sign-in"
    return follow(client, send(client, path, **sent, password=NEW_PASSWORD))


def shown(page: HttpResponse) -> dict[str, str]:
    chosen = re.findall(
        r'<select id="(\w+)".*?<option value="(\w*)" selected', page.text, re.DOTALL
    )
    return fields_of(page) | dict(chosen)


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("end", ["signed out", "sign in again"])
def test_a_form_has_its_fields_again_after_the_sign_in(
    console: Console, jane: HttpClient, path: str, end: str
) -> None:
    address, typed = address_of(console, jane, path), FORMS[path]
    opened = fields_of(get(jane, address))
    if end == "signed out":
        send(console.browser(), "/sessions/revoke-others")
    elif path.endswith(("correct", "users/new")):
        return  # these need no recent sign-in
    else:
        let_time_pass(console.control_plane, 16 * MINUTE_MS)
    before = console.control_plane.audit_log.list(0, 10_000)
    form = opened | typed | {"expected": "1", "password": "never kept 1", "form_key": "f" * 32}
    asked = follow(jane, send(jane, address, **form))
    assert "Sign in" in asked.text
    restored = sign_in(jane, asked, email="jane@example.com")
    assert shown(restored).items() >= typed.items()
    assert "Nothing was changed before" in restored.text
    for secret in ("never kept 1", "f" * 32):
        assert secret not in restored.text
        assert secret not in str(jane.cookies)
    events = {one.event for one in console.control_plane.audit_log.list(len(before), 10_000)}
    assert {one.partition(".")[0] for one in events} <= {"session", "sessions", "access"}
    assert not shown(get(jane, address)).items() >= typed.items(), (
        "a later visit shows them no more"
    )


def test_the_selected_accounts_stay_after_the_session_has_ended(
    console: Console, jane: HttpClient
) -> None:
    user_id = address_of(console, jane, "{user_id}")
    send(console.browser(), "/sessions/revoke-others")
    form = {"user_id": user_id, "format": "csv", "newest": "0"}
    asked = follow(jane, send(jane, "/console/users/links?q=ann", **form))
    page = sign_in(jane, asked, email="jane@example.com")
    assert f'name="user_id" value="{user_id}"' in page.text


def test_a_change_of_an_application_that_another_made_meanwhile_is_still_noticed(
    console: Console, jane: HttpClient
) -> None:
    path = address_of(console, jane, "/console/applications/{client_id}/edit")
    opened = fields_of(get(jane, path))
    other = console.browser()
    send(other, path, **{**opened, "audience": "owners"})
    send(other, "/sessions/revoke-others")
    form = {**opened, "name": "Hub 2"}
    asked = follow(jane, send(jane, path, **form))
    page = sign_in(jane, asked, email="jane@example.com")
    assert send(jane, path, **fields_of(page)).status == 303
    (hub,) = [one for one in console.control_plane.applications.list() if one.name == "Hub 2"]
    assert hub.audience == ["owners"]


def test_after_the_sign_in_the_page_says_that_the_password_was_not_changed(
    console: Console, jane: HttpClient
) -> None:
    send(console.browser(), "/sessions/revoke-others")
    form = {"current": NEW_PASSWORD, "new": "never set 1", "again": "never set 1"}
    asked = follow(jane, send(jane, "/password", **form))
    page = sign_in(jane, asked, email="jane@example.com")
    assert "Change your password" in page.text
    assert "Nothing was changed before" in page.text


def test_a_bookmark_arrives_after_the_sign_in(console: Console) -> None:
    client = HttpClient(console.url)
    bookmark = "/console/users?q=ann+k%C3%B6nig&state=link"
    asked = follow(client, get(client, bookmark))
    wrong = send(client, "/sign-in", email="jane@example.com", password="wrong one", to=bookmark)
    for page in (asked, wrong):
        assert f'/sso/start?to={quote(bookmark, safe="/")}"' in page.text.replace("&amp;", "&")
        answer = send(
            client, "/sign-in", **fields_of(page), email="jane@example.com", password=NEW_PASSWORD
        )
        assert answer.headers["location"] == bookmark
    assert get(client, f"/sign-in?to={quote(bookmark)}").headers["location"] == bookmark


def test_the_page_of_a_form_that_only_sends_is_the_one_that_has_it(
    console: Console, jane: HttpClient
) -> None:
    page = address_of(console, jane, "/console/users/{user_id}")
    send(console.browser(), "/sessions/revoke-others")
    assert send(jane, f"{page}/suspend").headers["location"] == f"{page}?restored=yes"


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/console//evil.example/\\",
        "/console/../sign-out",
        "/console@evil.example",
        "/console.evil.example",
        "javascript:alert(1)",
        "/sso/start",
        "/oauth2/authorize?client_id=x",
        "/console\r\nSet-Cookie: a=b",
        "/consolé",
    ],
)
def test_no_other_address_is_followed(console: Console, to: str) -> None:
    client = HttpClient(console.url)
    form = {"email": "jane@example.com", "password": NEW_PASSWORD, "to": to}
    assert "evil" not in get(client, f"/sign-in?to={quote(to)}").text
    assert send(client, "/sign-in", **form).headers["location"] == "/"
    assert get(client, f"/sign-in?to={quote(to)}").headers["location"] == "/"
    kept = send(client, f"/sign-in/form?to={quote(to)}", name="x")
    assert kept.headers["location"] == "/?restored=yes"


def test_fields_are_restored_on_their_own_page_and_by_their_own_cookie_alone(
    console: Console, jane: HttpClient
) -> None:
    form = {"name": "laptop", "days": "30"}
    place = send(jane, "/sign-in/form?to=/console/tokens/new", **form).headers["location"]
    assert 'value="laptop"' in get(jane, place).text
    assert 'value="laptop"' not in get(jane, "/console/applications/new?restored=yes").text
    assert 'value="laptop"' not in get(console.browser(), place).text
    jane.cookies[COOKIE] = jane.cookies[COOKIE][:-2] + "xx"
    assert 'value="laptop"' not in get(jane, place).text


def test_the_next_user_of_a_browser_does_not_get_the_fields(jane: HttpClient) -> None:
    send(jane, "/sign-in/form?to=/console/tokens/new", name="laptop", days="30")

    send(jane, "/sign-out")

    assert not jane.cookies.get(COOKIE)


FORGED = {
    "not compressed": b"x",
    "not JSON": zlib.compress(b"{"),
    "of other types": zlib.compress(b"[1]"),
    "very large": zlib.compress(
        b'["/console/tokens/new", {"name": "%s"}]' % (b"a" * 10_000_000), 9
    ),
}


@pytest.mark.parametrize("content", FORGED)
def test_a_cookie_that_its_user_has_sealed_shows_an_empty_form(
    jane: HttpClient, content: str
) -> None:
    key = derive_key(jane.cookies[DEVICE], "kept form")
    jane.cookies[COOKIE] = sign(key, FORGED[content])

    page = get(jane, "/console/tokens/new?restored=yes")

    assert (page.status, shown(page)["name"]) == (200, "")


def test_another_site_cannot_fill_a_form(jane: HttpClient) -> None:
    answer = jane.request(
        "POST",
        "/sign-in/form?to=/console/tokens/new",
        form={"name": "evil"},
        headers=BROWSER | {"Sec-Fetch-Site": "cross-site"},
    )
    assert (answer.status, COOKIE in jane.cookies) == (403, False)


def test_fields_that_are_too_long_for_a_cookie_are_lost_and_the_page_comes(
    jane: HttpClient,
) -> None:
    long = "".join(chr(33 + at * at % 90) for at in range(9_000))
    answer = send(jane, "/sign-in/form?to=/console/applications/new", redirect_uris=long)
    assert len(jane.cookies.get(COOKIE, "")) < 4_000
    assert get(jane, answer.headers["location"]).status == 200
