"""Applications in the console: created, shown, changed, given another secret, deleted."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.server.http.console.conftest import Console, OpenConsole
from tests.server.http.pages.requests import PUBLIC, fields_of, get, send
from tests.support.callers import OPERATOR
from tests.support.paths import ROOT
from tests.support.servers.http_client import HttpClient, HttpResponse
from tests.support.sign_in.sign_ins import events_of, let_time_pass
from tests.support.users import checked_user

from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.models.applications import Application
from anyscale.domain.models.audit import AuditFilter
from anyscale.server.core.openid import audience
from anyscale.server.core.openid.application_authentication import ApplicationAuthentication
from anyscale.server.core.openid.protocol import OAuthError
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.http.console.application_programs import PROGRAMS
from anyscale.server.http.openid.discovery import metadata
from anyscale.server.store.sql import allowed_users

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
    authentication = ApplicationAuthentication(console.control_plane.transactions)
    try:
        authentication.authenticate(find(console, name).client_id, secret)
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
        assert re.search(r'href="/console/users/usr_\w+"><bdi translate=no>Jane</bdi></a>', shown)


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


def test_all_wrong_fields_are_named_at_once(jane: HttpClient) -> None:
    page = create(
        jane, "", redirect_uris="http://a.example\nx", audience="bat_none, no_", address="ftp://a"
    )
    assert page.status == 400
    assert re.findall(r'<li><a href="#([\w-]+)">', page.text) == [
        *("name", "redirect_uris", "audience", "address"),
    ]
    for field in ("name", "redirect_uris", "audience", "address"):
        assert page.text.count(f'id="{field}-error"') == 1
    assert fields_of(page)["redirect_uris"] == "http://a.example\nx"
    assert "The URI &#39;http://a.example&#39; must be" in page.text
    assert "The URI &#39;x&#39; must be" in page.text


def test_domains_are_written_as_people_write_them(console: Console, jane: HttpClient) -> None:
    later = "corp.example.com, b.example.com"
    spelled = "@example.com, Owners;\r\n corp.example.com  b.example.com,"
    create(jane, "Spelled", audience=spelled, unmatched=later)
    hub = find(console, "Spelled")
    assert hub.audience == ["example.com", "owners", "corp.example.com", "b.example.com"]


def test_a_batch_whose_users_may_sign_in_is_shown_by_its_name(
    console: Console, jane: HttpClient
) -> None:
    user = checked_user("zoe@joiners.example")
    made = console.control_plane.batches.create(
        OPERATOR, "joiners", [user], "fail", label="joiners.xlsx"
    )
    create(jane, "For a batch", audience=f"{made.batch.batch_id} owners")
    client_id = find(console, "For a batch").client_id
    name = f'<a href="/console/batches/{made.batch.batch_id}"><bdi translate=no>joiners.xlsx</bdi>'
    for path in ("", f"/{client_id}"):
        page = get(jane, f"/console/applications{path}").text
        assert re.sub(r"\n", "", page).count(name) == 1
        assert f">{made.batch.batch_id}<" not in page
    assert "2 accounts match" in page


def test_a_user_opens_the_applications_that_the_user_may_use(
    console: Console, jane: HttpClient
) -> None:
    opened = {"address": " https://hub.example.com:8443/a?b=1&c=2 "}
    create(jane, "Tile <all>", **opened)
    create(jane, "tile of owners", address="https://owners.example.com", audience="owners")
    create(jane, "No tile")
    bob = console.browser("bob")
    tile = (
        r'<li><a href="([^"]+)" rel="noopener noreferrer"><strong><bdi translate=no>(.*?)</bdi>'
        r"</strong> <span .*?>(.*?)<"
    )
    assert re.findall(tile, get(bob, "/").text) == [
        ("https://hub.example.com:8443/a?b=1&amp;c=2", "Tile &lt;all&gt;", "hub.example.com:8443")
    ]
    assert [found[1] for found in re.findall(tile, get(jane, "/").text)] == [
        *("Tile &lt;all&gt;", "tile of owners"),
    ]
    shown = get(jane, f"/console/applications/{find(console, 'Tile <all>').client_id}").text
    assert (
        '<a href="https://hub.example.com:8443/a?b=1&amp;c=2" rel="noopener noreferrer">' in shown
    )
    edit(jane, find(console, "Tile <all>").client_id, address="")
    assert "Tile" not in get(bob, "/").text


def test_the_form_and_the_page_say_how_many_accounts_match(
    console: Console, jane: HttpClient
) -> None:
    path = "/console/applications/new"
    form = {"name": "Counted", "redirect_uris": HUB, "check": "yes"}
    checked = send(jane, path, **form, audience="example.com, exmaple.com")
    assert checked.status == 200
    assert "Nothing is wrong" not in checked.text
    warning = '<div class="message warning" role="status"><p>Nothing is saved yet. Look at who may'
    assert warning in checked.text
    assert "2 accounts match." in checked.text
    assert "No account matches exmaple.com: check how it is written." in checked.text
    assert fields_of(checked)["audience"] == "example.com, exmaple.com"
    assert "Counted" not in [one.name for one in console.control_plane.applications.list()]

    typed = send(jane, path, **form, audience="exmaple.com")
    assert "0 accounts match." in typed.text
    assert "No account matches exmaple.com:" in typed.text
    wrong = send(jane, path, **{**form, "redirect_uris": ""}, audience="owners")
    assert wrong.status == 400
    assert "1 account matches." in wrong.text
    everyone = send(jane, path, **form)
    assert "match." not in everyone.text
    assert "Nothing is wrong. Nothing is saved yet." in everyone.text
    assert "match." not in send(jane, path, **form, audience="bat_none").text

    created = create(jane, "Counted", audience="example.com")
    assert "Who may sign in: 2 accounts match." in created.text
    client_id = find(console, "Counted").client_id
    shown = get(jane, f"/console/applications/{client_id}").text
    assert "<br>2 accounts match</dd>" in shown
    checked = edit(jane, client_id, audience="Owners", check="yes")
    assert "1 account matches." in checked.text
    assert find(console, "Counted").audience == ["example.com"]


def test_a_part_that_no_account_matches_is_a_question_before_it_is_saved(
    console: Console, jane: HttpClient
) -> None:
    typed = "example.com, exmaple.com"
    asked = create(jane, "Typed", audience=typed)
    assert asked.status == 400
    problem = "No account matches exmaple.com: correct it, or confirm it."
    assert problem_of(asked) == ("audience", problem)
    assert "Typed" not in [one.name for one in console.control_plane.applications.list()]
    again = create(jane, "Typed", audience="example.com, exampel.com", unmatched="exmaple.com")
    assert "No account matches exampel.com" in problem_of(again)[1]
    assert create(jane, "Typed", audience=typed, unmatched="exmaple.com").status == 200

    client_id = find(console, "Typed").client_id
    assert edit(jane, client_id, name="Named").status == 303, "only a new audience is asked about"
    assert edit(jane, client_id, audience="exampel.com").status == 400
    assert find(console, "Named").audience == ["example.com", "exmaple.com"]
    assert edit(jane, client_id, audience="exampel.com", unmatched="exampel.com").status == 303


def test_more_accounts_than_are_counted_are_many(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audience, "_MOST_COUNTED", 1)
    create(jane, "Many", audience="example.com\nowners")
    client_id = find(console, "Many").client_id
    shown = get(jane, f"/console/applications/{client_id}").text
    assert "More than 1 account matches" in shown
    monkeypatch.setattr(audience, "_MOST_COUNTED", 9)
    monkeypatch.setattr(allowed_users, "_MOST_EMAILS", 0)
    shown = get(jane, f"/console/applications/{client_id}").text
    assert "Of the first million accounts, 1 matches" in shown


def test_a_domain_whose_accounts_were_not_looked_at_is_not_said_to_have_none(
    console: Console, jane: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emails are looked at in their order, up to a million."""
    late = checked_user("zz@later.example")
    console.control_plane.batches.create(OPERATOR, "late", [late], "fail")
    monkeypatch.setattr(allowed_users, "_MOST_EMAILS", 1)
    for most in (9, 0):
        monkeypatch.setattr(audience, "_MOST_COUNTED", most)
        asked = create(jane, "Late", audience="example.com, later.example")
        none = "None of the first million accounts matches later.example"
        assert problem_of(asked) == ("audience", f"{none}: correct it, or confirm it.")
        assert f"{none}: check how it is written." in asked.text
        assert "No account matches" not in asked.text
        assert "they get accounts later" not in asked.text
    assert create(jane, "Late", audience="later.example", unmatched="later.example").status == 200


