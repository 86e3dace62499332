"""The page of the second part of a sign-in, and the same by the API."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from msgspec import structs
from tests.server.http.pages.requests import get, send
from tests.support.callers import OPERATOR
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.databases.stored_data import execute_sql
from tests.support.second_factor.authenticator_apps import (
    add_app,
    code_shown,
    seed_keys_folder,
)
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import NEW_PASSWORD, PASSWORD, create_accounts

from anyscale.domain.models.audit import AuditFilter
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.link_secrets import new_link_secret
from anyscale.server.core.second_factor.recovery_codes import recovery_code_hash
from anyscale.server.core.secrets import hash_of
from anyscale.server.settings import Settings
from anyscale.server.store.records.login import LinkRecord

PAGE = "/sign-in/second-factor"
HALF = "__Host-second-factor"
RECOVERY_CODE = "0123-4567-89AB-CDEF-GHJK-MNPQ"


class Site:
    """A server, and jane's account, which has an app."""

    def __init__(self, control_plane: ControlPlane, url: str) -> None:
        self.control_plane, self.url = control_plane, url
        with control_plane.store.read() as tx:
            account = tx.accounts.find("jane@example.com")
        assert account
        self.user_id = account.user_id
        self.seed = add_app(control_plane, account.user_id)

    def browser(self) -> HttpClient:
        return HttpClient(self.url)

    def code(self) -> str:
        """Return a code that was not used yet."""
        with self.control_plane.store.write() as tx:
            execute_sql(tx, "update factors set last_step = null")
        return code_shown(self.seed)

    def add_recovery_code(self) -> str:
        code_hash = recovery_code_hash(RECOVERY_CODE)
        assert code_hash
        with self.control_plane.store.write() as tx:
            tx.recovery_codes.replace(self.user_id, [code_hash])
        return RECOVERY_CODE


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    database = tmp_path_factory.mktemp("second-factor") / "anyscale.db"
    settings = Settings(database=database, second_factor_keys=seed_keys_folder())
    control_plane = cheap_control_plane(settings)
    create_accounts(control_plane, "jane", "bob")
    with serve_in_process(control_plane) as url:
        browser = HttpClient(url)
        send(browser, "/sign-in", email="jane@example.com", password=PASSWORD)
        send(browser, "/password", current=PASSWORD, new=NEW_PASSWORD, again=NEW_PASSWORD)
        yield Site(control_plane, url)


def begin(client: HttpClient, **form: str) -> HttpResponse:
    answer = send(client, "/sign-in", email="jane@example.com", password=NEW_PASSWORD, **form)
    assert (answer.status, answer.headers["location"]) == (303, PAGE)
    return answer


def is_signed_in(client: HttpClient) -> bool:
    return client.request("GET", "/v1/me").status == 200


def test_a_password_leads_to_the_page_and_a_code_to_the_account(site: Site) -> None:
    jane = site.browser()
    answer = begin(jane)
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(
        rf"{HALF}=[\w-]+; HttpOnly; Max-Age=600; Path=/; SameSite=lax; Secure", cookie
    )
    assert not is_signed_in(jane)
    page = get(jane, PAGE)
    assert "<strong><bdi translate=no>jane@example.com</bdi></strong>" in page.text
    assert 'autocomplete="one-time-code"' in page.text
    assert "recovery code" not in page.text
    code = site.code()
    answer = send(jane, PAGE, code=f"{code[:3]} {code[3:]}")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert is_signed_in(jane)
    assert HALF not in jane.cookies


def test_the_page_leads_where_the_user_wanted_to_go(site: Site) -> None:
    jane = site.browser()
    begin(jane, to="/password?x=1")
    page = get(jane, PAGE)
    assert 'href="/sign-in?to=%2Fpassword%3Fx%3D1">Sign in as somebody else' in page.text
    assert send(jane, PAGE, code=site.code()).headers["location"] == "/password?x=1"


