"""The pages to sign in and to set a password: their methods, their links and their redirects."""

import re
from typing import TYPE_CHECKING

import pytest
from tests.server.http.pages.requests import BROWSER, PROVIDER, PUBLIC, Come, fields_of, get, send
from tests.support.sign_in.site import create_link
from tests.support.users import NEW_PASSWORD, PASSWORD

from anyscale.domain.validation import Policy
from anyscale.server.core.link_secrets import new_link_secret
from anyscale.server.core.secrets import hash_of
from anyscale.server.store.records.login import LinkRecord

if TYPE_CHECKING:
    from anyscale.server.control_plane import ControlPlane


def test_redirects_stay_on_the_server(come: Come) -> None:
    jane = come()
    form = {"email": "jane@example.com", "password": PASSWORD, "next": "https://evil.example"}
    path = "/sign-in?next=https://evil.example"
    answer = jane.request("POST", path, form=form, headers=BROWSER)
    assert (answer.status, answer.headers["location"]) == (303, "/password")
    send(jane, "/password", current=PASSWORD, new=NEW_PASSWORD, again=NEW_PASSWORD)
    for path in ("/sign-out", "/sign-out"):
        answer = jane.request("POST", path, headers=BROWSER | {"Referer": "https://evil.example/"})
        assert answer.headers["location"] == "/sign-in?note=signed_out"
    answer = get(jane, "//evil.example/")
    assert "location" not in answer.headers


def test_a_signed_in_user_needs_no_sign_in_page(come: Come) -> None:
    jane = come()
    assert get(jane, "/sign-in").status == 200
    send(jane, "/sign-in", email="jane@example.com", password=PASSWORD)
    assert get(jane, "/sign-in").headers["location"] == "/"


def test_the_sign_in_page_offers_sso_beside_the_password(come: Come) -> None:
    jane = come(provider=PROVIDER, public_url=PUBLIC)
    text = get(jane, "/sign-in").text
    assert 'href="/sso/start"' in text
    assert 'name="password"' in text


def test_the_sign_in_page_has_no_password_if_sso_is_the_only_method(come: Come) -> None:
    only = Policy(sso_only=True)
    jane = come(provider=PROVIDER, public_url=PUBLIC, policy=only)
    for path in ("/sign-in", "/set-password"):
        assert 'name="password"' not in get(jane, path).text
        assert 'type="password"' not in get(jane, path).text
    answer = send(jane, "/sign-in", email="jane@example.com", password=PASSWORD)
    assert answer.status == 403
    assert "/sso/start" in answer.text


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("expired", "took too long"),
        ("cancelled", "did not finish"),
        ("unavailable", "does not answer"),
        ("not_set_up", "You have no account here that works with single sign-on"),
        ("refused", "could not be accepted"),
        ("anything", "could not be accepted"),
    ],
)
def test_errors_of_the_provider_are_shown_from_a_fixed_list(
    code: str, title: str, come: Come
) -> None:
    jane = come()
    assert title in get(jane, f"/sign-in?sso={code}").text
    numbered = get(jane, f"/sign-in?sso={code}&number=d1c0-ffee").text
    asks = "administrator this number: d1c0-ffe"
    assert (asks in numbered) == (code not in ("expired", "cancelled"))
    for text in ("call%20us", "x.example", "1" * 65):
        assert "number" not in get(jane, f"/sign-in?sso={code}&number={text}").text


@pytest.mark.parametrize(("good", "suspended"), [(True, False), (False, False), (True, True)])
def test_a_valid_link_shows_its_account(good: bool, suspended: bool, come: Come) -> None:
    control_planes: list[ControlPlane] = []
    jane = come(control_planes.append)
    secret = new_link_secret()
    get(jane, "/sign-in")  # purges expired links now, and the next time after a minute
    with control_planes[0].store.write() as tx:
        account = tx.accounts.find("jane@example.com")
        assert account
        end = tx.now() + (60_000 if good else 0)
        tx.links.replace(LinkRecord(account.user_id, hash_of(secret), "test", 0, end))
        tx.accounts.set_suspended(account.user_id, tx.now() if suspended else None)
    works = good and not suspended
    opened = send(jane, "/set-password", link=secret, open="yes")
    answer = send(jane, "/set-password", link=secret, new=NEW_PASSWORD, again="other")
    assert (opened.status, answer.status) == ((200, 422) if works else (410, 410))
    for page in (opened, answer):
        assert ("jane@example.com" in page.text) == works
        assert ("<form" in page.text) == works
        assert ('href="/sign-in"' in page.text) != works


def test_a_link_that_is_pasted_into_the_page_sets_a_password_without_script(come: Come) -> None:
    control_planes: list[ControlPlane] = []
    jane = come(control_planes.append)
    link = create_link(control_planes[0], "jane@example.com")
    page = get(jane, "/set-password")
    assert 'name="link" type="text"' in page.text
    form = fields_of(page) | {"link": f" {PUBLIC}{link} "}
    opened = send(jane, "/set-password", **form)
    assert opened.status == 200
    form = fields_of(opened)
    answer = send(jane, "/set-password", **form, new=NEW_PASSWORD, again=NEW_PASSWORD)
    assert answer.headers["location"] == "/?note=password_set"


def test_too_many_wrong_passwords_show_the_time_to_wait(come: Come) -> None:
    jane = come()
    for _ in range(10):
        assert jane.sign_in(password="not the password").status == 401
    answer = send(jane, "/sign-in", email="jane@example.com", password=PASSWORD)
    assert answer.status == 429
    assert re.search(
        r"Too many attempts to sign in\. Please try again in (9|10) minutes", answer.text
    )


def test_a_link_whose_sign_a_mail_gateway_encoded_leads_to_the_page(come: Come) -> None:
    jane, secret = come(), new_link_secret()
    for sign in ("%23", "%2523", "%252523"):
        moved = get(jane, f"/set-password{sign}{secret}")
        assert (moved.status, moved.headers["location"]) == (303, f"/set-password#{secret}")
        assert "no-store" in moved.headers["cache-control"]
        assert jane.request("HEAD", f"/set-password{sign}{secret}").status == 303
    assert get(jane, f"/elsewhere%23{secret}").status == 404
    assert get(jane, f"/set-password%23{secret[:-1]}").status == 404


def test_a_signed_out_user_is_redirected_to_the_sign_in_page_without_an_audit_entry(
    come: Come,
) -> None:
    control_planes: list[ControlPlane] = []
    jane = come(control_planes.append)
    assert get(jane, "/").headers["location"] == "/sign-in"
    assert get(jane, "/password").headers["location"] == "/sign-in?to=%2Fpassword"
    for path in ("/sessions/revoke", "/tokens/revoke", "/sessions/revoke-others"):
        assert send(jane, path).headers["location"] == "/sign-in"
    jane.cookies["__Host-session"] = "gone"
    assert get(jane, "/").headers["location"] == "/sign-in?note=session_expired"
    (control_plane,) = control_planes
    assert not [one for one in control_plane.audit_log.list(0, 100) if one.event == "access.denied"]


def test_the_page_of_a_first_password_asks_only_for_the_new_one(come: Come) -> None:
    jane = come()
    send(jane, "/sign-in", email="jane@example.com", password=PASSWORD)
    assert 'name="current"' not in get(jane, "/password").text
    answer = send(jane, "/password", new=NEW_PASSWORD, again=NEW_PASSWORD)
    assert answer.headers["location"] == "/?note=password_changed"
    assert 'name="current"' in get(jane, "/password").text