def test_applications_are_listed_by_name_and_found_by_a_part_of_it(jane: HttpClient) -> None:
    for name in ("öffentliche Wikis", "Zeta Wiki", "alpha wiki"):
        create(jane, name)
    page = get(jane, "/console/applications?q=+WIKI+").text
    found = re.findall(r"<bdi translate=no>(.*?)</bdi></a></th>", page)
    assert found == sorted(found, key=str.casefold)
    assert {"öffentliche Wikis", "Zeta Wiki", "alpha wiki"} <= set(found)
    listed = get(jane, f"/console/applications?q={quote('ÖFF')}").text
    assert re.findall(r"<bdi translate=no>(.*?)</bdi></a></th>", listed) == ["öffentliche Wikis"]
    none = get(jane, "/console/applications?q=nothing").text
    assert "No application matches" in none
    assert 'value="nothing"' in none


def test_a_name_is_used_once(jane: HttpClient) -> None:
    create(jane, "Twice")
    page = create(jane, "Twice")
    assert problem_of(page)[0] == "name"
    assert problem_of(page)[1] == "There is an application 'Twice': choose another name."


@pytest.mark.parametrize(("when", "before_works"), [("later", True), ("now", False), ("", True)])
def test_a_new_secret_replaces_the_one_before(
    console: Console, jane: HttpClient, when: str, before_works: bool
) -> None:
    name = f"Rotated, {when}."
    before = secret_of(create(jane, name))
    path = f"/console/applications/{find(console, name).client_id}/rotate-secret"
    form = get(jane, path).text
    assert "Works for another hour" in form
    found = re.search(r'name="set_at" value="(\d+)"', form)
    assert found
    after = secret_of(send(jane, path, when=when, set_at=found[1]))
    assert after
    assert after != before
    assert works(console, name, after)
    assert works(console, name, before) is before_works
    again = send(jane, path, when=when, set_at=found[1])  # the page is loaded again
    assert again.headers["location"] == f"{path}?note=replaced"
    shown = get(jane, again.headers["location"]).text
    assert "was replaced after you opened the page, and not once more now" in shown
    assert ">Replace the secret</button>" in shown
    assert works(console, name, after)


