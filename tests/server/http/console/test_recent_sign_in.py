"""An owner signs in again before what cannot be undone, and continues at the same page."""

import re
from html import unescape
from urllib.parse import quote

import pytest
from tests.server.http.console.conftest import Console, OpenConsole
from tests.server.http.pages.requests import PROVIDER, PUBLIC, get, send
from tests.support.second_factor.authenticator_apps import (
    add_app,
    code_shown,
    seed_keys_folder,
)
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.sign_in.sign_ins import events_of, get_account, let_time_pass
from tests.support.users import NEW_PASSWORD
from tests.support.waiting import wait_until

from anyscale.server.core.signer import Signer
from anyscale.server.core.time_units import MINUTE_MS

#: a page with the guard, and its form
GUARDED = "/console/tokens/new"

LONG_AGO = 15 * MINUTE_MS + 1_000


@pytest.fixture
def console(shared_console: Console) -> Console:
    return shared_console


@pytest.fixture
def old(console: Console) -> HttpClient:
    """A browser in which jane signed in more than 15 minutes ago."""
    return aged(console)


def aged(console: Console) -> HttpClient:
    client = console.browser()
    let_time_pass(console.control_plane, LONG_AGO)
    return client


def signed(client: HttpClient, path: str = GUARDED) -> str:
    """Open a guarded page, and give the signed path of the page to which it leads."""
    place: str = get(client, path).headers["location"]
    assert place.startswith("/sign-in-again?to=")
    return place.partition("=")[2]


def again(client: HttpClient, to: str = "", password: str = NEW_PASSWORD) -> HttpResponse:
    return send(client, "/sign-in-again", to=to, password=password)


def problem_of(page: HttpResponse) -> str:
    found = re.search(r'<p id="problem-text">(.*?)</p>', page.text)
    return unescape(re.sub("<[^>]+>", "", found[1])) if found else ""


def test_a_recent_sign_in_opens_the_page(console: Console) -> None:
    assert get(console.browser(), GUARDED).status == 200


@pytest.mark.parametrize(("minutes", "status"), [(14, 200), (16, 303), (-60, 303)])
def test_a_sign_in_is_recent_for_15_minutes_and_not_if_its_time_is_to_come(
    console: Console, minutes: int, status: int
) -> None:
    client = console.browser()
    let_time_pass(console.control_plane, minutes * MINUTE_MS)
    assert get(client, GUARDED).status == status


def test_the_form_of_the_page_needs_a_recent_sign_in_too(console: Console, old: HttpClient) -> None:
    answer = send(old, GUARDED, name="laptop", days="30")
    assert answer.headers["location"].startswith("/sign-in-again?to=")
    assert "token.created" not in dict(events_of(console.control_plane))


def test_no_call_creates_an_owners_token_without_it(console: Console, old: HttpClient) -> None:
    call = old.request("POST", "/v1/me/tokens", {"name": "laptop", "expires_days": 30})
    assert (call.status, call.json["code"]) == (403, "not_permitted")
    assert "sign in again" in call.json["detail"]
    assert "token.created" not in dict(events_of(console.control_plane))


def test_a_collaborator_gets_no_token(console: Console) -> None:
    bob = console.browser("bob")
    assert send(bob, GUARDED, name="laptop", days="30").status == 403
    call = bob.request("POST", "/v1/me/tokens", {"name": "laptop", "expires_days": 30})
    assert (call.status, call.json["code"]) == (403, "not_permitted")
    user_id = get_account(console.control_plane, "bob@example.com").user_id
    assert console.control_plane.tokens.list_live(user_id) == []


def test_other_pages_of_the_console_need_none(old: HttpClient) -> None:
    assert get(old, "/console/tokens").status == 200


def test_the_password_leads_on_to_the_page_and_the_session_stays(
    console: Console, old: HttpClient
) -> None:
    before = old.cookies["__Host-session"]
    answer = again(old, signed(old))
    assert (answer.status, answer.headers["location"]) == (303, GUARDED)
    assert old.cookies["__Host-session"] == before
    assert get(old, GUARDED).status == 200
    session = console.control_plane.sessions.authenticate(before)
    assert ("session.renewed", session.actor) in events_of(console.control_plane)


def test_the_filters_of_the_page_stay(old: HttpClient) -> None:
    answer = again(old, signed(old, f"{GUARDED}?q=a%20b&to=//evil.example"))
    assert answer.headers["location"] == f"{GUARDED}?q=a+b&to=%2F%2Fevil.example"


def test_a_path_stays_as_it_was_sent(old: HttpClient) -> None:
    path = "/console/batches/bat%3F%23%25/links"
    assert again(old, signed(old, path)).headers["location"] == path


def test_a_wrong_password_is_refused_and_is_in_the_audit_log(
    console: Console, old: HttpClient
) -> None:
    page = again(old, signed(old), "not the password")
    assert page.status == 401
    assert problem_of(page) == "The current password is wrong."
    assert '<a href="#password">' in page.text
    assert get(old, GUARDED).status == 303
    caller = console.control_plane.sessions.authenticate(old.cookies["__Host-session"])
    wait_until(lambda: ("access.denied", caller.actor) in events_of(console.control_plane))


def test_no_password_is_refused(old: HttpClient) -> None:
    page = again(old, signed(old), "")
    assert (page.status, problem_of(page)) == (400, "Enter your password.")


