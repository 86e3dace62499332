"""The HTML pages: their scripts, their caching, their texts and their redirects."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import NEW_PASSWORD, PASSWORD, create_accounts

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.authorization import Principal
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.core.oidc.provider_settings import ProviderSettings
from anyscale.server.core.secrets import hash_of
from anyscale.server.http import app as application
from anyscale.server.http.thread_pools import LoginThreadPool, ThreadPools
from anyscale.server.settings import Settings
from anyscale.server.store.records import LinkRecord
from anyscale.user.models import UserChanges
from anyscale.user.validation import Policy, check

PROVIDER = ProviderSettings(issuer="https://login.example.com", client_id="us")

PUBLIC = "https://accounts.example.com"

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

Come = Callable[..., HttpClient]


@pytest.fixture
def come(tmp_path: Path) -> Iterator[Come]:
    """Serves a control plane with an account, and gives a client of it."""
    with ExitStack() as stack:

        def coming(prepare: Callable[[ControlPlane], Any] = id, **settings: Any) -> HttpClient:
            kept = Settings(database=tmp_path / "anyscale.db", **settings)
            plane = ControlPlane(kept, profile=CHEAPEST)
            if not kept.policy.sso_only:
                create_accounts(plane, "jane")
            prepare(plane)
            return HttpClient(stack.enter_context(serve_in_process(plane)))

        yield coming


def get(client: HttpClient, path: str, **headers: str) -> HttpResponse:
    return client.request("GET", path, headers=BROWSER | headers)


def send(client: HttpClient, path: str, **form: str) -> HttpResponse:
    return client.request("POST", path, form=form, headers=BROWSER)


def every_page(jane: HttpClient) -> Iterator[HttpResponse]:
    """Give each page once, in the order of a first sign-in."""
    yield get(jane, "/sign-in?note=signed_out")
    yield get(jane, "/set-password")
    yield get(jane, "/nowhere")
    yield send(jane, "/set-password", link="x", new=NEW_PASSWORD, again=NEW_PASSWORD)
    yield send(jane, "/sign-in", email="jane@example.com", password="not the password")
    send(jane, "/sign-in", email="jane@example.com", password=PASSWORD)
    yield get(jane, "/password")
    send(jane, "/password", current=PASSWORD, new=NEW_PASSWORD, again=NEW_PASSWORD)
    yield get(jane, "/password")
    yield get(jane, "/?note=password_changed")
    yield send(jane, "/tokens", name="laptop", days="30")


def test_the_account_page_shows_no_part_of_a_name_twice(come: Come) -> None:
    planes: list[ControlPlane] = []
    jane = come(planes.append)
    jane.sign_in_first_time()
    (account,) = planes[0].users.with_email("jane@example.com")
    for name, lastname, shown in (
        ("Jane", "Doe", "Jane Doe"),
        ("Jane Doe", "Doe", "Jane Doe"),
        ("Mia Member", "Member-Example", "Mia Member-Example"),
    ):
        changes = UserChanges(name=name, lastname=lastname)
        planes[0].updates.update(account.user_id, changes, Principal("local:test"))
        assert f"<dd>{shown}</dd>" in get(jane, "/").text


def test_a_page_runs_scripts_from_our_own_files_only(come: Come) -> None:
    for answer in every_page(come()):
        policy = dict(
            part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; ")
        )
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["form-action"] == policy["style-src"] == policy["img-src"] == "'self'"
        assert ("script-src" in policy) == ("<script" in answer.text)
        assert policy.get("script-src", "'self'") == "'self'"
        assert not re.search(r"<script(?! src=)|<style|\s(style|on\w+)=|javascript:", answer.text)
        assert not re.search(r"(?:src|href)=\"(?!/|#)", answer.text)


def test_pages_may_not_be_stored_or_framed(come: Come) -> None:
    for answer in every_page(come()):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        names = [name.lower() for name in answer.headers]
        assert len(names) == len(set(names))


def test_hsts_is_sent_to_clients_with_tls_only(come: Come) -> None:
    jane = come()
    assert "strict-transport-security" not in get(jane, "/sign-in").headers
    answer = get(jane, "/sign-in", **{"X-Forwarded-Proto": "https"})
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_hsts_is_sent_if_the_public_url_has_tls(come: Come) -> None:
    jane = come(public_url=PUBLIC)
    assert "strict-transport-security" in get(jane, "/sign-in").headers


def test_assets_with_a_hash_in_their_url_may_be_stored(come: Come) -> None:
    jane = come()
    page = get(jane, "/sign-in").text
    addresses = re.findall(r'"(/assets/[^"]+)"', page)
    assert {address.partition("?")[0] for address in addresses} == {
        "/assets/icon.svg",
        "/assets/page.css",
        "/assets/page.js",
    }
    for address in addresses:
        assert "immutable" in get(jane, address).headers["cache-control"]
        assert get(jane, f"{address}0").headers["cache-control"] == "no-cache"
    kinds = [get(jane, address).headers["content-type"].partition(";")[0] for address in addresses]
    assert set(kinds) == {"image/svg+xml", "text/css", "text/javascript"}
    for other in ("page.py", "%2e%2e%2fpages.py", "..%2ftemplates%2fbase.html"):
        assert get(jane, f"/assets/{other}").status == 404


def test_browsers_get_error_pages_and_other_clients_problem_documents(come: Come) -> None:
    def breaks(plane: ControlPlane) -> None:
        plane.sessions.list = None  # type: ignore[assignment, method-assign]  # a bug, to be answered

    jane = come(breaks).sign_in_first_time()
    expected = {
        ("GET", "/nowhere"): (404, "There is no such page"),
        ("GET", "/sign-out"): (405, "There is no such page"),
        ("POST", "/sign-in"): (400, "This did not work"),
        ("GET", "/"): (500, "Something went wrong"),
    }
    for (method, path), (status, title) in expected.items():
        answer = jane.request(method, path, headers=BROWSER)
        assert (answer.status, f"<h1>{title}</h1>" in answer.text) == (status, True)
        document = jane.request(method, path)
        assert document.headers["content-type"] == "application/problem+json"
        assert document.json["status"] == status
    answer = get(jane, "/v1/nowhere")
    assert answer.headers["content-type"] == "application/problem+json"
    fault = get(jane, "/")
    assert fault.headers["x-request-id"] in fault.text
    assert "NoneType" not in fault.text


def test_a_form_that_is_too_long_is_refused(come: Come) -> None:
    answer = send(come(), "/sign-in", email="x" * 16_384, password="x")
    assert (answer.status, "This is too long" in answer.text) == (413, True)


@pytest.mark.parametrize("body", [b"\xff", b"email=%ff", b"a&" * 100])
def test_a_body_that_is_no_form_is_refused(body: bytes, come: Come) -> None:
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    jane = come()
    answer = jane.request("POST", "/sign-in", headers=BROWSER | kind, raw=body)
    assert answer.status == 400


def test_an_overloaded_server_shows_a_page_that_asks_to_try_again(
    come: Come, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(ThreadPools):
        def __init__(self) -> None:
            super().__init__()
            self.login = LoginThreadPool(1, waiting=-1)

    monkeypatch.setattr(application, "ThreadPools", Full)
    jane = come()
    answer = send(jane, "/sign-in", email="jane@example.com", password=PASSWORD)
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert "Many people are signing in" in answer.text
    called = jane.sign_in()
    assert (called.status, called.json["code"]) == (429, "overloaded")
    assert called.headers["retry-after"] == "1"
    assert get(jane, "/sign-in").status == 200


def test_user_input_is_escaped_in_pages(come: Come) -> None:
    evil = '<b onmouseover="x">&\''

    def named(plane: ControlPlane) -> None:
        user = check(evil, "evil@example.com", PASSWORD, False, evil, evil, Policy())
        assert user
        plane.batches.create("evil", [user], "fail", Principal("local:test"), [(0, PASSWORD)])
        made_owner(plane, "evil")

    jane = come(named)
    answers = [
        send(jane, "/sign-in", email=evil, password="x"),
        send(jane, "/set-password", link=evil, new=NEW_PASSWORD, again=NEW_PASSWORD),
        get(jane, "/sign-in?note=%3Cb%3E&sso=%3Cb%3E&number=%3Cb%20o"),
    ]
    jane.sign_in_first_time("evil")
    answers += [get(jane, "/"), send(jane, "/tokens", name=evil, days="30"), get(jane, "/")]
    assert all("<b o" not in answer.text for answer in answers)
    assert "&lt;b onmouseover" in answers[-1].text


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
    asks = "administrator this number: d1c0-ffee"
    assert (asks in numbered) == (code not in ("expired", "cancelled"))
    for text in ("call%20us", "x.example", "1" * 65):
        assert "number" not in get(jane, f"/sign-in?sso={code}&number={text}").text


@pytest.mark.parametrize(("good", "suspended"), [(True, False), (False, False), (True, True)])
def test_a_valid_link_shows_its_account(good: bool, suspended: bool, come: Come) -> None:
    planes: list[ControlPlane] = []
    jane = come(planes.append)
    get(jane, "/sign-in")  # purges expired links now, and the next time after a minute
    with planes[0].store.write() as tx:
        account = tx.accounts.find("jane@example.com")
        assert account
        end = tx.now() + (60_000 if good else 0)
        tx.links.replace(LinkRecord(account.user_id, hash_of("secret"), "test", 0, end))
        tx.accounts.set_suspended(account.user_id, tx.now() if suspended else None)
    works = good and not suspended
    opened = send(jane, "/set-password", link="secret", open="yes")
    answer = send(jane, "/set-password", link="secret", new=NEW_PASSWORD, again="other")
    assert (opened.status, answer.status) == ((200, 422) if works else (410, 410))
    for page in (opened, answer):
        assert ("jane@example.com" in page.text) == works
        assert ("<form" in page.text) == works
        assert ('href="/sign-in"' in page.text) != works


def made_owner(plane: ControlPlane, name: str = "jane") -> None:
    with plane.store.write() as tx:
        account = tx.accounts.find(f"{name}@example.com")
        assert account
        tx.accounts.set_role(account.user_id, "owner")


def test_a_new_token_is_shown_once(come: Come) -> None:
    jane = come(made_owner).sign_in_first_time()
    answer = send(jane, "/tokens", name="laptop", days="30")
    (token,) = re.findall(r"mrt_[0-9A-Za-z]{39}", answer.text)
    account = get(jane, "/").text
    assert token not in account
    assert "laptop" in account
    again = send(jane, "/tokens", name="laptop", days="30")
    assert (again.status, "choose another name" in again.text) == (400, True)
    assert send(jane, "/tokens", name="other", days="31").status == 400
    (token_id,) = re.findall(r'name="token_id" value="(tok_\w+)"', account)
    for _ in range(2):
        answer = send(jane, "/tokens/revoke", token_id=token_id)
        assert answer.headers["location"] == "/?note=token_revoked"
    assert "laptop" not in get(jane, "/").text


def test_a_signed_out_user_is_redirected_to_the_sign_in_page_without_an_audit_entry(
    come: Come,
) -> None:
    planes: list[ControlPlane] = []
    jane = come(planes.append)
    for path in ("/", "/password"):
        assert get(jane, path).headers["location"] == "/sign-in"
    for path in ("/sessions/end", "/tokens", "/tokens/revoke", "/sessions/end-others"):
        assert send(jane, path).headers["location"] == "/sign-in"
    jane.cookies["__Host-session"] = "gone"
    assert get(jane, "/").headers["location"] == "/sign-in?note=ended"
    (plane,) = planes
    assert not [one for one in plane.audit_log.list(0, 100) if one.event == "access.denied"]


def test_the_name_of_the_organization_is_on_every_page(come: Come) -> None:
    jane = come(organization="Müller & Töchter")
    for answer in every_page(jane):
        assert re.search(r"<title>[^<]* \N{EN DASH} Müller &amp; Töchter</title>", answer.text)
        assert re.search(r'<p class="brand">.* Müller &amp; Töchter</p>', answer.text)
    assert "your account at Müller &amp; Töchter." in get(jane, "/").text


def test_the_account_page_offers_tokens_to_owners_alone(come: Come) -> None:
    planes: list[ControlPlane] = []
    jane = come(planes.append).sign_in_first_time()
    page = get(jane, "/").text
    assert "oken" not in page
    assert "Here you change your password and see where you are signed in." in page
    with planes[0].store.read() as tx:
        account = tx.accounts.find("jane@example.com")
        assert account
    planes[0].tokens.create_personal(account.user_id, "laptop", None)
    page = get(jane, "/").text
    assert 'action="/tokens/revoke"' in page
    assert 'action="/tokens"' not in page
    made_owner(planes[0])
    page = get(jane, "/").text
    assert 'action="/tokens"' in page
    assert "password, see where you are signed in, and make tokens for the command line." in page


def test_a_new_token_comes_with_the_host_that_it_is_for(come: Come) -> None:
    jane = come(made_owner).sign_in_first_time()
    lines = exported(send(jane, "/tokens", name="laptop", days="30"))
    assert lines["ANYSCALE_HOST"] == f"http://{jane.host}"
    assert re.fullmatch(r"mrt_[0-9A-Za-z]{39}", lines["ANYSCALE_CLI_TOKEN"])
    jane = come(made_owner, public_url=PUBLIC)
    jane.sign_in(password=NEW_PASSWORD)
    assert exported(send(jane, "/tokens", name="desk", days="30"))["ANYSCALE_HOST"] == PUBLIC


def exported(answer: HttpResponse) -> dict[str, str]:
    return dict(
        re.findall(
            r"export (\w+)=([^\s<]+)", re.sub("<[^>]*>", " ", answer.text).replace("= ", "=")
        )
    )


def test_the_account_page_shows_the_title_and_the_hour_of_each_sign_in(come: Come) -> None:
    def titled(plane: ControlPlane) -> None:
        user = check("Ann", "ann@example.com", PASSWORD, False, None, "Head of <b>", Policy())
        assert user
        plane.batches.create("ann", [user], "fail", Principal("local:test"), [(0, PASSWORD)])

    page = get(come(titled).sign_in_first_time("ann"), "/").text
    assert "<dt>Title</dt><dd>Head of &lt;b&gt;</dd>" in page
    assert re.search(r">\d+ \w+ 20\d\d, \d\d:\d\d UTC</time>", page)


#: a form, and the field beside which its error stands
WRONG_FORMS = [
    ("/sign-in", {"email": "", "password": "a password"}, "email", "Enter your email."),
    ("/sign-in", {"email": "jane@example.com", "password": ""}, "password", "Enter your password."),
    (
        "/sign-in",
        {"email": "jane@example.com", "password": "wrong password"},
        "password",
        "Email or password is wrong.",
    ),
    (
        "/password",
        {"current": NEW_PASSWORD, "new": "password1234", "again": "password1234"},
        "new",
        "The password is on the list of common passwords, which attackers try first.",
    ),
    (
        "/password",
        {
            "current": "wrong password",
            "new": "four grey owls asleep",
            "again": "four grey owls asleep",
        },
        "current",
        "The current password is wrong.",
    ),
    (
        "/password",
        {"current": NEW_PASSWORD, "new": "four grey owls asleep", "again": "four grey owls"},
        "again",
        "The two new passwords are not the same.",
    ),
    (
        "/tokens",
        {"name": "\N{RIGHT-TO-LEFT OVERRIDE}", "days": "365"},
        "name",
        "A token&#39;s name has 1 to 64 visible characters.",
    ),
]


def test_an_error_is_on_top_and_beside_its_field_and_no_password_comes_back(come: Come) -> None:
    jane = come(made_owner)
    signed_in = False
    for path, form, field, message in WRONG_FORMS:
        if path != "/sign-in" and not signed_in:
            jane.sign_in_first_time()
            signed_in = True
        page = send(jane, path, **form).text
        assert re.findall(
            r'<div class="said problem"[^>]*>\s*<h2>[^<]*</h2>\s*<p>([^<]*)', page
        ) == [message]
        assert f'<p class="error" id="{field}-error">{message}</p>' in page
        (wrong,) = re.findall(r"<input [^>]*aria-invalid[^>]*>", page)
        assert f'id="{field}"' in wrong
        described = re.findall(r'aria-describedby="([^"]*)"', wrong)[0].split()
        assert f"{field}-error" in described
        assert all(f'id="{one}"' in page for one in described)
        sent = {form.get(name) for name in ("password", "current", "new", "again")}
        assert not [text for text in sent if text and text in page]
    assert '<option value="365" selected>' in page


def test_the_page_of_a_first_password_asks_for_the_new_one_alone(come: Come) -> None:
    jane = come()
    send(jane, "/sign-in", email="jane@example.com", password=PASSWORD)
    assert 'name="current"' not in get(jane, "/password").text
    answer = send(jane, "/password", new=NEW_PASSWORD, again=NEW_PASSWORD)
    assert answer.headers["location"] == "/?note=password_changed"
    assert 'name="current"' in get(jane, "/password").text
