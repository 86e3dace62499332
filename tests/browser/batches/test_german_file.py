"""An office uploads the spreadsheet that it has, with mistakes: two rounds are enough."""

import io
import re
from datetime import date
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from playwright.sync_api import FilePayload, Page, Route, expect
from tests.browser.batches.owners import CREATED, Owners, new_batch, users_file
from tests.browser.conftest import Visit
from tests.support.accessibility.checks import assert_accessible
from tests.support.users import create_accounts

HEADER = ["Vorname", "Name", "E-Mail", "Abteilung", "Geburtsdatum"]

#: row of the sheet -> column and the value that is wrong there
MISTAKES = {
    5: ("E-Mail", "nils.meyer"),
    12: ("E-Mail", "vera10@example.com"),
    24: ("E-Mail", None),
    37: ("Vorname", None),
    50: ("E-Mail", "vera 48@example.com"),
}

EXISTING = ["vera20", "vera30", "vera40"]


def people() -> list[list[Any]]:
    return [
        ["Vera", f"Müller{at}", f"vera{at}@example.com", "Einkauf", date(1980, 1, 1 + at % 28)]
        for at in range(2, 62)
    ]


def workbook(rows: list[list[Any]], name: str = "Mitarbeiter.xlsx") -> FilePayload:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in [HEADER, *rows]:
        sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return {"name": name, "mimeType": kind, "buffer": content.getvalue()}


def check(page: Page, file: FilePayload) -> None:
    page.get_by_label("Users file").set_input_files(file)
    page.get_by_role("button", name="Check the file").click()


def test_a_german_export_with_mistakes_and_existing_people_takes_two_rounds(
    visit: Visit, owners: Owners
) -> None:
    create_accounts(owners.control_plane, *EXISTING, password=None)
    rows = people()
    for row, (column, value) in MISTAKES.items():
        rows[row - 2][HEADER.index(column)] = value
    page = visit("/console/batches/new", storage_state=owners.state)
    check(page, workbook(rows))
    heading = "5 problems in 5 rows, and 3 people have an account already"
    expect(page.get_by_role("heading", name=heading)).to_be_focused()
    problems = page.get_by_role("table").first
    for cell in ("C5", "C12", "C24", "A37", "C50"):
        expect(problems.get_by_role("rowheader", name=cell, exact=True)).to_be_visible()
    expect(problems).to_contain_text("the same as in C10 (Vera Müller10)")
    expect(page.get_by_text("Abteilung and Geburtsdatum are left out.")).to_be_visible()
    expect(page.locator("main")).not_to_contain_text("create_users")
    for name in EXISTING:
        expect(page.get_by_role("table", name="account already")).to_contain_text(name)
    assert_accessible(page)
    page.get_by_label("Skip people").check()
    check(page, workbook(people()))
    expect(page.get_by_role("heading", name="60 users read")).to_be_focused()
    page.get_by_role("button", name="Create 57 accounts").click()
    expect(page.get_by_role("heading", name=CREATED)).to_be_focused()
    expect(page.get_by_role("link", name="Links for 60 who cannot sign in")).to_be_visible()
    skipped = page.get_by_role("table", name="Skipped: they had accounts")
    for name in EXISTING:
        expect(skipped).to_contain_text(f"{name}@example.com")
    assert_accessible(page)


def test_no_button_begins_another_run_while_a_file_is_worked_on(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page = new_batch(visit, owners.state, users_file(tmp_path, "busy", 2))
    page.route("**/batches/check", hold)
    button = page.get_by_role("button", name="Check the file")
    with page.expect_request("**/batches/check"):
        button.click()
    bar = page.get_by_role("progressbar", name="The file is being worked on")
    expect(bar).to_be_visible()
    expect(page.get_by_text("Sending busy.csv…").first).to_be_visible()
    assert bar.evaluate("bar => bar.matches(':indeterminate')")
    expect(button).to_be_disabled()
    expect(button).to_be_focused()
    assert_accessible(page)
    page.keyboard.press("Enter")
    assert len(held) == 1
    held[0].continue_()
    expect(page.get_by_role("heading", name="2 users read")).to_be_focused()


def test_a_file_that_is_being_sent_shows_how_much_of_it_is_sent(
    visit: Visit, owners: Owners, tmp_path: Path
) -> None:
    page = new_batch(visit, owners.state, users_file(tmp_path, "slow", 8_000))
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", limits)
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_text(re.compile(r"Sending slow\.csv: [1-9][0-9]? %"))).to_be_visible()
    expect(page.get_by_role("heading", name="8,000 users read")).to_be_focused()


def test_letters_and_columns_of_a_file_of_german_excel_are_asked_for(
    visit: Visit, owners: Owners
) -> None:
    text = "Vorname;Name;Postfach\r\nEva;Müller;e1@batch.example\r\nOle;Groß;e2@batch.example\r\n"
    data = text.encode("windows-1252")
    page = visit("/console/batches/new", storage_state=owners.state)
    check(page, {"name": "personal.csv", "mimeType": "text/csv", "buffer": data})
    expect(page.get_by_role("alert")).to_contain_text("No column is read as Email")
    assert_accessible(page)
    page.get_by_label("Read Postfach as").select_option(label="Email")
    page.get_by_role("button", name="Check the file again").click()
    expect(page.get_by_text("Are these names right? Eva Müller, Ole Groß").first).to_be_visible()
    assert_accessible(page)
    page.get_by_role("button", name="Create 2 accounts").click()
    expect(page.get_by_role("heading", name=CREATED)).to_be_focused()
