"""A file of everybody brings the accounts up to date in a browser."""

import re
from pathlib import Path

from playwright.sync_api import Route, expect
from tests.browser.batches.owners import Owners
from tests.browser.conftest import Visit
from tests.support.accessibility.checks import assert_accessible
from tests.support.callers import OPERATOR
from tests.support.users import create_accounts

from anyscale.domain.models.users import User, UserChanges
from anyscale.domain.user_query import UserQuery
from anyscale.server.control_plane import ControlPlane


def active_users(control_plane: ControlPlane) -> list[User]:
    found = control_plane.listing.page(UserQuery(), "", 100).users
    return [one for one in found if one.suspended_at is None]


def test_the_month_is_planned_confirmed_and_done(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    create_accounts(owners.control_plane, "ann", "bea", "cid")
    file = tmp_path / "staff.csv"
    rows = ["E-Mail;Vorname;Stelle", "ann@example.com;Jane;Chefin", "bea@example.com;Jane;"]
    file.write_text("\n".join([*rows, "zoe@example.com;Zoë;", ""]), encoding="utf-8")
    page = visit("/console/batches", storage_state=owners.state)
    page.get_by_role("link", name="Update from a file").click()
    expect(page.get_by_label("File of everybody")).to_be_visible()
    assert_accessible(page)
    page.get_by_label("File of everybody").set_input_files(file)
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("heading", name=re.compile("3 people read"))).to_be_focused()
    assert_accessible(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the whole plan (CSV)").click()
    assert download.value.suggested_filename == "plan.csv"
    page.get_by_label("Change the details to those of the file").uncheck()
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route("**/console/sync", hold)
    with page.expect_request("**/console/sync"):
        page.get_by_role("button", name="Update the accounts").click()
    expect(page.locator(".doing").get_by_role("progressbar")).to_be_visible()
    held.pop().continue_()
    expect(page.get_by_role("heading", name="What was done")).to_be_focused()
    expect(page).to_have_url(re.compile(r"/console/sync/syn_\w+$"))
    # A slow double click hits what the result has at the place of the button.
    box = page.get_by_role("link", name="The new account").bounding_box()
    assert box
    page.mouse.move(box["x"] + 9, box["y"] + 9)
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)
    expect(page.get_by_role("link", name="Zoë")).to_be_visible()
    assert_accessible(page)
    expect(page).to_have_url(re.compile(r"/console/sync/syn_\w+$"))
    ann, cid = owners.control_plane.users.find(["ann@example.com", "cid@example.com"])
    assert ann
    assert ann.title is None
    assert cid
    assert cid.suspended_by_sync
    page.get_by_role("button", name=re.compile("Links for")).click()
    expect(page.get_by_role("heading", name=re.compile("Create links for"))).to_be_visible()


def test_who_is_who_is_answered_on_the_page_before_the_update_is_confirmed(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    control_plane = owners.control_plane
    create_accounts(control_plane, "dora", "emil")
    for name, number in (("dora", "71"), ("emil", "72")):
        [user] = control_plane.users.find([f"{name}@example.com"])
        assert user
        control_plane.updates.update(OPERATOR, user.user_id, UserChanges(external_id=number))
    everybody = [f";{one.name};;{one.email}" for one in active_users(control_plane)]
    file = tmp_path / "who.csv"
    rows = [row for row in everybody if "dora@" not in row and "emil@" not in row]
    rows += ["901;Theodora;Weber;dora@example.com", "172;Jane;;emil@example.com", ""]
    file.write_text("\n".join(["Personalnr;Vorname;Nachname;E-Mail", *rows]), encoding="utf-8")

    page = visit("/console/sync", storage_state=owners.state)
    page.get_by_label("File of everybody").set_input_files(file)
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("heading", name="2 questions: who is who?")).to_be_visible()
    assert_accessible(page)
    page.get_by_label("Who is Theodora Weber?").select_option("The same person")
    page.get_by_label(re.compile("^Type 1 if these are the same people")).fill("1")
    page.get_by_role("button", name="Check again with these answers").click()
    expect(page.get_by_role("heading", name="2 people with other details")).to_be_visible()
    expect(page.get_by_role("heading", name=re.compile("who is who"))).to_have_count(0)
    page.get_by_role("button", name="Update the accounts").first.click()
    expect(page).to_have_url(re.compile(r"/console/sync/syn_\w+$"))
    dora, emil = control_plane.users.find(["dora@example.com", "emil@example.com"])
    assert (dora and dora.name, emil and emil.external_id) == ("Theodora", "172")
