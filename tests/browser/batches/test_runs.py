"""Runs in a browser: kills, ended sessions and other files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect
from tests.browser.batches.owners import (
    CREATED,
    SECRET,
    Owner,
    Owners,
    start_run,
    users_file,
)
from tests.browser.conftest import Visit
from tests.server.http.pages.requests import send
from tests.support.accessibility.axe import violations
from tests.support.servers.http_client import HttpClient
from tests.support.users import NEW_PASSWORD
from tests.support.waiting import wait_until

#: users of a run that something interrupts: a batch of fewer is one call
MANY = 17


def half_done(
    visit: Visit, owners: Owners, state: Any, file: Path, columns: Mapping[str, str] | None = None
) -> Page:
    """Start a run in `half_hashed`; return its page when some of its passwords are hashed."""
    page = start_run(visit, state, file, columns)
    wait_until(lambda: owners.hashes_of(page.url))
    assert owners.state_of(page.url) == "open"
    return page


def go_on(page: Page, file: Path) -> None:
    page.get_by_label("Choose the same file to continue").set_input_files(file)
    page.get_by_role("button", name="Continue", exact=True).click()


def test_after_a_kill_the_page_that_has_the_file_goes_on_and_so_does_another_browser(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    file = users_file(tmp_path, "other", MANY, SECRET)
    named = users_file(tmp_path, "page", MANY, SECRET, "Spitzname,email,password")
    with owners.half_hashed():
        other = half_done(visit, owners, owners.state, file)
        page = half_done(visit, owners, owners.state, named, {"Spitzname": "Name or first name"})
        other.close()
        owners.server.kill()
    before = owners.hashes_of(page.url), owners.hashes_of(other.url)
    assert owners.state_of(page.url) == owners.state_of(other.url) == "open"
    owners.server.start()
    new = visit(other.url, storage_state=owners.add().state)
    go_on(new, file)
    for one, hashes in zip((page, new), before, strict=True):
        expect(one.get_by_role("heading", name=CREATED)).to_be_visible()
        after = owners.hashes_of(one.url)
        assert len(after) == MANY
        assert after == after | hashes, "a stored hash has changed"


def test_a_session_that_another_browser_ends_stops_the_run(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    caller, file = owners.add(), users_file(tmp_path, "ended", MANY, SECRET)
    with owners.half_hashed():
        run = half_done(visit, owners, caller.state, file)
        sign_out_everywhere(caller)
    expect(run.get_by_role("alert")).to_contain_text("You are not signed in any more")
    expect(run.get_by_role("heading", name="The accounts are being created")).to_be_visible()
    page = visit(run.url, storage_state=owners.state)
    expect(page.get_by_text("the session of the owner who started it was ended")).to_be_visible()
    assert violations(page) == []
    assert_nobody_created(owners, run, "ended")
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[17] = f"Bob,bob@batch.example,{SECRET}"
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("\n".join(lines), encoding="utf-8")
    hashes = owners.hashes_of(run.url)
    go_on(page, wrong)
    words = "User 17 of wrong.csv (line 18) differs: it is 'bob@batch.example' instead of"
    expect(page.get_by_role("alert")).to_contain_text(f"{words} 'ended16@batch.example'")
    assert owners.hashes_of(run.url) == hashes
    assert_nobody_created(owners, run, "ended")
    go_on(page, file)
    expect(page.get_by_role("heading", name=CREATED)).to_be_visible()


def sign_out_everywhere(owner: Owner) -> None:
    """Sign in at another browser, and end all other sessions."""
    other = HttpClient(f"http://{owner.client.host}")
    assert other.sign_in(owner.email.partition("@")[0], NEW_PASSWORD).status == 200
    assert send(other, f"/console/users/{owner.user_id}/sign-out").status == 303


def assert_nobody_created(owners: Owners, page: Page, tag: str) -> None:
    assert owners.state_of(page.url) == "open"
    emails = [f"{tag}{at}@batch.example" for at in range(MANY)]
    assert not any(owners.control_plane.users.find(emails))
