"""Links by mail in Chromium: users who forgot the password, and owners who send them."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect
from tests.browser.batches.owners import new_batch, users_file
from tests.browser.conftest import Visit
from tests.support.accessibility.checks import assert_accessible
from tests.support.callers import OPERATOR
from tests.support.mail.mail_site import relay_environment
from tests.support.mail.relays import TestRelay, running_relay
from tests.support.sign_in.site import Site, run_site, set_password_by_link
from tests.support.users import NEW_PASSWORD, checked_users
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def relay() -> Iterator[TestRelay]:
    with running_relay() as relay:
        yield relay


@pytest.fixture(scope="module")
def site(relay: TestRelay, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server that sends mail."""
    environment = relay_environment(relay.port, "none")
    with run_site(tmp_path_factory.mktemp("site"), environment) as site:
        yield site


def test_a_user_who_forgot_the_password_sets_a_new_one_and_is_signed_in(
    site: Site, visit: Visit, relay: TestRelay
) -> None:
    email, page = site.create_user(), visit("/sign-in")
    page.get_by_role("link", name="Get a link by mail").click()
    page.get_by_label("Email").fill(email)
    assert_accessible(page)
    page.get_by_role("button", name="Send me a link").click()
    expect(page.get_by_role("status")).to_contain_text("If there is an account with this email")
    assert_accessible(page)
    page.reload()  # it sends no second mail
    expect(page.get_by_role("heading", name="Forgot your password?")).to_be_visible()
    wait_until(lambda: relay.to(email))
    [mail] = relay.to(email)
    page.goto(f"/set-password#{mail.code}")
    set_password_by_link(page, NEW_PASSWORD)
    expect(page).to_have_url("/")
    expect(page.get_by_text(email)).to_be_visible()


def test_an_owner_sends_links_by_a_double_click_and_stops_what_is_due(
    site: Site, visit: Visit, relay: TestRelay, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies = {"f": "550 5.1.1 no such mailbox", "g": "450 4.2.1 try again later"}
    monkeypatch.setattr(relay, "on_recipient", lambda address: replies.get(address[0]))
    users = checked_users("elsa", "finn", "greta")
    with closing(site.control_plane()) as control_plane:
        batch = control_plane.batches.create(OPERATOR, "links", users, "fail").batch
    path = f"/console/batches/{batch.batch_id}"
    page = visit(f"{path}/links", storage_state=site.signed_in(site.create_owner()))
    assert_accessible(page)
    page.get_by_label("Mails, each to its user").check()
    page.get_by_role("button", name="Create the links").dblclick()
    expect(page.get_by_text("The users who cannot sign in get links by mail")).to_be_visible()
    failed = page.get_by_role("table", name="Mails of the latest request that have failed")
    wait_until(lambda: relay.to("elsa@example.com"))  # Finn's is the next
    while not failed.is_visible():
        page.reload()
    expect(failed).to_contain_text("550 5.1.1 no such mailbox")
    assert_accessible(page)
    page.get_by_role("link", name="All mails").click()
    mailings = page.get_by_role("table", name="Requests for mails to many users")
    expect(mailings.get_by_role("row")).to_have_count(2)  # with its head
    mailings.locator("summary").click()
    assert_accessible(page)
    page.get_by_role("button", name="Stop now").click()
    expect(page.get_by_role("status")).to_contain_text("The mailing is stopped.")
    expect(mailings).to_contain_text("Stopped")
    assert len(relay.to("elsa@example.com")) == 1
    page.goto("/console/mails/new")
    expect(page.get_by_role("button", name="Send links by mail")).to_be_visible()
    assert_accessible(page)


def test_a_server_without_memory_for_the_file_keeps_the_box_that_mails_links(
    site: Site, visit: Visit, tmp_path: Path
) -> None:
    state = site.signed_in(site.create_owner())
    page = new_batch(visit, state, users_file(tmp_path, "full", 2))
    box = page.locator("[name=mail_links]")
    box.check()

    def refuse(route: Route) -> None:  # as it does before it has read the form
        route.fulfill(response=page.request.get(page.url), status=429)

    page.route("**/batches/check", refuse, times=1)
    with page.expect_response("**/batches/check"):
        page.get_by_role("button", name="Check the file").click()
    expect(box).to_be_checked()
