"""The screenshots of the console, by `./dev screenshots`. The users are invented."""

import base64
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, Page
from tests.support.callers import OPERATOR
from tests.support.databases.stored_data import execute_sql
from tests.support.sign_in.site import (
    SSO_SETTINGS,
    Site,
    change_password,
    run_chromium,
    run_site,
    sign_in,
)
from tests.support.users import NEW_PASSWORD, PASSWORD

from anyscale.domain.emails import email_key
from anyscale.domain.validation import CheckedUser, Policy, check
from anyscale.server.control_plane import ControlPlane

OWNER = "amina.okafor@example.com"

SIZES = {"wide": (1280, 800), "narrow": (390, 844), "dark": (1280, 800)}

SETTINGS = {**SSO_SETTINGS, "ANYSCALE_ORGANIZATION": "Northwind Labs"}

FIRST = ("Bela", "Chidi", "Dorota", "Emeka", "Farid", "Greta", "Hana", "Ines", "Jonas", "Kofi")
LAST = ("Novak", "Haddad", "Larsen", "Ito", "Silva", "Weber")
TITLES = ("Engineer", None, "Professor", None, "Librarian", None)

DAY = 86_400_000


def person(first: str, last: str, at: int) -> tuple[CheckedUser, str]:
    """Make a user, with a password or without one."""
    email = f"{first}.{last}@example.com".lower()
    password = PASSWORD if at % 5 < 3 else ""
    user = check(Policy(), first, email, password, at % 5 == 3, last, TITLES[at % 6])
    assert user
    return user, password


def create(control_plane: ControlPlane, name: str, people: list[tuple[CheckedUser, str]]) -> None:
    """Create a batch of people."""
    passwords = [(at, password) for at, (_, password) in enumerate(people) if password]
    control_plane.batches.create(name, [user for user, _ in people], "fail", OPERATOR, passwords)


def populate(site: Site) -> None:
    """Create the owner and two batches of people, some weeks ago."""
    amina = check(Policy(), "Amina", OWNER, PASSWORD, False, "Okafor", "Head of IT")
    assert amina
    with closing(site.control_plane()) as control_plane:
        create(control_plane, "amina", [(amina, PASSWORD)])
        people = [person(first, last, at) for at, (first, last) in enumerate(everybody())]
        create(control_plane, "autumn", people[:48])
        create(control_plane, "guests", people[48:])
        with control_plane.store.write() as tx:
            owner = tx.accounts.find(OWNER)
            assert owner
            tx.accounts.set_role(owner.user_id, "owner")
            execute_sql(
                tx,
                "update batches set published_at = published_at - ? where batch_id <> ?",
                (40 * DAY, owner.batch_id),
            )
        control_plane.lifecycle.suspend(id_of(control_plane, "kofi.ito@example.com"), OPERATOR)


def everybody() -> list[tuple[str, str]]:
    return [(first, last) for last in LAST for first in FIRST]


def id_of(control_plane: ControlPlane, email: str) -> str:
    with control_plane.store.read() as tx:
        account = tx.accounts.find(email_key(email))
    assert account
    return account.user_id


def account(email: str, page: str = "") -> "Step":
    """Open a page of an account, by the search."""

    def step(opened: Page) -> None:
        opened.goto(f"/console/users?q={email}")
        opened.goto(opened.url.partition("?")[0] + page)

    return step


def refused_user(page: Page) -> None:
    page.goto("/console/users/new")
    page.get_by_label("Email").fill("bela.novak@example,com")
    page.get_by_label("First name").fill("Bela")
    page.get_by_label("Initial password").fill("Novak99")
    page.get_by_role("button", name="Create the user").click()


def link(page: Page) -> None:
    account("greta.weber@example.com")(page)
    page.get_by_role("button", name="Create a link").click()
    mask(page)


def links(page: Page) -> None:
    page.goto("/console/users?q=weber&state=none")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Create links").click()


_programs = iter(("JupyterHub", "Grafana", "Wiki"))


