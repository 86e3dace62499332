"""The pages where users add, replace and remove their second factors, without script."""

import re
from base64 import b32decode
from html import unescape
from urllib.parse import unquote

import pytest
from tests.server.http.pages.requests import Come, fields_of, get, send
from tests.support.databases.stored_data import execute_sql
from tests.support.second_factor.authenticator_apps import (
    add_app,
    code_shown,
    seed_keys_folder,
)
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.sign_in.sign_ins import get_account
from tests.support.users import NEW_PASSWORD

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.second_factor.policy import SecondFactorPolicy

APP = "/account/second-factor/app"
CODE = r"(?:[0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}"


class Jane:
    """A user, and the database of the server."""

    def __init__(self, come: Come, **settings: object) -> None:
        control_planes = list[ControlPlane]()
        settings = {"second_factor_keys": seed_keys_folder()} | settings
        self.client = come(control_planes.append, **settings)
        self.control_plane = control_planes[0]
        self.client.sign_in_first_time()

    @property
    def user_id(self) -> str:
        return get_account(self.control_plane).user_id

    def begin(self, replaces: str = "") -> HttpResponse:
        """Send the form that begins to add an app; give the page with the QR code."""
        answer = send(self.client, APP, replaces=replaces)
        assert answer.status == 303
        return get(self.client, answer.headers["location"])

    def add(self, name: str = "Phone") -> HttpResponse:
        """Add an app; give the page that follows."""
        page = self.begin()
        code = code_shown(seed_of(page))
        return send(self.client, f"{APP}/confirm", **fields_of(page) | {"code": code, "name": name})

    def sign_in_again(self, answer: HttpResponse, seed: bytes) -> HttpResponse:
        """Follow an answer to a form that needs it, with password and code; give the last page."""
        assert answer.headers["location"].startswith("/sign-in-again?to=")
        page = get(self.client, answer.headers["location"])
        assert "Back to your account" in page.text
        answer = send(self.client, "/sign-in-again", **fields_of(page) | {"password": NEW_PASSWORD})
        assert answer.headers["location"] == "/sign-in/second-factor"
        answer = send(self.client, "/sign-in/second-factor", code=code_shown(seed))
        while answer.status == 303:
            answer = get(self.client, answer.headers["location"])
        assert "Nothing was changed before" in answer.text
        return answer

    def age(self) -> None:
        """Let the sign-in be 16 minutes old."""
        with self.control_plane.store.write() as tx:
            execute_sql(tx, "update sessions set authenticated_at = authenticated_at - 960000")


@pytest.fixture
def jane(come: Come) -> Jane:
    return Jane(come)


def seed_of(page: HttpResponse) -> bytes:
    """Read the seed that a page shows, as a person types it into an app."""
    (text,) = re.findall(r'id="secret">([A-Z2-7 ]+)<', page.text)
    return b32decode(text.replace(" ", ""))


def codes_of(page: HttpResponse) -> list[str]:
    (shown,) = re.findall(
        r'<output translate=no class="code lines" id="codes">(.*?)</output>', page.text, re.DOTALL
    )
    return re.findall(CODE, shown)


def test_a_user_adds_an_app_and_gets_recovery_codes_once(jane: Jane) -> None:
    account = get(jane.client, "/").text
    assert "Somebody who learns your password cannot sign in with it" in account
    assert "Add an authenticator app" in account

    page = jane.add("Work phone")
    assert page.status == 200
    assert len(set(codes_of(page))) == 8
    account = get(jane.client, "/").text
    assert "Work phone" in account
    assert "8 are left" in account
    assert not re.search(CODE, account)


