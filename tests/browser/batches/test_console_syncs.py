"""A file of everybody brings the accounts up to date in a browser."""

import re
from pathlib import Path

from playwright.sync_api import Route, expect
from tests.browser.batches.owners import Owners
from tests.browser.conftest import Visit
from tests.support.accessibility.checks import assert_accessible
from tests.support.users import create_accounts


def test_the_month_is_planned_confirmed_and_done(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    create_accounts(owners.control_plane, "ann", "bea", "cid")
    file = tmp_path / "staff.csv"
    rows = ["E-Mail;Vorname;Stelle", "ann@example.com;ann;Chefin", "bea@example.com;bea;"]
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
    expect(page.locator("#confirm").get_by_role("progressbar")).to_be_visible()
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
