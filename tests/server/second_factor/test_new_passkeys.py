"""Adding passkeys on the account page, and what a page with a passkey's form says over HTTP."""

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from msgspec import structs
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.filled_sqlite import filled_control_plane
from tests.support.databases.stored_data import execute_sql
from tests.support.second_factor.authenticator import SoftAuthenticator, base64url
from tests.support.second_factor.passkeys import add_passkey, options_in
from tests.support.servers.control_planes import Deployment
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.server_in_process import serve_in_process
from tests.support.sign_in.sign_ins import EMAIL, get_account
from tests.support.users import NEW_PASSWORD, PASSWORD, checked_user

from anyscale.domain.validation import Policy
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.second_factor.policy import SecondFactorPolicy
from anyscale.server.store.records.factors import FactorRecord

ORIGIN = "https://accounts.example.com"
PAGE = "/account/second-factor/passkey"
FORM_PAGE = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


@pytest.fixture
def control_plane(store_deployment: Deployment) -> Iterator[ControlPlane]:
    """A control plane with two accounts."""
    control_plane, _ = filled_control_plane(store_deployment.settings(), _create_accounts)
    with closing(control_plane):
        yield control_plane


def _create_accounts(control_plane: ControlPlane) -> None:
    users = [checked_user(email, PASSWORD) for email in (EMAIL, "kim@example.com")]
    passwords = [(0, PASSWORD), (1, PASSWORD)]
    control_plane.batches.create(OPERATOR, "key", users, "fail", passwords)


@pytest.fixture
def browser(control_plane: ControlPlane) -> Iterator[HttpClient]:
    """A browser where the user of EMAIL has signed in."""
    with serve_in_process(control_plane) as url:
        yield HttpClient(url).sign_in_first_time()


def send(client: HttpClient, path: str, answer: str, **fields: str) -> HttpResponse:
    return client.request("POST", path, form={"passkey": answer, **fields}, headers=FORM_PAGE)


def add(client: HttpClient, device: SoftAuthenticator, **fields: str) -> HttpResponse:
    answer = device.create(options_in(client.request("GET", PAGE)))
    return send(client, PAGE, answer, **fields)


def factors_of(control_plane: ControlPlane, email: str = EMAIL) -> list[FactorRecord]:
    with control_plane.store.read() as tx:
        return list(tx.factors.list(get_account(control_plane, email).user_id))


def methods_of(control_plane: ControlPlane) -> list[str]:
    with control_plane.store.read() as tx:
        return [one.methods for one in tx.sessions.list(get_account(control_plane).user_id)]


def test_the_first_passkey_brings_recovery_codes_and_the_next_one_none(
    control_plane: ControlPlane, browser: HttpClient
) -> None:
    first = add(browser, SoftAuthenticator(ORIGIN), name="Phone")
    second = add(browser, SoftAuthenticator(ORIGIN))

    assert first.status == 200
    assert "recovery codes" in first.text
    assert second.headers["location"] == "/?note=factor_added"
    assert "The second factor is added." in browser.request("GET", "/?note=factor_added").text
    assert [one.name for one in factors_of(control_plane)] == ["Phone", "Passkey"]
    assert {one.rp_id for one in factors_of(control_plane)} == {"accounts.example.com"}
    assert methods_of(control_plane) == ["pwd hwk mfa"]
    page = browser.request("GET", "/").text
    assert "Phone" in page
    assert "Passkey, added on" in page


def test_an_added_passkey_signs_in_on_the_sign_in_page(browser: HttpClient) -> None:
    device = SoftAuthenticator(ORIGIN)
    add(browser, device)
    client = HttpClient(f"http://{browser.host}")
    page = client.request("GET", "/sign-in")

    signed_in = send(client, "/sign-in/passkey", device.get(options_in(page)), to="/console")

    assert 'autocomplete="username webauthn"' in page.text
    assert (signed_in.status, signed_in.headers["location"]) == (303, "/console")
    assert EMAIL in client.request("GET", "/").text


def test_a_passkey_that_is_shown_after_the_session_has_ended_begins_again(
    browser: HttpClient, control_plane: ControlPlane
) -> None:
    device = SoftAuthenticator(ORIGIN)
    add(browser, device)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update sessions set authenticated_at = null")
    again = {"password": NEW_PASSWORD, "to": ""}
    asked = browser.request("POST", "/sign-in-again", form=again, headers=FORM_PAGE)
    assert asked.headers["location"] == "/sign-in/second-factor"
    answer = device.get(options_in(browser.request("GET", "/sign-in/second-factor")))
    with control_plane.store.write() as tx:
        execute_sql(tx, "delete from sessions")

    late = send(browser, "/sign-in/second-factor", answer)
    assert (late.status, late.headers["location"]) == (303, "/sign-in?note=half_expired")


def test_a_device_with_a_passkey_is_told_not_to_create_another(browser: HttpClient) -> None:
    device = SoftAuthenticator(ORIGIN)
    add(browser, device)
    excluded = options_in(browser.request("GET", PAGE))["excludeCredentials"]

    assert [one["transports"] for one in excluded] == [["internal"]]
    again = add(browser, device)
    assert again.status == 403
    assert "This passkey was added before." in again.text


