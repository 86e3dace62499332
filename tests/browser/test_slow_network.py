"""Each answer takes 400 ms: forms are clicked twice, sessions end, files come."""

import re
from collections.abc import Callable
from contextlib import closing
from itertools import product
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page, Request, expect
from tests.browser.conftest import Visit
from tests.support.accessibility.checks import assert_accessible
from tests.support.callers import OPERATOR
from tests.support.sign_in.site import Site
from tests.support.users import NEW_PASSWORD, checked_users, create_accounts

#: milliseconds until an answer
LATENCY = 400

#: The same where the second click has to be on the page before the answer, on a loaded machine too.
LONG_LATENCY = 1_500

#: milliseconds from one click to the next, as of a person: without, the browser sends one form
BETWEEN = 60

SECRET = re.compile("mr[tcl]_")

HUB = "https://hub.example.com/callback"


class Owner(NamedTuple):
    """The cookies of a browser in which an owner is signed in, and what the pages are about."""

    state: Any
    user_id: str
    batch_id: str


@pytest.fixture(scope="module")
def owner(site: Site) -> Owner:
    with closing(site.control_plane()) as plane:
        create_accounts(plane, "slow", password=None)
        (user,) = plane.users.find(["slow@example.com"])
        assert user
        batch = plane.batches.create(OPERATOR, "some", checked_users("a", "b", "c"), "fail").batch
    state = site.signed_in(site.create_owner())
    return Owner(state, user.user_id, batch.batch_id)


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def with_script(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def slow(visit: Visit, owner: Owner, with_script: bool) -> Page:
    """A page of the owner, before its network is slow."""
    options = {} if with_script else {"java_script_enabled": False}
    return visit("about:blank", storage_state=owner.state, **options)


def slow_down(page: Page, latency: int = LATENCY) -> None:
    """Let each answer to a page take its time from now on."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    unlimited = {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    session.send("Network.emulateNetworkConditions", {"latency": latency, **unlimited})


#: only with a script
scripted = pytest.mark.parametrize("with_script", [True], indirect=True)


def posts_of(page: Page) -> list[str]:
    """Return the list to which the addresses of sent forms are added."""
    posts: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST":
            posts.append(request.url)

    page.on("request", note)
    return posts


def fill_application(page: Page, _: Owner) -> str:
    page.goto("/console/applications/new")
    page.get_by_label("Name").fill(f"Slow {id(page)}")
    page.get_by_label("Redirect URIs").fill(HUB)
    return "Create the application"


def fill_token(page: Page, _: Owner) -> str:
    page.goto("/console/tokens/new")
    page.get_by_label("Name").fill(f"slow {id(page)}")
    return "Create the token"


def open_account(page: Page, owner: Owner) -> str:
    page.goto(f"/console/users/{owner.user_id}")
    return "Create a link"


#: each with the button of the replacement in the answer to a second form; a secret is in the first
FORMS: dict[str, tuple[Callable[[Page, Owner], str], str]] = {
    "application": (fill_application, "Replace the secret"),
    "link": (open_account, "Create a link"),
}


#: whether the page has a script, and the form: the server does not see the difference
CASES = list(product((True, False), FORMS))


@pytest.mark.parametrize(("with_script", "name"), CASES, indirect=["with_script"])
def test_a_double_click_loses_no_secret(
    slow: Page, owner: Owner, with_script: bool, name: str
) -> None:
    fill, replacement = FORMS[name]
    button = slow.get_by_role("button", name=fill(slow, owner), exact=True)
    # A script does not send the form again; without one the first answer must not come first.
    slow_down(slow, LATENCY if with_script else LONG_LATENCY)
    posts = posts_of(slow)
    button.dblclick(delay=BETWEEN)
    secret = slow.locator(".secret .whole").first
    if with_script:
        expect(secret).to_contain_text(SECRET)
        assert len(posts) == 1
        return
    # The page is the answer to the second form.
    link = slow.get_by_role("link", name=replacement)
    button = slow.get_by_role("button", name=replacement)
    # The page before it may have such a button. Its own navigation was aborted: only look.
    expect(slow).to_have_url(re.compile(r"\?note="))
    expect(button.or_(link)).to_be_visible()
    assert len(posts) == 2
    expect(secret).to_have_count(0)
    if link.count():
        link.click()
    button.click()
    expect(secret).to_contain_text(SECRET)


@scripted
def test_a_form_that_was_stopped_or_comes_back_can_be_sent(slow: Page, owner: Owner) -> None:
    fill_token(slow, owner)
    slow.get_by_label("Name").fill("")
    button = slow.get_by_role("button", name="Create the token")
    slow_down(slow)
    button.click()
    expect(slow.get_by_role("heading", name="There is a problem")).to_be_visible()
    slow.get_by_label("Name").fill(f"again {id(slow)}")
    button.click()
    expect(slow.locator("#token")).to_contain_text("mrt_")


@scripted
def test_after_the_file_of_links_the_page_says_what_happened(slow: Page, owner: Owner) -> None:
    path = f"/console/batches/{owner.batch_id}"
    slow.goto(f"{path}/links")
    expect(slow.get_by_role("heading", name="Create links for 3 users?")).to_be_visible()
    slow_down(slow)
    posts = posts_of(slow)
    slow.get_by_label("A CSV file").check()
    with slow.expect_download() as download:
        slow.get_by_role("button", name="Create the links").dblclick(delay=BETWEEN)
    assert download.value.path().read_text(encoding="utf-8").count("#mrl_") == 3
    expect(slow.get_by_role("heading", name="3 links were created")).to_be_visible()
    expect(slow.get_by_text("The 3 links sent before stop working.")).to_be_visible()
    assert len(posts) == 1
    assert_accessible(slow)
    slow.get_by_label("A file for programs").check()
    with slow.expect_download() as download:
        slow.get_by_role("button", name="Create the links again").click()
    assert download.value.suggested_filename == "links.jsonl"
    expect(slow.get_by_role("heading", name="3 links were created")).to_be_visible()
    slow.goto(path)
    expect(slow.get_by_role("link", name="3 unused links")).to_be_visible()
    assert_accessible(slow)


@scripted
def test_a_file_that_breaks_off_is_said(slow: Page, owner: Owner) -> None:
    slow.goto(f"/console/users/links?user_id={owner.user_id}")
    slow_down(slow)
    slow.route(re.compile("/console/users/links"), lambda route: route.abort())
    slow.get_by_role("button", name="Create the link").click()
    expect(slow.get_by_role("alert").filter(has_text="did not arrive whole")).to_be_focused()
    assert_accessible(slow)


@scripted
def test_what_was_typed_survives_the_end_of_the_session(slow: Page, site: Site) -> None:
    email = site.create_owner()
    slow.context.add_cookies(site.signed_in(email)["cookies"])
    slow.goto("/console/applications/new")
    slow.get_by_label("Name").fill("Kept Wiki")
    slow.get_by_label("Redirect URIs").fill(f"{HUB}\n{HUB}/2")
    slow.get_by_label("Works on while its user is away").check()
    with closing(site.control_plane()) as plane:
        (user,) = plane.users.find([email])
        assert user
        plane.sessions.revoke_all(OPERATOR, user.user_id)
    slow_down(slow)
    slow.get_by_role("button", name="Create the application").click()
    expect(slow.get_by_text("You are not signed in any more.")).to_be_visible()
    slow.get_by_label("Email").fill(email)
    slow.get_by_label("Password", exact=True).fill(NEW_PASSWORD)
    slow.get_by_role("button", name="Sign in", exact=True).click()
    expect(slow.get_by_label("Name")).to_have_value("Kept Wiki")
    expect(slow.get_by_label("Redirect URIs")).to_have_value(f"{HUB}\n{HUB}/2")
    expect(slow.get_by_label("Works on while its user is away")).to_be_checked()
    expect(slow.get_by_text("Nothing was changed before")).to_be_visible()
    assert slow.url.endswith("/console/applications/new")
    assert_accessible(slow)