def test_the_page_has_the_seed_as_a_picture_a_text_and_an_address_for_the_app(jane: Jane) -> None:
    page = jane.begin()

    assert re.search(r'<div role="img" aria-label="[^"]+"><svg [^>]*class="qr-code">', page.text)
    assert "style=" not in page.text
    (address,) = re.findall(r'href="(otpauth://[^"]+)"', page.text)
    address = unquote(unescape(address))
    assert re.search(r'id="secret">(?:[A-Z2-7]{4} ){7}[A-Z2-7]{4}<', page.text)
    assert address.startswith("otpauth://totp/musterroll:jane@example.com?secret=")
    assert b32decode(address.partition("secret=")[2][:32]) == seed_of(page)
    assert page.headers["cache-control"] == "no-store"
    # Loaded again, it shows the same.
    assert seed_of(get(jane.client, APP)) == seed_of(page)


def test_the_recovery_codes_can_be_saved_without_script(jane: Jane) -> None:
    page = jane.add()

    (data,) = re.findall(r'download="recovery-codes.txt" href="data:([^"]+)"', page.text)
    kind, _, text = unquote(unescape(data)).partition(",")
    assert kind == "text/plain;charset=utf-8"
    assert re.findall(CODE, text) == codes_of(page)
    assert "jane@example.com" in text
    assert page.headers["cache-control"] == "no-store"


def test_a_wrong_code_is_refused_on_the_page_which_keeps_seed_and_name(jane: Jane) -> None:
    page = jane.begin()
    code = code_shown(seed_of(page), seconds_ahead=240)
    refused = send(jane.client, f"{APP}/confirm", code=code, name="<b>", replaces="")

    assert refused.status == 401
    assert "The clock of your phone is 4 minutes ahead" in refused.text
    assert 'value="&lt;b&gt;"' in refused.text
    assert seed_of(refused) == seed_of(page)
    assert code not in refused.text
    long = send(jane.client, f"{APP}/confirm", code=code_shown(seed_of(page)), name="x" * 65)
    assert (long.status, "at most 64 characters" in long.text) == (400, True)


def test_a_form_that_arrives_twice_adds_one_app(jane: Jane) -> None:
    page = jane.begin()
    form = {"code": code_shown(seed_of(page)), "name": "Phone"}
    first = send(jane.client, f"{APP}/confirm", **form)
    second = send(jane.client, f"{APP}/confirm", **form)

    assert (first.status, second.status, second.headers["location"]) == (200, 303, "/")
    assert get(jane.client, "/").text.count("<strong><bdi translate=no>Phone</bdi></strong>") == 1


def test_a_second_app_brings_no_new_codes(jane: Jane) -> None:
    jane.add()
    answer = jane.add("Tablet")

    assert (answer.status, answer.headers["location"]) == (303, "/?note=factor_added")
    account = get(jane.client, "/?note=factor_added").text
    assert "The second factor is added." in account
    assert "8 are left" in account


def test_a_user_removes_the_last_factor_and_is_told_what_that_means(jane: Jane) -> None:
    jane.add()
    account = get(jane.client, "/").text
    assert "then only your password protects your account" in account
    (factor_id,) = re.findall(r'name="factor_id" value="(fac_\w+)"', account)

    for _ in range(2):  # another window has removed it
        answer = send(jane.client, "/account/second-factor/remove", factor_id=factor_id)
        assert answer.headers["location"] == "/?note=factor_removed"
    account = get(jane.client, "/").text
    assert "Phone" not in account
    assert "Recovery codes" not in account


def test_new_recovery_codes_are_shown_in_place_of_the_old_ones(jane: Jane) -> None:
    old = codes_of(jane.add())
    page = send(jane.client, "/account/second-factor/recovery-codes")

    assert len(set(codes_of(page))) == 8
    assert not {*old} & {*codes_of(page)}
    assert "Your old recovery codes do not work any more." in page.text


@pytest.mark.parametrize("path", ["app/confirm", "recovery-codes"])
def test_a_page_with_recovery_codes_that_is_loaded_again_leads_to_the_account(
    jane: Jane, path: str
) -> None:
    answer = get(jane.client, f"/account/second-factor/{path}")
    assert (answer.status, answer.headers["location"]) == (303, "/")