@pytest.mark.parametrize("to", ["https://evil.example", "//evil.example", "/v1/me"])
def test_the_page_leads_to_no_other_address(site: Site, to: str) -> None:
    jane = site.browser()
    begin(jane, to=to)
    assert send(jane, PAGE, code=site.code()).headers["location"] == "/"


def test_a_wrong_code_shows_the_page_with_the_problem(site: Site) -> None:
    jane = site.browser()
    begin(jane)
    for code, status, problem in (
        ("", 400, "Enter a code."),
        ("12345", 401, "This code is wrong"),
        ("\N{FULLWIDTH DIGIT ONE}" * 6, 401, "This code is wrong"),
        (code_shown(site.seed, seconds_ahead=120), 401, "The clock of your phone is 2 minutes"),
    ):
        page = send(jane, PAGE, code=code)
        assert page.status == status
        assert f'<a href="#code">{problem}' in page.text
    assert not is_signed_in(jane)
    assert send(jane, PAGE, code=site.code()).status == 303


def test_recovery_codes_are_offered_to_those_who_have_some_and_never_first(site: Site) -> None:
    jane = site.browser()
    begin(jane)
    assert "recovery" not in get(jane, f"{PAGE}?by=recovery_code").text
    code = site.add_recovery_code()
    assert 'href="/sign-in/second-factor?by=recovery_code"' in get(jane, PAGE).text
    assert 'name="recovery_code"' not in get(jane, PAGE).text
    page = get(jane, f"{PAGE}?by=recovery_code")
    assert 'name="recovery_code" type="text" autocomplete="off"' in page.text
    page = send(jane, PAGE, by="recovery_code", recovery_code="wrong")
    assert '<a href="#recovery_code">This is not one of your recovery codes' in page.text
    answer = send(jane, PAGE, by="recovery_code", recovery_code=code)
    assert urlsplit(answer.headers["location"]).path == "/account/second-factor/recovered"
    assert is_signed_in(jane)


def test_the_page_says_who_helps_a_user_with_neither_factor_nor_code(site: Site) -> None:
    jane = site.browser()
    begin(jane)
    assert (
        "You cannot use it? An administrator can remove the second factors" in get(jane, PAGE).text
    )
    site.add_recovery_code()
    with site.control_plane.store.write() as tx:
        tx.accounts.set_role(site.user_id, "owner")
    page = get(jane, f"{PAGE}?by=recovery_code")
    assert "You have no recovery code either? The operator of the server can remove" in page.text
    with site.control_plane.store.write() as tx:
        tx.accounts.set_role(site.user_id, "collaborator")


def test_after_its_factors_are_removed_half_a_sign_in_begins_again(site: Site) -> None:
    create_accounts(site.control_plane, "sue")
    sue = HttpClient(site.url)
    send(sue, "/sign-in", email="sue@example.com", password=PASSWORD)
    send(sue, "/password", current=PASSWORD, new=NEW_PASSWORD, again=NEW_PASSWORD)
    with site.control_plane.store.read() as tx:
        account = tx.accounts.find("sue@example.com")
    assert account
    code = code_shown(add_app(site.control_plane, account.user_id))
    sue = HttpClient(site.url)
    send(sue, "/sign-in", email="sue@example.com", password=NEW_PASSWORD)
    assert get(sue, PAGE).status == 200
    site.control_plane.factor_removal.remove_all(OPERATOR, account.user_id, "lost phone")
    for answer in (get(sue, PAGE), send(sue, PAGE, code=code)):
        assert answer.headers["location"] == "/sign-in?note=half_expired"
    answer = send(sue, "/sign-in", email="sue@example.com", password=NEW_PASSWORD)
    assert (answer.status, is_signed_in(sue)) == (303, True)


