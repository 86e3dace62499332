"""Every page of the console fits every screen and paper: nothing is cut, nothing scrolls sideways.

The texts of people are as long as they may be: names of 90 characters, in one word too, and an
email of 119.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect
from tests.browser.conftest import visits
from tests.support.accessibility.layout import PAPER, WIDTHS, assert_fits_screens_and_paper
from tests.support.callers import OPERATOR
from tests.support.mail.mail_site import relay_environment
from tests.support.ports import free_port
from tests.support.sign_in.site import SSO_SETTINGS, Site, run_site

from anyscale.domain.models.applications import NewApplication
from anyscale.domain.models.sync import SyncResult
from anyscale.domain.validation import CheckedUser, Policy, check

NAMES = [
    "W" * 90,
    "Maximiliane Theodora Wilhelmine von und zu Hohenlohe-Waldenburg-Schillingsfürst-Langenburg",
]
EMAIL = f"{'m' * 60}@{'d' * 50}.example"
LOGO = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 100" width="900" height="100">'
    '<style>rect { fill: #147 }</style><rect width="900" height="100"/></svg>'
)
REDIRECT = f"https://wiki.example.com/{'w' * 90}"


class Long(NamedTuple):
    """What has long texts, and the cookies of an owner."""

    state: Any
    #: addresses of pages
    users: list[str]
    batches: list[str]
    application: str
    update: str
    #: where the application begins a sign-in
    authorization: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with a wide logo, and a relay that is never there, so that its mails stay due."""
    folder = tmp_path_factory.mktemp("layout")
    (folder / "logo.svg").write_text(LOGO, encoding="utf-8")
    logo = {"ANYSCALE_LOGO": str(folder / "logo.svg"), "ANYSCALE_ORGANIZATION": "Northwind Labs"}
    mail = relay_environment(free_port(), "none")
    with run_site(folder, {**SSO_SETTINGS, **mail, **logo}) as site:
        yield site


def person(at: int, name: str) -> CheckedUser:
    user = check(
        Policy(),
        name=name,
        email=EMAIL if at == 0 else f"{at}.{EMAIL[: -len(str(at)) - 9]}.example",
        password=None,
        is_sso_user=False,
        lastname=None,
        title="Wissenschaftliche Mitarbeiterin am Lehrstuhl für Angewandte Informatik",
        external_id=f"P{at}" * 20,
    )
    assert user
    return user


@pytest.fixture(scope="module")
def long(site: Site) -> Long:
    assert len(EMAIL) == 119
    email = site.create_owner()
    state = site.signed_in(email)
    with closing(site.control_plane()) as control_plane:
        people = [person(at, name) for at, name in enumerate(NAMES * 4)]
        label = f"{'staff_of_the_faculty' * 5}.csv"
        created = control_plane.batches.create(OPERATOR, "long", people, "fail", label=label)
        opened = control_plane.batches.open(OPERATOR, "open", "fail", label)
        control_plane.lifecycle.suspend(OPERATOR, created.users[1].user_id)
        domain = f"@{EMAIL.partition('@')[2]}"
        new = NewApplication(name="W" * 90, redirect_uris=[REDIRECT], audience=[domain])
        application = control_plane.applications.create(OPERATOR, new).application
        control_plane.tokens.create(OPERATOR, "t" * 64, "owner", None)
        update = control_plane.syncs.start(OPERATOR, "key", label, 9)
        assert update
        control_plane.syncs.save(update, SyncResult(created=1_000_000), "done")
    return Long(
        state,
        [f"/console/users/{user.user_id}" for user in created.users],
        [f"/console/batches/{batch}" for batch in (created.batch.batch_id, opened.batch_id)],
        f"/console/applications/{application.client_id}",
        f"/console/sync/{update.sync_id}",
        authorization(application.client_id),
    )


def authorization(client_id: str) -> str:
    request = {"response_type": "code", "scope": "openid", "redirect_uri": REDIRECT, "state": "x"}
    pkce = {"code_challenge": "x" * 43, "code_challenge_method": "S256"}
    return f"/oauth2/authorize?{urlencode(request | pkce | {'client_id': client_id})}"


Address = Callable[[Long], str]

PAGES: dict[str, str | Address] = {
    "overview": "/console",
    "users": "/console/users",
    "users by email": "/console/users?sort=email&state=none",
    "search": "/console/users?q=maximiliane",
    "account": lambda long: long.users[0],
    "suspended account": lambda long: long.users[1],
    "correct": lambda long: f"{long.users[0]}/correct",
    "role": lambda long: f"{long.users[0]}/role",
    "delete": lambda long: f"{long.users[0]}/delete",
    "selected": lambda long: f"/console/users/links?user_id={long.users[0].split('/')[-1]}",
    "new user": "/console/users/new",
    "batches": "/console/batches",
    "batch": lambda long: long.batches[0],
    "open batch": lambda long: long.batches[1],
    "links": lambda long: f"{long.batches[0]}/links",
    "undo": lambda long: f"{long.batches[0]}/undo",
    "new batch": "/console/batches/new",
    "updates": "/console/sync",
    "update": lambda long: long.update,
    "applications": "/console/applications",
    "application": lambda long: long.application,
    "edit": lambda long: f"{long.application}/edit",
    "rotate": lambda long: f"{long.application}/rotate-secret",
    "delete application": lambda long: f"{long.application}/delete",
    "new application": "/console/applications/new",
    "tokens": "/console/tokens",
    "new token": "/console/tokens/new",
    "mails": "/console/mails",
    "new mails": "/console/mails/new",
    "audit log": "/console/audit",
    "own account": "/",
    "sign out": "/sign-out",
    "sign out of an application": "/oauth2/logout",
    "sign in again": "/sign-in-again?to=/console/tokens/new",
    "second factor": "/account/second-factor",
    "no access": lambda long: long.authorization,
    "application that is set up wrongly": "/oauth2/authorize?client_id=unknown",
}