def test_an_application_is_deleted_after_a_question(console: Console, jane: HttpClient) -> None:
    create(jane, "Gone")
    client_id = find(console, "Gone").client_id
    path = f"/console/applications/{client_id}/delete"
    assert "Delete <bdi translate=no>Gone</bdi>?" in get(jane, path).text
    assert find(console, "Gone").client_id == client_id  # asking deletes nothing
    answer = send(jane, path)
    assert answer.headers["location"] == "/console/applications?note=deleted"
    assert "The application is deleted." in get(jane, answer.headers["location"]).text
    assert "Gone" not in [one.name for one in console.control_plane.applications.list()]
    assert get(jane, f"/console/applications/{client_id}").status == 404
    assert send(jane, path).headers["location"] == "/console/applications?note=deleted"
    assert "application.deleted" in dict(events_of(console.control_plane))


def edit(jane: HttpClient, client_id: str, **changes: str) -> HttpResponse:
    """Open the form of an application, change fields, and send it."""
    path = f"/console/applications/{client_id}/edit"
    form = {key: value for key, value in fields_of(get(jane, path)).items() if key != "csrf"}
    return send(jane, path, **{**form, **changes})


def entries_about(console: Console, client_id: str) -> list[AuditEntry]:
    only = AuditFilter(subject=client_id)
    return console.control_plane.audit_log.list(0, 10_000, only=only)


