"""The screenshots of the documents, by `./dev screenshots`. The users are invented."""

import re
import sys
from base64 import b32decode
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, Page
from tests.support.callers import OPERATOR
from tests.support.databases.stored_data import execute_sql
from tests.support.mail.mail_site import relay_environment
from tests.support.second_factor.authenticator_apps import code_shown
from tests.support.sign_in.site import (
    SSO_SETTINGS,
    Site,
    change_password,
    run_chromium,
    run_site,
    sign_in,
)
from tests.support.users import NEW_PASSWORD, PASSWORD

from anyscale.domain.validation import Policy, check

EMAIL = "amina.okafor@example.com"

SIZES = {"wide": (1280, 800), "narrow": (390, 844), "dark": (1280, 800)}

#: of the organization whose pages these are
SETTINGS = {
    "ANYSCALE_ORGANIZATION": "Northwind Labs",
    "ANYSCALE_PUBLIC_URL": "https://accounts.example.com",
}

#: the other browsers in which Amina is signed in: address and user agent
ELSEWHERE: dict[str, Any] = {
    "203.0.113.24": "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/604.1",
    "198.51.100.7": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Firefox/150.0",
}

HERE: dict[str, Any] = {
    "user_agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Chrome/156.0 Safari/537.36",
    "extra_http_headers": {"X-Forwarded-For": "192.0.2.15"},
}

Step = Callable[[Page, Site], None]


def amina(site: Site) -> None:
    """Create the account of Amina, an owner."""
    user = check(
        Policy(),
        name="Amina",
        email=EMAIL,
        password=PASSWORD,
        is_sso_user=False,
        lastname="Okafor",
        title="Engineer",
    )
    assert user
    with closing(site.control_plane()) as control_plane:
        control_plane.batches.create(OPERATOR, "amina", [user], "fail", [(0, PASSWORD)])
        with control_plane.store.write() as tx:
            account = tx.accounts.find(EMAIL)
            assert account
            tx.accounts.set_role(account.user_id, "owner")


def nothing(_: Page, __: Site) -> None:
    pass


def wrong(page: Page, _: Site) -> None:
    sign_in(page, EMAIL, "not the password")
    page.get_by_role("alert").wait_for()


def slip(page: Page, site: Site) -> None:
    change(page, site)
    change_password(page, NEW_PASSWORD, "short", "Change password")
    page.get_by_role("alert").wait_for()


def refused(page: Page, _: Site) -> None:
    page.goto("/sign-in?sso=refused&number=9cbeddf6dcfa9a7e")


def not_set_up(page: Page, _: Site) -> None:
    page.goto("/sign-in?sso=not_set_up&number=9cbeddf6dcfa9a7e")


def first(page: Page, _: Site) -> None:
    sign_in(page, EMAIL)


def chosen(page: Page, _: Site) -> None:
    sign_in(page, EMAIL)
    change_password(page, PASSWORD, NEW_PASSWORD)


def signed_in(page: Page, _: Site) -> None:
    sign_in(page, EMAIL, NEW_PASSWORD)


def change(page: Page, site: Site) -> None:
    signed_in(page, site)
    page.goto("/password")


def question(page: Page, site: Site) -> None:
    signed_in(page, site)
    page.locator("summary", has_text="Revoke the token").first.click()


def link(page: Page, site: Site) -> None:
    page.goto(site.create_link(EMAIL))
    page.get_by_label("Email").wait_for()


def dead_link(page: Page, _: Site) -> None:
    page.goto("/set-password#used")
    page.get_by_role("heading", name="This link does not work").wait_for()


def pasted_link(page: Page, _: Site) -> None:
    page.goto("/set-password")


def forgot_password(page: Page, _: Site) -> None:
    page.goto("/forgot-password")


def new_app(page: Page, site: Site) -> None:
    begin_app(page, site)


def new_passkey(page: Page, site: Site) -> None:
    page.context.add_cookies(site.signed_in(site.create_user())["cookies"])
    page.goto("/account/second-factor/passkey")
    page.get_by_role("button", name="Create the passkey").wait_for()


def second_step(page: Page, site: Site) -> None:
    email = add_app(page, site)
    page.context.clear_cookies()
    sign_in(page, email, NEW_PASSWORD)
    page.get_by_label("Code").wait_for()


def begin_app(page: Page, site: Site) -> str:
    """Begin to add an app to a new account; give its email."""
    email = site.create_user()
    page.context.add_cookies(site.signed_in(email)["cookies"])
    page.goto("/")
    page.get_by_role("button", name="Add an authenticator app").click()
    page.locator("#secret").wait_for()
    return email


def recovery_codes(page: Page, site: Site) -> None:
    add_app(page, site)