def test_an_account_has_20_passkeys_at_most(
    control_plane: ControlPlane, browser: HttpClient
) -> None:
    add(browser, SoftAuthenticator(ORIGIN))
    for _ in range(19):
        add_passkey(control_plane)

    refused = add(browser, SoftAuthenticator(ORIGIN))

    assert refused.status == 400
    assert "You have 20 passkeys: remove one first." in refused.text
    assert len(factors_of(control_plane)) == 20


def test_a_passkey_replaces_a_lost_factor(control_plane: ControlPlane, browser: HttpClient) -> None:
    add(browser, SoftAuthenticator(ORIGIN), name="Lost")
    (lost,) = factors_of(control_plane)
    page = browser.request("GET", f"{PAGE}?replaces={lost.factor_id}")
    assert f'name="replaces" value="{lost.factor_id}"' in page.text
    replaced = add(browser, SoftAuthenticator(ORIGIN), name="New", replaces=lost.factor_id)

    assert replaced.headers["location"] == "/?note=factor_replaced"
    assert [one.name for one in factors_of(control_plane)] == ["New"]


@pytest.mark.parametrize("name", ["a" * 65, "a\u202eb"])
def test_a_wrong_name_is_refused_and_the_field_keeps_it(
    control_plane: ControlPlane, browser: HttpClient, name: str
) -> None:
    refused = add(browser, SoftAuthenticator(ORIGIN), name=name)

    assert refused.status == 400
    assert "at most 64 characters" in refused.text
    assert factors_of(control_plane) == []


REFUSED: dict[str, dict[str, Any]] = {
    "another site": {"origin": "https://evil.example"},
    "a frame": {"cross_origin": True},
    "another RP ID": {"rp_id": "example.com"},
    "nobody verified": {"flags": 1},
    "a sign-in": {"type": "webauthn.get"},
    "a weak key": {"public": {1: 2, 3: -7}},
    "no challenge": {"challenge": ""},
}


@pytest.mark.parametrize("changed", REFUSED.values(), ids=REFUSED)
def test_a_registration_that_no_page_of_ours_has_asked_for_adds_nothing(
    control_plane: ControlPlane, browser: HttpClient, changed: dict[str, Any]
) -> None:
    answer = SoftAuthenticator(ORIGIN).create(options_in(browser.request("GET", PAGE)), **changed)
    refused = send(browser, PAGE, answer)

    assert refused.status == 403
    assert options_in(refused)["challenge"], "the page is shown anew"
    assert factors_of(control_plane) == []


def test_a_registration_is_used_once_and_by_its_session(
    control_plane: ControlPlane, browser: HttpClient
) -> None:
    options = options_in(browser.request("GET", PAGE))
    other = HttpClient(f"http://{browser.host}").sign_in_first_time("kim")
    stolen = SoftAuthenticator(ORIGIN).create(options)

    assert send(other, PAGE, stolen).status == 403
    assert send(browser, PAGE, stolen).status == 200
    assert send(browser, PAGE, SoftAuthenticator(ORIGIN).create(options)).status == 403
    assert len(factors_of(control_plane)) == 1
    assert factors_of(control_plane, "kim@example.com") == []


def test_a_credential_of_another_account_is_not_added_twice(
    control_plane: ControlPlane, browser: HttpClient
) -> None:
    other = HttpClient(f"http://{browser.host}").sign_in_first_time("kim")
    device = SoftAuthenticator(ORIGIN)
    assert add(other, device).status == 200

    assert add(browser, device).status == 403
    assert factors_of(control_plane) == []


def test_an_old_sign_in_adds_nothing_and_the_page_keeps_what_is_replaced(
    control_plane: ControlPlane, browser: HttpClient
) -> None:
    answer = SoftAuthenticator(ORIGIN).create(options_in(browser.request("GET", PAGE)))
    with control_plane.store.write() as tx:
        execute_sql(tx, "update sessions set authenticated_at = 5")

    shown = browser.request("GET", PAGE)
    sent = send(browser, PAGE, answer, name="New", replaces="fac_1")
    assert (shown.status, sent.status) == (303, 307)
    assert shown.headers["location"].startswith("/sign-in-again?to=")
    assert sent.headers["location"].startswith("/sign-in/form?")
    assert factors_of(control_plane) == []

    send(browser, sent.headers["location"], answer, name="New", replaces="fac_1")
    with control_plane.store.write() as tx:
        execute_sql(tx, "update sessions set authenticated_at = created_at")
    again = browser.request("GET", f"{PAGE}?restored=yes").text
    assert 'value="New"' in again
    assert 'name="replaces" value="fac_1"' in again


def test_a_stolen_session_without_the_factor_adds_none(
    control_plane: ControlPlane, browser: HttpClient
) -> None:
    answer = SoftAuthenticator(ORIGIN).create(options_in(browser.request("GET", PAGE)))
    add_passkey(control_plane)

    assert send(browser, PAGE, answer).status == 307
    assert len(factors_of(control_plane)) == 1