def entries_of(console: Console, client_id: str) -> list[tuple[str, str, Any]]:
    return [
        (one.event, one.actor[:5], json.loads(one.data).get("fields"))
        for one in entries_about(console, client_id)
    ]


def test_the_settings_of_an_application_are_changed(console: Console, jane: HttpClient) -> None:
    secret = secret_of(create(jane, "Wiki", audience="example.com", without_pkce="yes"))
    client_id = find(console, "Wiki").client_id
    path = f"/console/applications/{client_id}"
    assert f'href="{path}/edit"' in get(jane, path).text

    same = edit(jane, client_id)
    answer = edit(
        jane,
        client_id,
        name=" The wiki ",
        redirect_uris=f"{HUB}2\r\n{HUB}3",
        refresh_tokens="yes",
        requires_second_factor="yes",
        address="https://wiki.example.com",
    )
    assert (same.headers["location"], answer.headers["location"]) == (path, f"{path}?note=updated")
    assert "The application is changed." in get(jane, answer.headers["location"]).text

    wiki = find(console, "The wiki")
    assert (wiki.client_id, wiki.redirect_uris) == (client_id, [f"{HUB}2", f"{HUB}3"])
    assert (wiki.audience, wiki.refresh_tokens) == (["example.com"], True)
    assert not wiki.requires_pkce
    assert wiki.requires_second_factor
    assert "<dt>Second factor</dt><dd>required</dd>" in get(jane, path).text
    assert works(console, "The wiki", secret)
    changes = {"without_pkce": "", "refresh_tokens": "", "requires_second_factor": ""}
    edit(jane, client_id, audience="", **changes)
    wiki = find(console, "The wiki")
    assert not wiki.requires_second_factor
    assert (wiki.audience, wiki.requires_pkce, wiki.refresh_tokens) == ([], True, False)
    uris = [json.loads(entry.data) for entry in entries_about(console, client_id)]
    assert uris[0]["redirect_uris"] == [HUB]
    assert uris[1]["redirect_uris_added"] == [f"{HUB}2", f"{HUB}3"]
    assert uris[1]["redirect_uris_removed"] == [HUB]
    assert "redirect_uris_added" not in uris[2]
    assert [one.get("address", "-") for one in uris] == [None, "https://wiki.example.com", "-"]
    assert entries_of(console, client_id) == [
        ("application.created", "user:", None),
        (
            "application.updated",
            "user:",
            ["address", "name", "redirect_uris", "refresh_tokens", "requires_second_factor"],
        ),
        (
            "application.updated",
            "user:",
            ["audience", "refresh_tokens", "requires_pkce", "requires_second_factor"],
        ),
    ]


@pytest.mark.parametrize(
    ("form", "field", "words"),
    [
        ({"name": ""}, "name", "The name of an application has 1 to"),
        ({"name": "Taken"}, "name", "There is an application 'Taken': choose another name."),
        ({"redirect_uris": ""}, "redirect_uris", "An application needs a redirect URI."),
        ({"audience": "bat_none"}, "audience", "There is no batch 'bat_none'."),
        ({"without_pkce": "yes"}, "without_pkce-yes", "A public application needs PKCE"),
    ],
    ids=["no name", "taken", "no URI", "no batch", "PKCE"],
)
def test_wrong_settings_change_nothing_and_stay_in_the_form(
    console: Console, jane: HttpClient, form: dict[str, str], field: str, words: str
) -> None:
    create(jane, "Taken")
    create(jane, "Chat", is_public="yes")
    chat = find(console, "Chat")
    page = edit(jane, chat.client_id, **form)
    assert page.status == 400
    assert problem_of(page)[0] == field
    assert problem_of(page)[1].startswith(words)
    assert fields_of(page).items() >= {key: value for key, value in form.items() if value}.items()
    assert find(console, "Chat") == chat


