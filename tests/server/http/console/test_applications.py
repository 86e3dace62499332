"""Applications in the console: created, shown, given another secret, deleted."""

import re
from html import unescape
from pathlib import Path

import pytest
from tests.server.http.console.conftest import Console, OpenConsole
from tests.server.http.pages.requests import PUBLIC, get, send
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.sign_in.sign_ins import events_of, let_time_pass

from anyscale.domain.models.applications import Application
from anyscale.server.core.openid.protocol import OAuthError
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.store.records.openid import GrantRecord

HUB = "https://hub.example.com/hub/oauth_callback"


@pytest.fixture(scope="module")
def console(shared_console: Console) -> Console:
    return shared_console


@pytest.fixture
def jane(console: Console) -> HttpClient:
    return console.browser()


def create(client: HttpClient, name: str, **form: str) -> HttpResponse:
    return send(client, "/console/applications/new", name=name, **{"redirect_uris": HUB, **form})


def find(console: Console, name: str) -> Application:
    return next(one for one in console.control_plane.applications.list() if one.name == name)


def secret_of(page: HttpResponse) -> str:
    found = re.search(r"client_secret=(?:<[^>]*>)?(mrc_[\w-]+)", page.text)
    return found[1] if found else ""


def problem_of(page: HttpResponse) -> tuple[str, str]:
    """Give the field to which the summary leads, and its text."""
    found = re.search(r'<li><a href="#([\w-]+)">(.*?)</a></li>', page.text)
    return (found[1], unescape(found[2])) if found else ("", "")


def works(console: Console, name: str, secret: str) -> bool:
    try:
        console.control_plane.applications.authenticate(find(console, name).client_id, secret)
    except OAuthError:
        return False
    return True


def test_a_new_application_shows_its_secret_once(console: Console, jane: HttpClient) -> None:
    page = create(jane, " Hub ", redirect_uris=f" {HUB}\r\n\r\n{HUB}2\r\n", refresh_tokens="yes")
    assert page.status == 200
    assert page.headers["cache-control"] == "no-store"
    secret = secret_of(page)
    assert works(console, "Hub", secret)
    hub = find(console, "Hub")
    assert f"client_id={hub.client_id}" in page.text
    assert hub.redirect_uris == [HUB, f"{HUB}2"]
    assert (hub.refresh_tokens, hub.requires_pkce, hub.is_public) == (True, True, False)
    for path in (f"/console/applications/{hub.client_id}", "/console/applications"):
        shown = get(jane, path).text
        assert secret not in shown
        assert "Hub" in shown
        assert "jane@example.com" in shown


def test_a_public_application_has_no_secret(console: Console, jane: HttpClient) -> None:
    page = create(jane, "Browser", is_public="yes", audience="owners\nexample.com")
    assert secret_of(page) == ""
    assert find(console, "Browser").audience == ["owners", "example.com"]
    client_id = find(console, "Browser").client_id
    shown = get(jane, f"/console/applications/{client_id}").text
    assert "rotate-secret" not in shown
    assert "example.com" in shown


