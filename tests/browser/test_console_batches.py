"""A users file becomes accounts in a browser: by script, by keyboard, through kills and losses."""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.conftest import Visit
from tests.support.accessibility.axe import violations
from tests.support.servers.server_process import ServerProcess
from tests.support.sign_in.site import Site, change_password, sign_in
from tests.support.users import NEW_PASSWORD, PASSWORD
from tests.support.waiting import wait_until

SECRET = "canary horse battery"


class Owners(NamedTuple):
    """A server that hashes as in production, and the cookies of an owner's browser."""

    site: Site
    server: ServerProcess
    folder: Path
    state: Any
    email: str


@pytest.fixture(scope="module")
def owners(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owners]:
    folder = tmp_path_factory.mktemp("batches")
    database = folder / "anyscale.db"
    url = f"sqlite:////{database.relative_to('/')}"
    with ServerProcess(url, folder, real_hashes=True) as server:
        site = Site(server, database)
        email = site.create_owner()
        context = browser.new_context(base_url=site.url)
        page = context.new_page()
        sign_in(page, email)
        change_password(page, PASSWORD, NEW_PASSWORD)
        expect(page.get_by_role("heading", name="Your account")).to_be_visible()
        state = context.storage_state()
        context.close()
        yield Owners(site, server, folder, state, email)


@pytest.fixture
def site(owners: Owners) -> Site:
    return owners.site


def users_file(folder: Path, tag: str, count: int, password: str = "") -> Path:
    file = folder / f"{tag}.csv"
    rows = [f"Person {at},{tag}{at}@batch.example,{password}" for at in range(count)]
    file.write_text("\n".join(["name,email,password", *rows, ""]), encoding="utf-8")
    return file


def new_batch(visit: Visit, owners: Owners, file: Path) -> Page:
    page = visit("/console/batches/new", storage_state=owners.state)
    page.get_by_label("Users file").set_input_files(file)
    return page


def state_of(owners: Owners, page: Page) -> str:
    batch_id = page.url.rpartition("/")[2]
    with closing(owners.site.control_plane()) as control_plane:
        return control_plane.batches.counts(batch_id).state


def test_a_file_with_mistakes_is_mended_and_created(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    file = users_file(tmp_path, "mend", 3)
    good = file.read_text(encoding="utf-8")
    file.write_text(good + "Zoe,zoe,\n,x@batch.example,short\n", encoding="utf-8")
    page = new_batch(visit, owners, file)
    page.get_by_role("button", name="Check the file").click()
    heading = page.get_by_role("heading", name=re.compile(r"mend\.csv: 3 problems in 2 rows"))
    expect(heading).to_be_focused()
    expect(page.get_by_text("'zoe' is not an email address")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#problem-1")).to_be_focused()
    assert violations(page) == []
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all problems (text)").click()
    text = download.value.path().read_text(encoding="utf-8")
    assert text.startswith("mend.csv:5:5: create_users[3].email: 'zoe' is not an email address")
    file.write_text(good, encoding="utf-8")
    page.get_by_label("Users file").set_input_files(file)
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("heading", name=re.compile("3 users read"))).to_be_focused()
    assert violations(page) == []
    page.get_by_role("button", name="Create 3 accounts").click()
    expect(page.get_by_role("heading", name="All of its users have accounts.")).to_be_focused()
    assert re.search(r"/console/batches/bat_\w+$", page.url)
    assert violations(page) == []


def test_a_file_that_changed_after_the_check_is_not_created_unseen(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    file = users_file(tmp_path, "changed", 2)
    page = new_batch(visit, owners, file)
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("heading", name=re.compile("2 users read"))).to_be_focused()
    file.write_text("name,email\nEve,eve@batch.example\n", encoding="utf-8")
    page.get_by_role("button", name="Create 2 accounts").click()
    expect(page.get_by_role("alert")).to_contain_text("changed.csv changed since you chose it")


def test_a_loss_of_the_connection_keeps_the_file(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    page = new_batch(visit, owners, users_file(tmp_path, "offline", 2))
    page.context.set_offline(True)
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("alert")).to_contain_text("this page still has the file")
    page.context.set_offline(False)
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("heading", name=re.compile("2 users read"))).to_be_focused()