def test_a_form_changes_only_its_own_fields_of_settings_that_changed_meanwhile(
    console: Console, jane: HttpClient
) -> None:
    create(jane, "Shared", redirect_uris=f"{HUB}\n{HUB}2")
    client_id = find(console, "Shared").client_id
    path = f"/console/applications/{client_id}/edit"
    opened = fields_of(get(jane, path))
    edit(jane, client_id, redirect_uris=f"{HUB}/other", refresh_tokens="yes")

    # A browser sends other line ends than the page has.
    sent = {name: value.replace("\n", "\r\n") for name, value in opened.items()}
    assert send(jane, path, **{**sent, "name": "Shared by two"}).status == 303
    shared = find(console, "Shared by two")
    assert (shared.redirect_uris, shared.refresh_tokens) == ([f"{HUB}/other"], True)


def test_a_field_that_two_changed_is_replaced_only_after_its_value_was_shown(
    console: Console, jane: HttpClient
) -> None:
    create(jane, "Both", audience="example.com")
    client_id = find(console, "Both").client_id
    path = f"/console/applications/{client_id}/edit"
    opened = fields_of(get(jane, path))
    edit(jane, client_id, redirect_uris=f"{HUB}/theirs", audience="owners", name="Both of us")

    mine = {"redirect_uris": f"{HUB}/mine", "name": "Both of us"}
    page = send(jane, path, **{**opened, **mine})
    assert page.status == 409
    field, text = problem_of(page)
    assert (field, text.split(":", 1)[0]) == ("redirect_uris", "This is now")
    assert f"{HUB}/theirs" in text
    assert fields_of(page).items() >= {**mine, "audience": "owners"}.items()
    assert find(console, "Both of us").redirect_uris == [f"{HUB}/theirs"]

    assert send(jane, path, **fields_of(page)).status == 303
    both = find(console, "Both of us")
    assert (both.redirect_uris, both.audience) == ([f"{HUB}/mine"], ["owners"])


def test_secrets_and_deletion_need_a_recent_sign_in(console: Console, jane: HttpClient) -> None:
    secret = secret_of(create(jane, "Guarded"))
    path = f"/console/applications/{find(console, 'Guarded').client_id}"
    set_at = re.search(r'name="set_at" value="(\d+)"', get(jane, f"{path}/rotate-secret").text)
    assert set_at
    let_time_pass(console.control_plane, 16 * MINUTE_MS)
    for change, form in (
        (f"{path}/rotate-secret", {"when": "now", "set_at": set_at[1]}),
        (f"{path}/edit", {"name": "x", "opened_name": "Guarded"}),
        (f"{path}/delete", {}),
        ("/console/applications/new", {"name": "x", "redirect_uris": HUB}),
    ):
        for answer in (get(jane, change), send(jane, change, **form)):
            assert answer.headers["location"].startswith("/sign-in-again?to=")
    assert get(jane, path).status == 200
    assert works(console, "Guarded", secret)


def test_the_last_sign_in_is_shown(console: Console, jane: HttpClient) -> None:
    create(jane, "Used")
    client_id = find(console, "Used").client_id
    path = f"/console/applications/{client_id}"
    assert "<dt>Last sign-in</dt><dd>none</dd>" in get(jane, path).text
    with console.control_plane.store.write() as tx:
        tx.applications.touch(client_id, 1_700_000_000_000)
    assert "2023-11-14 22:13" in get(jane, path).text
    assert "2023-11-14 22:13" in get(jane, "/console/applications").text