def test_after_each_change_the_page_offers_to_end_other_sessions(jane: Jane) -> None:
    offer = "You are also signed in on another browser."
    assert offer not in get(jane.client, "/?note=factor_removed").text
    HttpClient(f"http://{jane.client.host}").sign_in(password=NEW_PASSWORD)

    page = jane.add()
    assert offer not in page.text  # it would leave the codes, which are shown once
    assert 'href="/?note=codes_kept"' in page.text
    for note in ("codes_kept", "factor_added", "factor_replaced", "factor_removed"):
        assert offer in get(jane.client, f"/?note={note}").text
    assert offer not in get(jane.client, "/").text


def test_an_old_sign_in_comes_back_to_the_page_after_password_and_code(jane: Jane) -> None:
    jane.add()
    seed = add_app(jane.control_plane, jane.user_id)
    jane.age()
    (lost, *_) = re.findall(r'value="(fac_\w+)"', get(jane.client, "/").text)
    page = jane.sign_in_again(send(jane.client, APP, replaces=lost), seed)
    assert "Show the QR code" in page.text
    assert "It takes the place of what you have lost" in page.text
    answer = send(jane.client, APP, **fields_of(page))
    assert answer.headers["location"] == f"{APP}?replaces={lost}"


def test_after_an_old_sign_in_the_app_that_was_scanned_can_still_be_added(jane: Jane) -> None:
    jane.add("Lost phone")
    seed = add_app(jane.control_plane, jane.user_id)
    (lost, *_) = re.findall(r'value="(fac_\w+)"', get(jane.client, "/").text)
    begun = jane.begin(lost)
    jane.age()
    typed = {"name": "New phone", "code": "123456", "replaces": lost}
    page = jane.sign_in_again(send(jane.client, f"{APP}/confirm", **typed), seed)
    assert seed_of(page) == seed_of(begun)
    form = fields_of(page) | {"code": code_shown(seed_of(page))}
    assert send(jane.client, f"{APP}/confirm", **form).headers["location"].endswith("replaced")
    account = get(jane.client, "/").text
    assert "New phone" in account
    assert "Lost phone" not in account


def test_after_an_old_sign_in_the_account_says_that_no_codes_were_made(jane: Jane) -> None:
    jane.add()
    seed = add_app(jane.control_plane, jane.user_id)
    jane.age()
    answer = send(jane.client, "/account/second-factor/recovery-codes")
    assert "8 are left" in jane.sign_in_again(answer, seed).text


@pytest.mark.parametrize(
    "path",
    [APP, f"{APP}/confirm", *(f"/account/second-factor/{p}" for p in ("recovery-codes", "remove"))],
)
def test_no_form_works_with_an_old_sign_in(jane: Jane, path: str) -> None:
    jane.add()
    jane.age()
    (factor_id,) = re.findall(r'value="(fac_\w+)"', get(jane.client, "/").text)

    answer = send(jane.client, path, factor_id=factor_id, code="123456")
    assert answer.headers["location"].startswith("/sign-in-again?to=")
    assert "Phone" in get(jane.client, "/").text


def test_after_a_recovery_code_a_page_offers_to_replace_or_keep_what_was_lost(jane: Jane) -> None:
    (code, *_) = codes_of(jane.add("Lost phone"))
    other = HttpClient(f"http://{jane.client.host}")
    send(other, "/sign-in", email="jane@example.com", password=NEW_PASSWORD)
    answer = send(other, "/sign-in/second-factor", by="recovery_code", recovery_code=code)
    assert answer.headers["location"].startswith("/account/second-factor/recovered")

    page = get(other, answer.headers["location"])
    assert "7 are left" in page.text
    assert 'href="/">Keep everything, and continue</a>' in page.text
    page = get(other, send(other, APP, **fields_of(page)).headers["location"])
    assert "replaces=" in page.text or 'name="replaces" value="fac_' in page.text
    form = fields_of(page) | {"code": code_shown(seed_of(page)), "name": "New phone"}
    answer = send(other, f"{APP}/confirm", **form)
    assert answer.headers["location"] == "/?note=factor_replaced"
    account = get(other, "/?note=factor_replaced").text
    assert "New phone" in account
    assert "Lost phone" not in account
    assert "7 are left" in account


