"""The screenshots of the console: see `screenshots`."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page
from tests.support.sign_in.sign_ins import let_time_pass
from tests.support.sign_in.site import Site

from anyscale.domain.models.applications import NewApplication
from anyscale.server.core.callers import SessionCaller
from anyscale.server.core.time_units import MINUTE_MS

__all__ = ["take_console"]

SIZES = {"wide": (1280, 800), "narrow": (390, 844), "dark": (1280, 800)}

HUB = "https://hub.example.com/hub/oauth_callback"

#: name -> redirect URI, and whose users it signs in
APPLICATIONS = {
    "JupyterHub": (HUB, []),
    "Grafana": ("https://grafana.example.com/login/generic_oauth", ["owners"]),
    "Wiki": ("https://wiki.example.com/oauth2callback", ["example.com"]),
}

Step = Callable[[Page], object]


def _verify(page: Page) -> None:
    page.goto("/console/audit")
    page.get_by_role("button", name="Verify the log").click()
    page.get_by_text("the newest one").wait_for()
    _hide(page, "#head .whole", "0" * 64)


def _refuse_application(page: Page) -> None:
    page.goto("/console/applications/new")
    page.get_by_label("Name").fill("Chat")
    page.get_by_label("Redirect URIs").fill("http://chat.example.com/signed-in")
    page.get_by_role("button", name="Create the application").click()
    page.get_by_role("alert").wait_for()


def _open_application(page: Page) -> None:
    page.goto("/console/applications")
    page.get_by_role("link", name="JupyterHub").click()
    page.get_by_role("heading", name="JupyterHub").wait_for()


def _ask_to_replace(page: Page) -> None:
    _open_application(page)
    page.get_by_role("link", name="Replace the secret").click()
    page.get_by_role("heading", name="Replace the secret").wait_for()


def _replace(page: Page) -> None:
    _ask_to_replace(page)
    page.get_by_role("button", name="Replace the secret").click()
    _hide(page, "#client .whole", f"mrc_{'x' * 43}")


def _ask_to_delete(page: Page) -> None:
    _open_application(page)
    page.get_by_role("link", name="Delete the application").click()
    page.get_by_role("heading", name="Delete JupyterHub?").wait_for()


def _hide(page: Page, selector: str, text: str) -> None:
    """Put a text of the same length in the place of a secret, which changes each time."""
    page.locator(selector).evaluate("(field, text) => { field.textContent = text }", text)


def _open(path: str) -> Step:
    return lambda page: page.goto(path)


#: with a recent sign-in, and without one
PAGES: dict[str, Step] = {
    "console-audit-log": _open("/console/audit"),
    "console-audit-log-verified": _verify,
    "console-applications": _open("/console/applications"),
    "console-application": _open_application,
    "console-application-refused": _refuse_application,
    "console-replace-secret": _ask_to_replace,
    "console-secret": _replace,
    "console-delete-application": _ask_to_delete,
    "console-tokens": _open("/console/tokens"),
}
OLD: dict[str, Step] = {"console-sign-in-again": _open("/console/applications/new")}


def take_console(browser: Browser, site: Site, state: Any, folder: Path) -> None:
    """Take the pages wide, narrow and in dark colours; `state` has the cookies of an owner."""
    with closing(site.control_plane()) as control_plane:
        cookies = {one["name"]: one["value"] for one in state["cookies"]}
        user = control_plane.sessions.authenticate(cookies["__Host-session"])
        _create_applications(control_plane.applications.create, user)
    for name, step in PAGES.items():
        _take(browser, site, state, folder / name, step)
    with closing(site.control_plane()) as control_plane:
        let_time_pass(control_plane, 16 * MINUTE_MS)
    for name, step in OLD.items():
        _take(browser, site, state, folder / name, step)


def _create_applications(create: Callable[..., object], user: SessionCaller) -> None:
    for name, (uri, audience) in APPLICATIONS.items():
        create(NewApplication(name=name, redirect_uris=[uri], audience=audience), user)


def _take(browser: Browser, site: Site, state: Any, path: Path, step: Step) -> None:
    for size, (width, height) in SIZES.items():
        scheme: Any = "dark" if size == "dark" else "light"
        context = browser.new_context(
            base_url=site.url,
            color_scheme=scheme,
            storage_state=state,
            viewport={"width": width, "height": height},
        )
        page = context.new_page()
        step(page)
        page.evaluate("document.activeElement.blur()")
        is_long = path.name == "console-audit-log"  # the window shows enough of it
        page.screenshot(path=path.with_name(f"{path.name}-{size}.png"), full_page=not is_long)
        context.close()