def test_names_are_text(console: Console, jane: HttpClient) -> None:
    create(jane, "<script>alert(1)</script>")
    client_id = find(console, "<script>alert(1)</script>").client_id
    for path in (
        "",
        *(f"/{client_id}{page}" for page in ("", "/edit", "/delete", "/rotate-secret")),
    ):
        page = get(jane, f"/console/applications{path}").text
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page


def copied(page: HttpResponse) -> dict[str, str]:
    """Give what the buttons of a page copy, by the ends of their ids."""
    for one in re.findall(r'data-copies="([^"]+)"', page.text):
        assert page.text.count(f' id="{one}"') == page.text.count(f' id="{one}-copied"') == 1
    texts = re.findall(r'id="copy-([^"]+?)"[^>]*>([^<]*)</(?:span|pre)>', page.text)
    return {key: unescape(text) for key, text in texts if not key.endswith("-copied")}


def test_the_pages_have_all_that_a_program_needs_to_be_pasted(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    console = open_console(public_url=PUBLIC, signing_keys=tmp_path / "keys")
    jane = console.browser()
    grafana = "https://example.com/grafana/login/generic_oauth"
    page = create(jane, "Grafana", redirect_uris=grafana)
    assert f"issuer={PUBLIC}" in page.text
    client_id, secret = find(console, "Grafana").client_id, secret_of(page)
    once, later = copied(page), copied(get(jane, f"/console/applications/{client_id}"))
    known = metadata(PUBLIC)
    names = [name for name in known if name.endswith(("_endpoint", "_uri"))]
    names.remove("revocation_endpoint")
    for name in ("issuer", *names):
        assert later[name] == once[name] == known[name]
    assert later["client-id"] == client_id
    assert later["discovery"] == f"{PUBLIC}/.well-known/openid-configuration"
    programs = {one.key for one in PROGRAMS if not one.is_public}
    assert programs < once.keys()
    for key in programs:
        assert client_id in once[key]
        assert secret in once[key]
        assert f"{PUBLIC}" in once[key]
        assert later[key] == once[key].replace(secret, "mrc_...")
    assert once["grafana"].startswith("[server]\nroot_url = https://example.com/grafana/\n")
    assert 'oauth_callback_url = "https://example.com/hub/oauth_callback"' in once["jupyterhub"]
    assert f"OIDCRedirectURI {grafana}\n" in once["apache"]
    opened = re.findall(r'<details class="paste" open>\n<summary>(.*?)<', page.text)
    assert opened == ["Grafana"]
    assert (
        'returns to <span translate=no class="code">https://example.com/hub/oauth_callback<'
        in page.text
    )


def test_a_public_application_has_the_text_of_a_page(
    open_console: OpenConsole, tmp_path: Path
) -> None:
    console = open_console(public_url=PUBLIC, signing_keys=tmp_path / "keys")
    texts = copied(create(console.browser(), "Page", is_public="yes"))
    public = {one.key for one in PROGRAMS if one.is_public}
    assert texts.keys() & {one.key for one in PROGRAMS} == public
    assert f'redirect_uri: "{HUB}"' in texts["oidc-client-ts"]
    assert "mrc_" not in str(texts)


def test_the_texts_are_those_of_the_documents() -> None:
    page = (ROOT / "docs/operations/application-programs.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```\w+\n(.*?)```", page, re.DOTALL)
    for program in PROGRAMS:
        assert program.text in blocks, program.key
        assert program.returns_to in page, program.key


def test_without_a_public_address_the_pages_say_what_is_missing(
    console: Console, jane: HttpClient
) -> None:
    create(jane, "Nowhere")
    client_id = find(console, "Nowhere").client_id
    for path in ("", f"/{client_id}"):
        assert "ANYSCALE_PUBLIC_URL" in get(jane, f"/console/applications{path}").text