def test_who_replaces_what_was_lost_comes_to_what_waits_for_the_sign_in(jane: Jane) -> None:
    codes = codes_of(jane.add("Lost phone"))
    for button in ("app", "recovery-codes"):
        other = HttpClient(f"http://{jane.client.host}")
        sign_in = {"email": "jane@example.com", "password": NEW_PASSWORD, "to": "/password"}
        send(other, "/sign-in", **sign_in)
        recovery = {"by": "recovery_code", "recovery_code": codes.pop()}
        answer = send(other, "/sign-in/second-factor", **recovery)
        page = get(other, answer.headers["location"])
        assert 'href="/password">Keep everything, and continue</a>' in page.text
        form = fields_of(page)
        if button == "app":
            page = get(other, send(other, APP, **form).headers["location"])
            refused = send(other, f"{APP}/confirm", **fields_of(page) | {"code": "1"})
            form = fields_of(refused) | {"code": code_shown(seed_of(page))}
            assert send(other, f"{APP}/confirm", **form).headers["location"] == "/password"
        else:
            page = send(other, "/account/second-factor/recovery-codes", to=form["to"])
            assert 'href="/password">I have kept them</a>' in page.text


def test_the_page_of_a_passkey_leads_to_an_app_in_place_of_what_was_lost(come: Come) -> None:
    jane = Jane(come, public_url="https://accounts.example.com")
    path = "/account/second-factor/passkey"
    page = get(jane.client, f"{path}?replaces=fac_1&to=signed%3D%26path").text
    way = re.search(r'<a href="([^"]+)">Add an authenticator app</a> instead', page)
    assert way
    assert unescape(way[1]) == f"{APP}?replaces=fac_1&to=signed%3D%26path"
    assert f'<a href="{APP}">' in get(jane.client, path).text


def test_an_app_that_is_begun_again_in_another_window_is_named(jane: Jane) -> None:
    first, second = jane.begin(), jane.begin()
    form = fields_of(first) | {"code": code_shown(seed_of(first))}
    refused = send(jane.client, f"{APP}/confirm", **form)
    assert "You have begun again in another window: scan the new picture" in refused.text
    assert seed_of(refused) == seed_of(second)
    form = fields_of(refused) | {"code": code_shown(seed_of(second))}
    assert codes_of(send(jane.client, f"{APP}/confirm", **form))


def test_an_app_whose_session_has_ended_is_named(jane: Jane) -> None:
    begun = jane.begin()
    with jane.control_plane.store.write() as tx:
        execute_sql(tx, "delete from sessions")
    form = fields_of(begun) | {"code": code_shown(seed_of(begun))}
    answer = send(jane.client, f"{APP}/confirm", **form)
    while answer.status == 303:
        page = answer = get(jane.client, answer.headers["location"])
    answer = send(
        jane.client,
        "/sign-in",
        **fields_of(page) | {"email": "jane@example.com", "password": NEW_PASSWORD},
    )
    while answer.status == 303:
        answer = get(jane.client, answer.headers["location"])
    assert "No app waits for its first code" in answer.text


def test_the_page_after_a_recovery_code_follows_only_signed_paths(jane: Jane) -> None:
    page = get(jane.client, "/account/second-factor/recovered?to=https://evil.example")

    assert "evil" not in page.text
    assert 'href="/">Keep everything' in page.text


def test_where_second_factors_are_off_the_account_page_says_nothing_of_them(come: Come) -> None:
    jane = Jane(come, second_factor=SecondFactorPolicy(mode="off"))

    assert "factor" not in get(jane.client, "/").text.lower()
    assert send(jane.client, APP).status == 403


def test_a_server_without_a_key_says_so(come: Come) -> None:
    jane = Jane(come, second_factor_keys=None)
    answer = send(jane.client, APP)

    assert answer.status == 503
    assert "a key of the server is missing" in answer.text
