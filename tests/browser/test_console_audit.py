"""The audit log as an office uses it: questions are answered by clicks."""

import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit
from tests.support.accessibility.axe import violations
from tests.support.callers import OPERATOR
from tests.support.databases.stored_data import execute_sql
from tests.support.sign_in.site import Site

from anyscale.domain.validation import Policy, check
from anyscale.server.core.audit.entries import Entry, append_entries

#: of the browser, whose month may be another one than that of UTC
ZONE = "Europe/Berlin"


class Office(NamedTuple):
    """An owner, who is signed in, and Ann, whom Uwe suspended last month."""

    state: object
    ann: str


@pytest.fixture(scope="module")
def office(site: Site) -> Office:
    email = site.create_owner()
    with closing(site.control_plane()) as control_plane:
        people = [
            check(
                Policy(),
                name=first,
                email=f"{first}@office.example",
                password="",
                is_sso_user=False,
                lastname=last,
                title=None,
            )
            for first, last in (("Ann", "König"), ("Uwe", "Lang"))
        ]
        users = [user for user in people if user]
        control_plane.batches.create(OPERATOR, "office", users, "fail")
        found = control_plane.users.find([user.email for user in users])
        ann, uwe = (user.user_id for user in found if user)
        by_uwe = f"user:{uwe}"
        month = datetime.now(ZoneInfo(ZONE)).replace(day=1)
        last_month = (month - timedelta(days=10)).replace(hour=23, minute=30, tzinfo=UTC)
        with control_plane.store.write() as tx:
            entries = [
                Entry(by_uwe, "account.suspended", ann, {}),
                Entry(by_uwe, "users.exported", "", {"format": "csv", "filtered": False}),
            ]
            append_entries(tx, entries)
            last = tx.audit.get_last()
            assert last
            at = int(last_month.timestamp() * 1000)
            execute_sql(tx, f"update audit set at = {at} + number where number <= {last.number}")
            append_entries(tx, [Entry(by_uwe, "account.restored", ann, {})])
            append_entries(tx, [Entry("token:hr", "links.created", uwe, {})] * 10)
    return Office(site.signed_in(email), ann)


@pytest.fixture
def page(visit: Visit, office: Office) -> Page:
    return visit(f"/console/users/{office.ann}", storage_state=office.state, timezone_id=ZONE)


def entries(page: Page) -> list[str]:
    return [" ".join(one.split()) for one in page.locator(".log li > div > p").all_inner_texts()]


def test_what_else_the_administrator_did_is_three_clicks_away(page: Page) -> None:
    """Who suspended Ann last month, and what else did that administrator do?"""
    page.get_by_role("link", name="Everything that happened").click()
    page.get_by_role("button", name="Last month").click()
    expect(page.get_by_label("First day")).to_have_value(re.compile("-01$"))
    expect(page.get_by_text("Uwe Lang suspended Ann König")).to_be_visible()
    assert "Uwe Lang restored Ann König" not in entries(page)
    page.get_by_role("link", name="Uwe Lang").first.click()
    expect(page.get_by_text("Uwe Lang downloaded the list of users")).to_be_visible()
    assert entries(page)[:2] == [
        "Uwe Lang downloaded the list of users",
        "Uwe Lang suspended Ann König",
    ]
    page.get_by_role("link", name=re.compile("Remove the filter 1 ")).click()
    expect(page.get_by_text("Uwe Lang restored Ann König")).to_be_visible()
    expect(page.get_by_text("imes are in")).to_have_text([f"Days and times are in {ZONE}."])


def test_enter_in_the_field_of_names_shows_what_was_typed(page: Page) -> None:
    page.get_by_role("link", name="Audit log").first.click()
    page.get_by_label("Name, email or id").fill("lang uwe")
    page.get_by_label("Name, email or id").press("Enter")
    expect(page.get_by_role("link", name="Remove the filter Uwe Lang")).to_be_visible()
    expect(page.get_by_label("First day")).to_have_value("")
    assert "Uwe Lang restored Ann König" in entries(page)


def test_days_are_those_of_the_browser(page: Page) -> None:
    """23:30 in UTC is the next day in Berlin."""
    page.get_by_role("link", name="Everything that happened").click()
    suspended = page.locator(".days section").filter(has_text="suspended Ann")
    expect(suspended.locator("li time").first).to_have_text(re.compile("^(00|01):3"))
    day = suspended.get_by_role("heading").locator("time").get_attribute("datetime")
    at = suspended.locator("li time").first.get_attribute("datetime")
    assert day
    assert at
    assert datetime.fromisoformat(day).date() == (
        datetime.fromisoformat(at).date() + timedelta(days=1)
    )
    expect(page.get_by_text("created 2 accounts by the import of ")).to_have_text(
        re.compile(r"import of \w+ \d+, \d{4}")
    )
    ids = page.locator(".days h2").evaluate_all("all => all.map(one => one.id)")
    assert len(ids) == len(set(ids))


def test_details_open_and_the_page_is_accessible_as_a_list(page: Page) -> None:
    page.get_by_role("link", name="Everything that happened").click()
    page.locator(".log summary").first.click()
    expect(page.locator(".log details").first).to_contain_text("account.restored")
    assert violations(page) == []
    for width in (320, 768, 1024, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, width
        heights = page.locator(".log > li").evaluate_all(
            "all => all.filter(one => !one.querySelector('[open]')).map(one => one.offsetHeight)"
        )
        assert max(heights) < 200, width


def test_what_was_done_to_many_is_a_line_that_leads_to_each_entry(page: Page) -> None:
    page.get_by_role("link", name="Audit log").first.click()
    expect(page.get_by_text("The token hr created 10 links")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("link", name=re.compile(r"Show each of the entries \d+ to \d+")).click()
    expect(page.get_by_role("link", name="Remove the filter Link created")).to_be_visible()
    each = page.get_by_text("The token hr created a link for Uwe Lang")
    expect(each).to_have_count(10)