def test_without_script_the_file_is_chosen_twice(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    file = users_file(tmp_path, "plain", 2)
    page = visit("/console/batches/new", storage_state=owners.state, java_script_enabled=False)
    page.get_by_label("Users file").set_input_files(file)
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_text("choose the same file again below")).to_be_visible()
    page.get_by_label("Users file").set_input_files(file)
    page.get_by_role("button", name="Create 2 accounts").click()
    expect(page.get_by_role("heading", name="All of its users have accounts.")).to_be_visible()


def start_run(visit: Visit, owners: Owners, folder: Path, tag: str, count: int = 80) -> Page:
    page = new_batch(visit, owners, users_file(folder, tag, count, SECRET))
    page.get_by_role("button", name="Create the accounts").click()
    expect(page.get_by_role("heading", name="The accounts are being created")).to_be_focused()
    return page


def test_a_run_ends_without_its_tab_and_a_live_region_is_quiet(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    page = start_run(visit, owners, tmp_path, "closed", 50)
    assert violations(page) == []
    address = page.url
    page.close()
    again = visit(address, storage_state=owners.state)
    heading = again.get_by_role("heading", name="All of its users have accounts.")
    expect(heading).to_be_visible(timeout=20_000)


def test_a_page_that_has_the_file_goes_on_after_the_server_was_killed(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    page = start_run(visit, owners, tmp_path, "killed")
    wait_until(lambda: hashes_of(owners, page) != [])
    owners.server.kill()
    before = hashes_of(owners, page)
    assert_no_secret(owners)
    owners.server.start()
    heading = page.get_by_role("heading", name="All of its users have accounts.")
    expect(heading).to_be_visible(timeout=40_000)
    after = dict(hashes_of(owners, page))
    assert all(after[user_id] == text for user_id, text in before)
    assert_no_secret(owners)


def hashes_of(owners: Owners, page: Page) -> list[tuple[str, str]]:
    """Give the hashes of the batch that a page shows."""
    import sqlite3

    batch_id = page.url.rpartition("/")[2]
    with closing(sqlite3.connect(owners.folder / "anyscale.db")) as connection:
        return connection.execute(
            "select user_id, password_hash from users where password_hash is not null and batch ="
            " (select id from batches where batch_id = ?)",
            (batch_id,),
        ).fetchall()


def assert_no_secret(owners: Owners) -> None:
    """Search the database, its WAL, the logs and the temporary folder."""
    files = [path for path in owners.folder.rglob("*") if path.is_file()]
    assert len(files) >= 2
    for path in files:
        assert SECRET.encode() not in path.read_bytes(), path


def test_signing_out_says_first_that_a_run_stops(
    visit: Visit, owners: Owners, tmp_path: Path, browser: Browser
) -> None:
    email = owners.site.create_owner()
    page = visit()
    sign_in(page, email)
    change_password(page, PASSWORD, NEW_PASSWORD)
    own = owners._replace(state=page.context.storage_state())
    run = start_run(visit, own, tmp_path, "signout")
    page.goto(run.url)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign out, and stop the run?")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name="Sign out and stop").click()
    expect(page).to_have_url(re.compile("/sign-in"))
    expect(run.get_by_role("alert")).to_contain_text("You are not signed in any more")
    other = visit(run.url, storage_state=owners.state)
    expect(other.get_by_text("the session of the owner who started it was ended")).to_be_visible()
    assert violations(other) == []
    other.get_by_label("Choose the same file to go on").set_input_files(tmp_path / "signout.csv")
    other.get_by_role("button", name="Go on", exact=True).click()
    heading = other.get_by_role("heading", name="All of its users have accounts.")
    expect(heading).to_be_visible(timeout=40_000)


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1280, "light")])
def test_the_pages_fit_and_are_accessible(
    visit: Visit, owners: Owners, width: int, scheme: Any
) -> None:
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    page = visit("/console/batches", storage_state=owners.state, **options)
    batch = page.locator("tbody a").first.get_attribute("href") or ""
    paths = ["/console/batches", "/console/batches?only=open", "/console/batches/new"]
    for path in [*paths, batch, f"{batch}/undo", f"{batch}/links"]:
        page.goto(path)
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