def test_a_refusal_is_in_the_audit_log_with_its_reason_and_account(
    control_plane: ControlPlane, browser: HttpClient
) -> None:
    device = add_passkey(control_plane)
    client = HttpClient(f"http://{browser.host}")
    page = client.request("GET", "/sign-in")
    refused = send(client, "/sign-in/passkey", device.get(options_in(page), counter=1))

    assert refused.status == 403
    assert "may have been copied" in refused.text
    entries = control_plane.audit_log.list(0, 1_000)
    (denied,) = [one for one in entries if one.event == "access.denied"]
    assert denied.actor == f"user:{get_account(control_plane).user_id}"
    data = json.loads(denied.data)
    assert (data["reason"], data["call"]) == ("copied", "POST /sign-in/passkey")


def test_a_passkey_signs_in_again_and_leads_to_the_page_that_needed_it(
    control_plane: ControlPlane, browser: HttpClient
) -> None:
    device = SoftAuthenticator(ORIGIN)
    add(browser, device)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update sessions set authenticated_at = 5")
    page = browser.request("GET", browser.request("GET", PAGE).headers["location"])
    to = re.search(r'name="to" value="([^"]*)"', page.text)
    assert to

    forged = send(browser, "/sign-in-again", device.get(options_in(page), flags=1), to=to[1])
    right = send(browser, "/sign-in-again", device.get(options_in(forged)), to=to[1])

    assert forged.status == 403
    assert "did not check that it is you" in forged.text
    assert (right.status, right.headers["location"]) == (303, PAGE)
    assert browser.request("GET", PAGE).status == 200


def test_after_the_password_the_page_takes_a_passkey_and_is_shown_anew_after_a_refusal(
    control_plane: ControlPlane, browser: HttpClient
) -> None:
    device = add_passkey(control_plane)
    client = HttpClient(f"http://{browser.host}")
    form = {"email": EMAIL, "password": NEW_PASSWORD}
    half = client.request("POST", "/sign-in", form=form, headers=FORM_PAGE)
    page = client.request("GET", half.headers["location"])
    (allowed,) = options_in(page)["allowCredentials"]
    assert allowed["id"] == base64url(device.credential_id)

    refused = send(client, half.headers["location"], device.get(options_in(page), flags=1))
    right = send(client, half.headers["location"], device.get(options_in(refused)))

    assert refused.status == 403
    assert (right.status, right.headers["location"]) == (303, "/")
    assert "__Host-second-factor" not in client.cookies
    assert EMAIL in client.request("GET", "/").text


def test_the_page_says_why_no_passkey_of_the_account_can_be_used(
    control_plane: ControlPlane, browser: HttpClient
) -> None:
    add_passkey(control_plane)
    with control_plane.store.write() as tx:
        execute_sql(tx, "update factors set rp_id = 'former.example.com'")
    form = {"email": EMAIL, "password": NEW_PASSWORD}
    half = browser.request("POST", "/sign-in", form=form, headers=FORM_PAGE)
    page = browser.request("GET", half.headers["location"]).text

    assert "created for another address of this server" in page
    assert "data-passkey" not in page


def test_an_expired_page_is_shown_anew_and_works(
    control_plane: ControlPlane, browser: HttpClient
) -> None:
    device = add_passkey(control_plane)
    client = HttpClient(f"http://{browser.host}")
    first = device.get(options_in(client.request("GET", "/sign-in")))
    del client.cookies["__Host-browser"]  # it expires with the page

    shown = send(client, "/sign-in/passkey", first)

    assert shown.status == 403
    assert "Please try once more." in shown.text
    assert send(client, "/sign-in/passkey", device.get(options_in(shown))).status == 303


@contextmanager
def served(deployment: Deployment, **settings: Any) -> Iterator[HttpClient]:
    """Serve the database with other settings."""
    changed = structs.replace(deployment.settings(), **settings)
    with closing(cheap_control_plane(changed)) as other, serve_in_process(other) as url:
        yield HttpClient(url)


@pytest.mark.parametrize(
    "settings",
    [
        {"second_factor": SecondFactorPolicy("off")},
        {"public_url": "http://127.0.0.1:8000"},
        {"public_url": None},
    ],
    ids=["off", "an IP address", "no address"],
)
def test_where_there_are_no_passkeys_no_page_offers_them(
    store_deployment: Deployment, control_plane: ControlPlane, settings: dict[str, Any]
) -> None:
    device = add_passkey(control_plane)
    with served(store_deployment, **settings) as client:
        assert "data-passkey" not in client.request("GET", "/sign-in").text
        answer = device.get({"rpId": "accounts.example.com", "challenge": "AAAA"})
        assert send(client, "/sign-in/passkey", answer).status == 404


def test_where_sso_is_the_only_way_the_sign_in_page_offers_no_passkey(
    store_deployment: Deployment, control_plane: ControlPlane
) -> None:
    assert control_plane.passkey_login
    with served(store_deployment, policy=Policy(sso_only=True)) as client:
        assert "data-passkey" not in client.request("GET", "/sign-in").text