#: for people who are not signed in
SIGN_IN: dict[str, str | Address] = {
    "sign in": "/sign-in?note=signed_out",
    "sign in to an application": lambda long: long.authorization,
    "refused by the provider": "/sign-in?sso=refused&number=9cbeddf6dcfa9a7e",
    "provider that is not set up": "/sign-in?sso=not_set_up&number=9cbeddf6dcfa9a7e",
    "forgotten password": "/forgot-password",
    "pasted link": "/set-password",
}


@pytest.fixture(scope="module")
def page(browser: Browser, site: Site, long: Long) -> Iterator[Page]:
    """A page of the owner, whose console has to stay empty."""
    with visits(browser, site) as visit:
        page = visit("/console", storage_state=long.state)
        page.emulate_media(reduced_motion="reduce")
        for path in (f"{long.users[2]}", "/console/mails/new"):
            page.goto(path)
            page.get_by_role("button", name="by mail").click()
        yield page


@pytest.mark.parametrize("name", PAGES)
def test_every_page_fits_every_screen_and_paper(page: Page, long: Long, name: str) -> None:
    address = PAGES[name]
    page.goto(address if isinstance(address, str) else address(long))
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert_fits_screens_and_paper(page)


@pytest.fixture(scope="module")
def stranger(browser: Browser, site: Site) -> Iterator[Page]:
    """A page of somebody who is not signed in."""
    with visits(browser, site) as visit:
        yield visit("about:blank")


@pytest.mark.parametrize("name", SIGN_IN)
def test_every_page_before_the_sign_in_fits(stranger: Page, long: Long, name: str) -> None:
    address = SIGN_IN[name]
    stranger.goto(address if isinstance(address, str) else address(long))
    expect(stranger.get_by_role("heading", level=1)).to_be_visible()
    assert_fits_screens_and_paper(stranger)


def test_the_questions_of_an_update_fit(page: Page, long: Long) -> None:
    rows = [f"{'Z' * 90};{EMAIL};N{'0' * 90}", f"{NAMES[0]};{'z' * 60}@{'d' * 50}.example;P9"]
    text = "\n".join(["name;email;external_id", *rows])
    page.goto("/console/sync")
    page.get_by_label("File of everybody").set_input_files(
        FilePayload(name=f"{'staff_of_the_faculty' * 5}.csv", mimeType="", buffer=text.encode())
    )
    page.get_by_role("button", name="Check the file").click()
    expect(page.get_by_role("heading", name="who is who?")).to_be_visible()
    assert_fits_screens_and_paper(page)


def test_a_logo_is_shown_as_a_picture_with_the_name_of_the_organization(page: Page) -> None:
    page.set_viewport_size({"width": 1_280, "height": 800})
    for address in ("/console", "/", "/sign-in"):
        page.goto(address)
        logo = page.get_by_role("img", name="Northwind Labs")
        assert logo.evaluate("one => [one.complete, one.naturalWidth]") == [True, 900]
        box = logo.bounding_box()
        assert box
        assert box["height"] <= 40
        assert 200 <= box["width"] <= 224


def shown(page: Page, width: int) -> str:
    page.set_viewport_size({"width": width, "height": 900})
    text: str = page.locator("#users tbody tr").first.evaluate(
        "one => getComputedStyle(one).display"
    )
    return text


def test_a_list_is_cards_below_1000_pixels_and_a_table_on_a_wide_screen(page: Page) -> None:
    page.goto("/console/users?sort=email")
    assert {shown(page, width) for width in WIDTHS if width <= 1_000} == {"grid"}
    assert {shown(page, width) for width in WIDTHS if width >= 1_280} == {"table-row"}
    page.set_viewport_size({"width": 320, "height": 900})
    expect(
        page.get_by_role("columnheader", name="Name and email").get_by_role("link")
    ).to_be_in_viewport(ratio=1)


def test_a_list_has_1500_pixels_of_a_wide_screen(page: Page) -> None:
    page.set_viewport_size({"width": 1_920, "height": 900})
    page.goto("/console/users")
    table = page.locator(".scroll").bounding_box()
    assert table
    assert table["width"] == 1_500
    left, right = table["x"] - 216, 1_920 - table["x"] - table["width"]  # beside the navigation
    assert abs(left - right) < 20


def test_a_printed_list_has_all_columns_and_no_controls_and_is_black_on_white(page: Page) -> None:
    page.goto("/console/users")
    page.set_viewport_size({"width": PAPER, "height": 900})
    page.emulate_media(media="print", color_scheme="dark")
    try:
        for hidden in ("nav", ".filters", ".selection", ".pick", "button", ".button", ".skip"):
            for one in page.locator(hidden).all():
                expect(one).to_be_hidden()
        for column in ("Name and email", "Role", "Signs in by", "Since"):
            expect(page.get_by_role("columnheader", name=column)).to_be_visible()
        expect(page.locator(".brand")).to_be_visible()
        expect(page.locator(".top time")).to_be_visible()
        expect(page.locator("#users thead")).to_have_css("display", "table-header-group")
        expect(page.locator("#users tbody tr").first).to_have_css("break-inside", "avoid")
        link = page.get_by_role("rowheader").first.get_by_role("link")
        expect(link).to_have_css("text-decoration-line", "none")
        expect(link).to_have_css("color", "rgb(0, 0, 0)")
        expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
    finally:
        page.emulate_media(media="screen", color_scheme="light")