@pytest.mark.parametrize(
    ("form", "field", "words"),
    [
        ({"name": " "}, "name", "The name of an application has 1 to"),
        ({"redirect_uris": " \n"}, "redirect_uris", "An application needs a redirect URI."),
        ({"redirect_uris": "http://hub.example.com"}, "redirect_uris", "The URI"),
        ({"post_logout_redirect_uris": "x"}, "post_logout_redirect_uris", "The URI 'x' must be"),
        ({"audience": "bat_none"}, "audience", "There is no batch 'bat_none'."),
        (
            {"is_public": "yes", "without_pkce": "yes"},
            "without_pkce-yes",
            "A public application needs PKCE, since it has no secret.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_field_is_named_and_all_fields_stay(
    console: Console, jane: HttpClient, form: dict[str, str], field: str, words: str
) -> None:
    before = len(console.control_plane.applications.list())
    page = create(jane, **{"name": "Kept <name>", **form})
    assert page.status == 400
    where, text = problem_of(page)
    assert where == field
    assert text.startswith(words)
    assert f'id="{field}"' in page.text
    assert len(console.control_plane.applications.list()) == before
    for value in form.values():
        assert value.strip() in page.text
    assert "Kept <name>" not in page.text


def test_a_name_is_used_once(jane: HttpClient) -> None:
    create(jane, "Twice")
    page = create(jane, "Twice")
    assert problem_of(page)[0] == "name"
    assert problem_of(page)[1].startswith("There is an application 'Twice': choose another name.")


@pytest.mark.parametrize(("when", "before_works"), [("later", True), ("now", False), ("", True)])
def test_a_new_secret_replaces_the_one_before(
    console: Console, jane: HttpClient, when: str, before_works: bool
) -> None:
    name = f"Rotated, {when}."
    before = secret_of(create(jane, name))
    path = f"/console/applications/{find(console, name).client_id}/rotate-secret"
    form = get(jane, path).text
    assert "Works for another hour" in form
    found = re.search(r'name="newest" value="(\d+)"', form)
    assert found
    after = secret_of(send(jane, path, when=when, newest=found[1]))
    assert after
    assert after != before
    assert works(console, name, after)
    assert works(console, name, before) is before_works
    again = send(jane, path, when=when, newest=found[1])  # the page is loaded again
    assert again.headers["location"] == "/console/applications?note=changed"
    assert works(console, name, after)


def test_an_application_is_deleted_after_a_question(console: Console, jane: HttpClient) -> None:
    create(jane, "Gone")
    client_id = find(console, "Gone").client_id
    path = f"/console/applications/{client_id}/delete"
    assert "Delete <bdi>Gone</bdi>?" in get(jane, path).text
    assert find(console, "Gone").client_id == client_id  # asking deletes nothing
    answer = send(jane, path)
    assert answer.headers["location"] == "/console/applications?note=deleted"
    assert "The application is deleted." in get(jane, answer.headers["location"]).text
    assert "Gone" not in [one.name for one in console.control_plane.applications.list()]
    assert get(jane, f"/console/applications/{client_id}").status == 404
    assert send(jane, path).status == 404
    assert "application.deleted" in dict(events_of(console.control_plane))


def test_secrets_and_deletion_need_a_recent_sign_in(console: Console, jane: HttpClient) -> None:
    secret = secret_of(create(jane, "Guarded"))
    path = f"/console/applications/{find(console, 'Guarded').client_id}"
    let_time_pass(console.control_plane, 16 * MINUTE_MS)
    for change in (f"{path}/rotate-secret", f"{path}/delete", "/console/applications/new"):
        for answer in (get(jane, change), send(jane, change, name="x", redirect_uris=HUB)):
            assert answer.headers["location"].startswith("/console/sign-in-again?to=")
    assert get(jane, path).status == 200
    assert works(console, "Guarded", secret)


def test_the_last_sign_in_is_shown(console: Console, jane: HttpClient) -> None:
    create(jane, "Used")
    client_id = find(console, "Used").client_id
    path = f"/console/applications/{client_id}"
    assert "none in the last 90 days" in get(jane, path).text
    with console.control_plane.store.write() as tx:
        for at in (1_700_000_000_000, 1_600_000_000_000):
            grant = GrantRecord(
                grant_id=f"gra_{at}",
                client_id=client_id,
                user_id="usr_a",
                session_id="ses_a",
                scope="openid",
                redirect_uri=HUB,
                nonce=None,
                code_challenge=None,
                authenticated_at=None,
                created_at=at,
                expires_at=2**52,
                code_hash=f"{at}".encode(),
                code_expires_at=at,
            )
            tx.grants.add(grant)
    assert "2023-11-14 22:13" in get(jane, path).text
    assert "2023-11-14 22:13" in get(jane, "/console/applications").text


def test_names_are_text(console: Console, jane: HttpClient) -> None:
    create(jane, "<script>alert(1)</script>")
    client_id = find(console, "<script>alert(1)</script>").client_id
    for path in ("", f"/{client_id}", f"/{client_id}/delete", f"/{client_id}/rotate-secret"):
        page = get(jane, f"/console/applications{path}").text
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page


def test_the_lines_to_paste_name_the_issuer(open_console: OpenConsole, tmp_path: Path) -> None:
    console = open_console(public_url=PUBLIC, signing_keys=tmp_path / "keys")
    page = create(console.browser(), "Hub")
    assert f"issuer={PUBLIC}" in page.text


def test_without_a_public_address_the_list_says_what_is_missing(jane: HttpClient) -> None:
    assert "ANYSCALE_PUBLIC_URL" in get(jane, "/console/applications").text