def add_app(page: Page, site: Site) -> str:
    """Add an app to a new account; give its email."""
    email = begin_app(page, site)
    seed = b32decode(page.locator("#secret").inner_text().replace(" ", ""))
    page.get_by_label("Code that the app shows now").fill(code_shown(seed))
    page.get_by_label("Name (optional)").fill("Work phone")
    page.get_by_role("button", name="Add it").click()
    page.get_by_role("heading", name="Your recovery codes").wait_for()
    return email


def recovered(page: Page, site: Site) -> None:
    email = add_app(page, site)
    code = page.locator("#codes").inner_text().partition("\n")[0]
    page.context.clear_cookies()
    sign_in(page, email, NEW_PASSWORD)
    page.get_by_role("link", name="Use a recovery code").click()
    page.get_by_label("Recovery code").fill(code)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Have you lost something?").wait_for()


def nowhere(page: Page, _: Site) -> None:
    page.goto("/nowhere")


#: in this order: the pages before the first change of the password, and after it
BEFORE: dict[str, Step] = {
    "sign-in": nothing,
    "sign-in-refused": wrong,
    "first-password": first,
    "set-password": link,
    "paste-link": pasted_link,
    "dead-link": dead_link,
    "not-found": nowhere,
}
AFTER: dict[str, Step] = {
    "account": signed_in,
    "revoke-token": question,
    "change-password": change,
    "change-password-refused": slip,
}
SSO: dict[str, Step] = {
    "sign-in-sso": nothing,
    "sign-in-sso-refused": refused,
    "sign-in-sso-not-set-up": not_set_up,
}
FACTORS: dict[str, Step] = {
    "add-app": new_app,
    "add-passkey": new_passkey,
    "second-factor": second_step,
    "recovery-codes": recovery_codes,
    "recovered": recovered,
}
MAIL: dict[str, Step] = {"forgot-password": forgot_password}


def picture(browser: Browser, site: Site, folder: Path, name: str, step: Step) -> None:
    """Take a page wide, narrow and in dark colours."""
    for size, (width, height) in SIZES.items():
        options: Any = HERE | {"viewport": {"width": width, "height": height}}
        scheme: Any = "dark" if size == "dark" else "light"
        context = browser.new_context(base_url=site.url, color_scheme=scheme, **options)
        page = context.new_page()
        page.goto("/sign-in")
        step(page, site)
        page.evaluate("document.activeElement?.blur()")
        page.screenshot(path=folder / f"{name}-{size}.png", full_page=True)
        page.goto("/")
        if page.get_by_role("button", name=re.compile("Sign out")).count():
            page.get_by_role("button", name="Sign out").click()
        context.close()


def take_with(
    browser: Browser, folder: Path, settings: Mapping[str, str], steps: Mapping[str, Step]
) -> None:
    """Take the pages that a server has with more settings."""
    with TemporaryDirectory() as home, run_site(Path(home), SETTINGS | dict(settings)) as site:
        for name, step in steps.items():
            picture(browser, site, folder, name, step)


def settle(browser: Browser, site: Site) -> None:
    """Let Amina choose her password, create a token, and sign in with other browsers."""
    context = browser.new_context(base_url=site.url, **HERE)
    page = context.new_page()
    chosen(page, site)
    page.goto("/console/tokens/new")
    page.get_by_label("Name").fill("nightly import")
    page.get_by_role("button", name="Create the token").click()
    page.goto("/")
    page.get_by_role("button", name="Sign out").click()
    for address, agent in ELSEWHERE.items():
        headers = {"X-Forwarded-For": address}
        other = browser.new_context(base_url=site.url, user_agent=agent, extra_http_headers=headers)
        sign_in(other.new_page(), EMAIL, NEW_PASSWORD)
    grow_old(site)


def grow_old(site: Site) -> None:
    """Set the times of the other sessions: created days ago, used minutes and hours ago."""
    day, hour = 86_400_000, 3_600_000
    with closing(site.control_plane()) as control_plane, control_plane.store.write() as tx:
        for number, address in enumerate(ELSEWHERE):
            times = (day * (number + 2), hour // 2 + hour * number * 5)
            execute_sql(
                tx,
                "update sessions set created_at = created_at - ?, used_at = used_at - ? "
                "where address = ?",
                (*times, address),
            )


def main(folder: Path) -> None:
    """Take all pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory() as home,
        run_site(Path(home), SETTINGS) as site,
        run_chromium() as browser,
    ):
        amina(site)
        for name, step in BEFORE.items():
            picture(browser, site, folder, name, step)
        settle(browser, site)
        for name, step in AFTER.items():
            picture(browser, site, folder, name, step)
        take_with(browser, folder, SSO_SETTINGS, SSO)
        take_with(browser, folder, {}, FACTORS)
        take_with(browser, folder, relay_environment(1, "none"), MAIL)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
