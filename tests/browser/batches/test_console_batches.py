"""A users file becomes accounts in a browser: by script, by keyboard, through kills and losses."""

import re
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Error, Route, expect
from tests.browser.batches.owners import (
    CREATED,
    SECRET,
    Owners,
    new_batch,
    start_run,
    users_file,
)
from tests.browser.conftest import Visit
from tests.support.accessibility.axe import keep_axe
from tests.support.accessibility.checks import assert_accessible, press_until
from tests.support.callers import OPERATOR

from anyscale.domain.validation import Policy, check

#: the progress of a run that continues
_RUNNING = {"state": "open", "running": True, "active": True, "message": ""}


def test_a_file_with_mistakes_is_mended_and_created(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    file = users_file(tmp_path, "mend", 3)
    good = file.read_text(encoding="utf-8")
    file.write_text(good + "Zoe,zoe,\n,x@batch.example,short\n", encoding="utf-8")
    page = new_batch(visit, owners.state, file)
    page.get_by_role("button", name="Check the file").click()
    heading = page.get_by_role("heading", name=re.compile(r"mend\.csv: 3 problems in 2 rows"))
    expect(heading).to_be_focused()
    expect(page.get_by_text("'zoe' is not an email address")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#problem-1")).to_be_focused()
    assert_accessible(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all problems (text)").click()
    text = download.value.path().read_text(encoding="utf-8")
    assert text.startswith("line 5 (Zoe) email: 'zoe' is not an email address")
    file.write_text(good, encoding="utf-8")
    page.get_by_label("Users file").set_input_files(file)
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("heading", name=re.compile("3 users read"))).to_be_focused()
    create = page.get_by_role("button", name="Create 3 accounts")
    expect(create).to_be_in_viewport()
    create.click()
    expect(page.get_by_role("heading", name=CREATED)).to_be_focused()
    assert re.search(r"/console/batches/bat_\w+$", page.url)
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#told-copied")).not_to_be_empty()


@pytest.mark.parametrize("with_script", [True, False])
def test_each_column_is_chosen_in_a_table_and_others_are_left_out(
    visit: Visit, owners: Owners, tmp_path: Path, with_script: bool
) -> None:
    file = users_file(tmp_path, f"export{with_script}", 2, "IT", "Vorname,E-Mail,Abteilung")
    page = visit(
        "/console/batches/new", storage_state=owners.state, java_script_enabled=with_script
    )
    department = page.get_by_label("Read Abteilung as")
    for step in ("Leave out", "Title"):
        page.get_by_label("Users file").set_input_files(file)
        page.get_by_role("button", name="Check the file").click()
        expect(page.get_by_role("heading", name=re.compile("2 users read"))).to_be_visible()
        expect(department.locator("option:checked")).to_have_text(step)
        expect(page.get_by_label("Read Vorname as").locator("option:checked")).to_have_text(
            "Name or first name"
        )
        department.select_option(label="Title")
    if not with_script:
        expect(page.get_by_text("choose the same file again below")).to_be_visible()
        page.get_by_label("Users file").set_input_files(file)
    page.get_by_role("button", name="Create 2 accounts").click()
    expect(page.get_by_role("heading", name=CREATED)).to_be_visible()
    (user,) = owners.control_plane.users.find([f"export{with_script}0@batch.example"])
    assert user
    assert (user.name, user.title) == ("Person 0", "IT")


def test_a_file_that_changed_after_the_check_is_not_created_unseen(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    file = users_file(tmp_path, "changed", 2)
    page = new_batch(visit, owners.state, file)
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("heading", name=re.compile("2 users read"))).to_be_focused()
    file.write_text("name,email\nEve,eve@batch.example\n", encoding="utf-8")
    page.get_by_role("button", name="Create 2 accounts").click()
    expect(page.get_by_role("alert")).to_contain_text("changed.csv changed since you chose it")
    emails = ["changed0@batch.example", "eve@batch.example"]
    assert owners.control_plane.users.find(emails) == [None, None]


def test_a_server_without_memory_for_the_file_loses_no_field(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    page = new_batch(visit, owners.state, users_file(tmp_path, "full", 2, "x", "name,email,Raum"))
    check = page.get_by_role("button", name="Check the file")
    check.click()
    page.get_by_label("Read Raum as").select_option(label="Title")
    page.get_by_label("Skip people").check()
    key = page.locator("[name=key]").input_value()

    def refuse(route: Route) -> None:  # as it does before it has read the form
        body = '<main id="main"><div class="message problem"><li>Try again later.</li></div></main>'
        answer = page.request.get(page.url)
        route.fulfill(response=answer, status=429, body=body)

    page.route("**/batches/check", refuse, times=1)
    check.click()
    expect(page.get_by_role("alert")).to_contain_text("Try again later.")
    expect(page.get_by_role("alert")).to_be_focused()
    expect(page.get_by_label("Read Raum as").locator("option:checked")).to_have_text("Title")
    expect(page.get_by_label("Skip people")).to_be_checked()
    expect(page.locator("[name=key]")).to_have_value(key)
    check.click()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.get_by_label("Read Raum as").locator("option:checked")).to_have_text("Title")


def test_without_a_connection_each_step_says_so_and_goes_on(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    page = new_batch(visit, owners.state, users_file(tmp_path, "offline", 17, SECRET))
    with owners.half_hashed():
        for button, heading in (
            ("Check the file", re.compile("17 users read")),
            ("Create 17 accounts", "The accounts are being created"),
        ):
            page.context.set_offline(True)
            page.get_by_role("button", name=button).click()
            expect(page.get_by_role("alert")).to_contain_text("there is no connection")
            expect(page.get_by_role("alert")).to_be_focused()
            page.context.set_offline(False)
            page.get_by_role("button", name=button).click()
            expect(page.get_by_role("heading", name=heading)).to_be_focused()
        page.context.set_offline(True)
        expect(page.get_by_text("No connection to the server. Trying again")).to_be_visible()
        page.context.set_offline(False)
    expect(page.get_by_role("heading", name=CREATED)).to_be_focused()
    address = page.url
    page.context.set_offline(True)
    with suppress(Error):
        page.reload()
    expect(page.get_by_role("heading", name=CREATED)).to_be_hidden()  # Chromium says why
    page.context.set_offline(False)
    page.goto(address)
    expect(page.get_by_role("heading", name=CREATED)).to_be_visible()


def test_all_is_done_by_keyboard_and_the_focus_is_always_visible(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    file = users_file(tmp_path, "keyboard", 2)
    page = visit("/console/batches/new", storage_state=owners.state)
    page.on("filechooser", lambda chooser: chooser.set_files(file))
    press_until(page, "Users file")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Users file")).to_have_value(re.compile("keyboard.csv"))
    for button, heading in (
        ("Check the file", re.compile("2 users read")),
        ("Create 2 accounts", CREATED),
    ):
        press_until(page, button)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=heading)).to_be_focused()


#: Notes what live regions say, and the values of the bar of progress.
_OBSERVE = """
() => {
  window.spoken = [];
  window.bars = [];
  const note = ({ target, type }) => {
    const one = target.nodeType === 3 ? target.parentElement : target;
    const live = one?.closest("[role=status], [role=alert], [aria-live]");
    if (live && type !== "attributes") spoken.push(live.textContent);
    if (one?.matches("[data-bar]") && type === "attributes") bars.push(one.value);
  };
  new MutationObserver((records) => records.forEach(note)).observe(
    document.getElementById("main"),
    { subtree: true, childList: true, characterData: true, attributeFilter: ["value"] });
}
"""


def test_a_run_of_ten_seconds_speaks_seldom_and_its_bar_never_goes_back(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    polls = count(1)

    def as_in_a_long_run(route: Route) -> None:
        """Answer ten times as a server does that is asked each second; once it knows less."""
        if (number := next(polls)) > 10:
            route.continue_()
            return
        percent = 10 if number == 5 else 10 * number
        route.fulfill(json=_RUNNING | {"percent": percent, "text": f"{number},000 users reserved"})

    page = new_batch(visit, owners.state, users_file(tmp_path, "quiet", 17, SECRET))
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("heading", name=re.compile("17 users read"))).to_be_focused()
    page.route("**/progress", as_in_a_long_run)
    page.clock.install()
    page.evaluate(_OBSERVE)
    with owners.half_hashed():
        page.get_by_role("button", name="Create 17 accounts").click()
        expect(page.get_by_role("heading", name="The accounts are being created")).to_be_focused()
    result = page.get_by_role("heading", name=CREATED)
    seconds = 0
    while not result.is_visible():
        page.clock.run_for(1_000)
        seconds += 1
    assert next(polls) > 10
    expect(result).to_be_focused()
    spoken = page.evaluate("spoken")
    assert spoken[0] == "Sending quiet.csv…"
    # the file, the result, and at most one each five seconds of the page
    assert 2 <= len(spoken) <= 3 + seconds / 5, spoken
    bars = page.evaluate("bars")
    assert bars == sorted(bars)
    assert bars[-1] == 100


def test_the_pages_are_accessible_narrow_and_wide_in_light_and_dark(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    batches, caller = owners.control_plane.batches, OPERATOR
    user = check(
        Policy(),
        name="W" * 256,
        email="long@batch.example",
        password=None,
        is_sso_user=False,
        lastname=None,
        title=None,
    )
    assert user
    undone = batches.create(caller, "one", [user], "fail").batch
    batches.undo(caller, undone.batch_id, "", force=True, dry_run=False)
    published = batches.create(caller, "two", [user], "fail").batch
    dropped, unfinished = (batches.open(caller, key, "fail") for key in ("three", "four"))
    batches.drop(caller, dropped.batch_id)
    of_published = f"/{published.batch_id}"
    page = visit(storage_state=owners.state)
    keep_axe(page)
    for path in (
        *("", of_published, f"{of_published}/undo", f"{of_published}/links"),
        *(f"/{batch.batch_id}" for batch in (undone, unfinished)),
    ):
        page.goto(f"/console/batches{path}")
        assert_accessible(page)
    with owners.half_hashed():
        run = start_run(visit, owners.state, users_file(tmp_path, "shown", 17, SECRET))
        running = _RUNNING | {"percent": 50, "text": "17 users reserved"}
        run.route("**/progress", lambda route: route.fulfill(json=running))
        assert_accessible(run)