def test_a_recovery_code_in_the_field_of_codes_is_taken_as_one(site: Site) -> None:
    jane = site.browser()
    begin(jane)
    code = site.add_recovery_code()
    answer = send(jane, PAGE, code=code)
    assert urlsplit(answer.headers["location"]).path == "/account/second-factor/recovered"
    assert is_signed_in(jane)


def test_too_many_wrong_codes_are_told_to_wait_or_to_use_a_recovery_code(site: Site) -> None:
    jane = site.browser()
    begin(jane)
    with site.control_plane.store.write() as tx:
        state = tx.factor_states.get(site.user_id)
        now = tx.now()
        tx.factor_states.save(structs.replace(state, window_at=now, window_failures=10))
    page = send(jane, PAGE, code=site.code())
    assert page.status == 429
    assert "Too many codes were wrong: wait 10 minutes, or use a recovery code." in page.text
    with site.control_plane.store.write() as tx:
        tx.factor_states.save(state)


def test_without_half_a_sign_in_the_page_leads_to_the_sign_in(site: Site) -> None:
    stranger = site.browser()
    for answer in (get(stranger, PAGE), send(stranger, PAGE, code=site.code())):
        assert (answer.status, answer.headers["location"]) == (303, "/sign-in?note=half_expired")
    assert "Signing in took too long" in get(stranger, "/sign-in?note=half_expired").text


def test_a_link_leads_to_the_page(site: Site) -> None:
    secret = new_link_secret()
    with site.control_plane.store.write() as tx:
        now = tx.now()
        link = LinkRecord(site.user_id, hash_of(secret), "local:test", now, now + 60_000)
        tx.links.replace(link)
    jane = site.browser()
    answer = send(jane, "/set-password", link=secret, new=NEW_PASSWORD, again=NEW_PASSWORD)
    assert (answer.status, answer.headers["location"]) == (303, PAGE)
    assert not is_signed_in(jane)
    assert send(jane, PAGE, code=site.code()).status == 303


def test_the_api_answers_with_the_factors_and_takes_a_code(site: Site) -> None:
    jane = site.browser()
    credentials = {"email": "jane@example.com", "password": NEW_PASSWORD}
    answer = jane.request("POST", "/v1/sessions", credentials)
    assert answer.status == 403
    assert answer.json["code"] == "second_factor_needed"
    assert answer.json["factors"][0] == "totp"
    assert not is_signed_in(jane)
    path = "/v1/sessions/second-factor"
    for body, status, code in (
        ({}, 400, "request_invalid"),
        ({"code": "1", "recovery_code": "1"}, 400, "request_invalid"),
        ({"code": "12345"}, 401, "code_refused"),
    ):
        answer = jane.request("POST", path, body)
        assert (answer.status, answer.json["code"]) == (status, code)
    answer = jane.request("POST", path, {"code": site.code()})
    assert (answer.status, answer.json) == (
        200,
        {"user_id": site.user_id, "must_change_password": False},
    )
    assert is_signed_in(jane)
    answer = site.browser().request("POST", path, {"code": site.code()})
    assert (answer.status, answer.json["code"]) == (401, "half_sign_in_expired")


def test_who_has_no_second_factor_sees_no_such_page(site: Site) -> None:
    bob = site.browser()
    answer = send(bob, "/sign-in", email="bob@example.com", password=PASSWORD)
    assert answer.headers["location"] == "/password"


def test_a_wrong_recovery_code_is_in_the_audit_log(site: Site) -> None:
    site.add_recovery_code()
    browser = site.browser()
    send(browser, "/sign-in", email="jane@example.com", password=NEW_PASSWORD)
    wrong = RECOVERY_CODE.replace("0", "1", 1)
    assert send(browser, PAGE, by="recovery_code", recovery_code=wrong).status == 401
    with site.control_plane.store.read() as tx:
        only = AuditFilter(actor=f"user:{site.user_id}", event="access.denied")
        (entry, *_) = tx.audit.list(0, 1, newest_first=True, only=only)
    assert "code_refused" in entry.data