def test_guesses_are_limited_as_those_of_a_sign_in_are(open_console: OpenConsole) -> None:
    old = aged(open_console())
    statuses = [again(old, "", f"guess {number}").status for number in range(20)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert again(old).status == 429  # also with the right one


PLACES = [
    "https://evil.example/",
    "//evil.example",
    "/console/tokens",
    "/\\evil.example",
    "javascript:alert(1)",
    "eyJzZXNzaW9uX2lkIjoiIiwicGF0aCI6Ii8vZXZpbC5leGFtcGxlIn0" + "A" * 43,
    "é",
    "",
]


@pytest.mark.parametrize("to", PLACES)
def test_no_address_of_a_request_is_followed(old: HttpClient, to: str) -> None:
    assert again(old, to).headers["location"] == "/console"
    assert get(old, f"/sign-in-again?to={quote(to)}").headers["location"] == "/console"


def test_a_sealed_path_is_for_its_session_alone(console: Console, old: HttpClient) -> None:
    other = aged(console)
    assert again(other, signed(old)).headers["location"] == "/console"


def test_a_changed_sealed_path_is_not_followed(old: HttpClient) -> None:
    to = signed(old)
    swapped = to[:20] + ("A" if to[20] != "A" else "B") + to[21:]
    assert again(old, swapped).headers["location"] == "/console"


def test_the_seal_of_another_purpose_is_not_accepted(console: Console, old: HttpClient) -> None:
    caller = console.control_plane.sessions.authenticate(old.cookies["__Host-session"])
    content = f'{{"session_id":"{caller.session.session_id}","path":"/evil"}}'.encode()
    forged = Signer(console.control_plane.transactions, "sso_cookie").sign(content)
    assert again(old, forged).headers["location"] == "/console"


def test_a_page_of_another_site_cannot_send_the_password(console: Console, old: HttpClient) -> None:
    answer = old.request(
        "POST",
        "/sign-in-again",
        form={"password": NEW_PASSWORD, "to": ""},
        headers={"Accept": "text/html", "Sec-Fetch-Site": "cross-site"},
    )
    assert answer.status == 403
    assert get(old, GUARDED).status == 303


def test_the_password_of_another_user_does_not_count(console: Console, old: HttpClient) -> None:
    other = "another password"
    changed = send(
        console.browser("bob"), "/password", current=NEW_PASSWORD, new=other, again=other
    )
    assert changed.status == 303
    assert again(old, "", other).status == 401


def test_a_form_cannot_name_another_user(old: HttpClient) -> None:
    answer = send(old, "/sign-in-again", to="", email="bob@example.com", password=NEW_PASSWORD)
    assert (answer.status, get(old, GUARDED).status) == (303, 200)  # jane's password counts


def test_a_recent_owner_who_opens_the_page_goes_on_at_once(console: Console) -> None:
    answer = get(console.browser(), "/sign-in-again")
    assert (answer.status, answer.headers["location"]) == (303, "/console")


def test_the_page_offers_what_the_account_has(open_console: OpenConsole) -> None:
    console = open_console(provider=PROVIDER, public_url=PUBLIC)
    client = aged(console)
    assert "single sign-on" not in get(client, "/sign-in-again").text
    with console.control_plane.store.write() as tx:
        account = tx.accounts.find("jane@example.com")
        assert account
        tx.accounts.set_details(account.user_id, is_sso_user=True)
    page = get(client, "/sign-in-again").text
    assert 'href="/sign-in-again/sso?to="' in page
    assert 'type="password"' in page


def test_without_a_provider_there_is_no_sign_in_at_one(old: HttpClient) -> None:
    assert get(old, "/sign-in-again/sso").status == 404


def test_an_owner_with_a_second_factor_shows_it_too_and_continues(
    open_console: OpenConsole,
) -> None:
    console = open_console(second_factor_keys=seed_keys_folder())
    old = aged(console)
    seed = add_app(console.control_plane, get_account(console.control_plane).user_id)
    answer = again(old, signed(old))
    assert answer.headers["location"] == "/sign-in/second-factor"
    assert get(old, GUARDED).status == 303  # the password alone renews nothing
    assert "somebody else" not in get(old, "/sign-in/second-factor").text  # jane is signed in
    answer = send(old, "/sign-in/second-factor", code=code_shown(seed))
    assert answer.headers["location"] == GUARDED
    assert get(old, GUARDED).status == 200


def test_after_a_factor_was_added_in_a_stolen_session_no_other_one_creates_a_token(
    open_console: OpenConsole,
) -> None:
    """However recent it is, and whoever has added the factor: until it shows the factor."""
    console = open_console(second_factor_keys=seed_keys_folder())
    control_plane, thief, jane = console.control_plane, console.browser(), console.browser()
    stolen = control_plane.sessions.authenticate(thief.cookies["__Host-session"])
    seed = control_plane.factors.begin_app(stolen).seed
    assert get(jane, GUARDED).status == 200
    control_plane.factors.confirm_app(stolen, code_shown(seed))
    token = {"name": "laptop", "expires_days": 30}

    again(jane, signed(jane))  # by the password alone
    refused = jane.request("POST", "/v1/me/tokens", token)
    assert (refused.status, "sign in again" in refused.json["detail"]) == (403, True)
    send(jane, "/sign-in/second-factor", code=code_shown(seed, seconds_ahead=30))
    assert jane.request("POST", "/v1/me/tokens", token).status == 201