def new_application(page: Page) -> None:
    """Create an application, another one for each size."""
    name = next(_programs)
    page.goto("/console/applications/new")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Redirect URIs").fill(f"https://{name.lower()}.example.com/oauth_callback")
    page.get_by_role("button", name="Create the application").click()
    mask(page)


def application(path: str) -> "Step":
    """Open a page of the first application."""

    def step(page: Page) -> None:
        page.goto("/console/applications")
        page.get_by_role("rowheader").first.get_by_role("link").click()
        page.goto(page.url.partition("?")[0] + path)

    return step


def mask(page: Page) -> None:
    """Replace the secret of a page."""
    page.locator(".whole").evaluate(
        "one => { one.textContent = one.textContent.replace(/_[\\w-]{20,}/, '_' + 'x'.repeat(39)) }"
    )


def verification(page: Page) -> None:
    page.goto("/console/audit")
    page.get_by_role("button", name="Verify the log").click()
    page.get_by_text("the newest one").wait_for()


def suspend(page: Page) -> None:
    account("hana.silva@example.com")(page)
    page.locator("summary", has_text="Suspend").click()


Step = Callable[[Page], None]

PAGES: dict[str, str | Step] = {
    "overview": "/console",
    "users": "/console/users?q=weber",
    "no-user": "/console/users?q=nobody",
    "user": account(OWNER),
    "user-suspend": suspend,
    "user-correct": account("greta.weber@example.com", "/correct"),
    "user-role": account("greta.weber@example.com", "/role"),
    "user-delete": account("greta.weber@example.com", "/delete"),
    "user-new": "/console/users/new",
    "user-new-refused": refused_user,
    "link": link,
    "links": links,
    "application-new": "/console/applications/new",
    "application-created": new_application,
    "applications": "/console/applications",
    "application": application(""),
    "application-rotate": application("/rotate-secret"),
    "application-delete": application("/delete"),
    "tokens": "/console/tokens",
    "token-new": "/console/tokens/new",
    "audit-log": "/console/audit",
    "audit-log-verified": verification,
}

#: Draws a PNG and returns it as WebP, which has a third of its size.
TO_WEBP = """
async png => {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const canvas = Object.assign(document.createElement("canvas"), {
    width: image.width, height: image.height,
  });
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL("image/webp", 0.7).split(",")[1];
}
"""


def save(page: Page, blank: Page, path: Path) -> None:
    """Save a picture of a page, whose clock and caret do not change it."""
    page.evaluate("document.activeElement.blur()")
    height = page.evaluate("document.documentElement.scrollHeight")
    size = page.viewport_size
    assert size
    clip: Any = {"x": 0, "y": 0, "width": size["width"], "height": min(height, 2 * size["height"])}
    png = page.screenshot(full_page=True, clip=clip)
    webp = blank.evaluate(TO_WEBP, base64.b64encode(png).decode())
    path.write_bytes(base64.b64decode(webp))


def main(folder: Path, *names: str) -> None:
    """Take all pictures, or those of some pages."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory() as home,
        run_site(Path(home), **SETTINGS) as site,
        run_chromium() as browser,
    ):
        populate(site)
        state = signed_in(browser, site)
        blank = browser.new_page()
        for size, (width, height) in SIZES.items():
            context = browser.new_context(
                base_url=site.url,
                viewport={"width": width, "height": height},
                color_scheme="dark" if size == "dark" else "light",
                storage_state=state,
            )
            page = context.new_page()
            for name in names or PAGES:
                step = PAGES[name]
                _ = page.goto(step) if isinstance(step, str) else step(page)
                save(page, blank, folder / f"{name}-{size}.webp")
            context.close()


def signed_in(browser: Browser, site: Site) -> Any:
    """Let the owner sign in, choose a password and create a token; give the cookies."""
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    sign_in(page, OWNER)
    change_password(page, PASSWORD, NEW_PASSWORD)
    page.get_by_label("Name of a new token").fill("nightly import")
    page.get_by_role("button", name="Create a token").click()
    page.get_by_role("link", name="I have copied it").click()
    return context.storage_state()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
