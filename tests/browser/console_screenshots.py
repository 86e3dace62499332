"""The screenshots of the console, by `./dev screenshots`. The users are invented."""

import base64
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, Page
from tests.browser.console_people import (
    COLLABORATOR,
    OWNER,
    WITH_FACTOR,
    add_collaborator,
    everybody_as_rows,
    populate,
)
from tests.support.mail.mail_site import relay_environment
from tests.support.mail.relays import running_relay
from tests.support.sign_in.sign_ins import let_time_pass
from tests.support.sign_in.site import (
    SSO_SETTINGS,
    Site,
    change_password,
    run_chromium,
    run_site,
    sign_in,
)
from tests.support.users import NEW_PASSWORD, PASSWORD

from anyscale.server.core.time_units import MINUTE_MS

SIZES = {"wide": (1280, 800), "narrow": (390, 844), "dark": (1280, 800)}

SETTINGS = {
    **SSO_SETTINGS,
    "ANYSCALE_ORGANIZATION": "Northwind Labs",
    # A batch that waits for another one does so in all pictures.
    "ANYSCALE_RESERVATION_WAIT_SECONDS": "600",
}


HALF_DONE: dict[str, Any] = {
    "state": "open",
    "running": True,
    "active": False,
    "percent": 55,
    "text": "1,200 users read, 675 passwords to secure",
    "message": "",
}

#: what the relay replies to the first recipient of a link
NO_MAILBOX = "550 5.1.1 no such mailbox"

_numbers = count(1)


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


def check_file(*rows: str, header: str = "name,lastname,email,title,is_sso_user") -> "Step":
    """Check a users file with some rows."""
    text = "\n".join((header, *rows))

    def step(page: Page) -> None:
        page.goto("/console/batches/new")
        page.get_by_label("Users file").set_input_files(
            {"name": "staff.csv", "mimeType": "text/csv", "buffer": text.encode()}
        )
        page.get_by_role("button", name="Check the file").click()
        page.locator("#result").wait_for()

    return step


def check_update(page: Page) -> None:
    """Check a file of everybody: changes of each kind, and two questions."""
    rows = everybody_as_rows()
    rows["1055"] = "1055,Greta,Weber-Haddad,greta.haddad-weber@example.com"
    rows["1003"] = "1003,Nadia,Rossi,nadia.rossi@example.com"
    rows["2003"] = "2003,Omar,Rossi,hana.ito@example.com"
    rows["2004"] = "2004,Petra,Rossi,petra.rossi@example.com"
    del rows["1021"], rows["1036"]
    text = "\n".join(("external_id,name,lastname,email", *rows.values(), ""))
    page.goto("/console/sync")
    page.get_by_label("File of everybody").set_input_files(
        {"name": "december.csv", "mimeType": "text/csv", "buffer": text.encode()}
    )
    page.get_by_role("button", name="Check the file").click()
    page.get_by_role("heading", name="who is who?").wait_for()


def updated(page: Page) -> None:
    """Open the page of an update; do it first."""
    page.goto("/console/sync")
    if not page.get_by_role("link", name="december.csv").count():
        check_update(page)
        page.get_by_role("button", name="Update the accounts").last.click()
        page.get_by_role("heading", name="Suspended by this update").wait_for()
    else:
        page.get_by_role("link", name="december.csv").first.click()


def batch(state: str, link: str = "") -> "Step":
    """Open a batch, or a page of it, by its state."""

    def step(page: Page) -> None:
        page.goto("/console/batches")
        row = page.get_by_role("row").filter(has_text=state).first
        row.get_by_role("link").first.click()
        page.get_by_role("heading", name="Details").wait_for()
        if link:
            page.get_by_role("link", name=link).click()

    return step


def running_batch(page: Page) -> None:
    """Open a batch that waits for an email of the unfinished one; create it first.

    The page shows the progress of another run, which is half done in each picture.
    """
    page.route("**/progress", lambda route: route.fulfill(json=HALF_DONE))
    page.goto("/console/batches")
    running = page.get_by_role("row").filter(has_text="Running")
    if running.count():
        running.get_by_role("link").first.click()
    else:
        rows = [f"User {at},user{at}@example.org,{PASSWORD}" for at in range(80)]
        text = "\n".join(["name,email,password", *rows, "Hana,hana.moreau@example.com,"])
        page.goto("/console/batches/new")
        page.get_by_label("Users file").set_input_files(
            {"name": "spring.csv", "mimeType": "text/csv", "buffer": text.encode()}
        )
        # A check names the email of the unfinished import, and offers no button.
        button = page.get_by_role("button", name="Check the file")
        button.evaluate("one => one.setAttribute('formaction', '/console/batches')")
        button.click()
    page.get_by_text("The accounts are being created").wait_for()
    page.get_by_text(HALF_DONE["text"]).first.wait_for()


def undone_batch(page: Page) -> None:
    """Open a batch that is undone; undo it first."""
    page.goto("/console/batches")
    if not page.get_by_role("row").filter(has_text="Undone").count():
        batch("Created", "Undo the import")(page)
        label = page.locator("input[name=number]")
        number = page.locator("input[name=expected]").get_attribute("value")
        label.fill(number or "")
        page.get_by_role("button", name="Delete").click()
        page.get_by_text("were deleted").wait_for()
    batch("Undone")(page)


def new_token(page: Page) -> None:
    page.goto("/console/tokens/new")
    page.get_by_label("Name").fill(f"backup {next(_numbers)}")  # a name is of one token
    page.get_by_role("button", name="Create the token").click()
    mask(page)


def application(page: Page) -> None:
    page.goto("/console/applications")
    page.get_by_role("link", name="JupyterHub").click()
    page.get_by_role("heading", name="JupyterHub").wait_for()


def refused_application(page: Page) -> None:
    page.goto("/console/applications/new")
    page.get_by_label("Name").fill("Chat")
    page.get_by_label("Redirect URIs").fill("http://chat.example.com/signed-in")
    page.get_by_role("button", name="Create the application").click()
    page.get_by_role("alert").wait_for()


def ask_to_replace(page: Page) -> None:
    application(page)
    page.get_by_role("link", name="Replace the secret").click()


def replace(page: Page) -> None:
    ask_to_replace(page)
    page.get_by_role("button", name="Replace the secret").click()
    mask(page)


def ask_to_delete(page: Page) -> None:
    application(page)
    page.get_by_role("link", name="Delete the application").click()


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


def mails(page: Page) -> None:
    """Open the page of mails, of which one has failed; send them first."""
    page.goto("/console/mails/new")
    if page.get_by_role("button", name="Send links by mail").count():
        account("greta.weber@example.com")(page)
        page.get_by_role("button", name="Send a link by mail").click()
        page.goto("/console/mails/new")
        page.get_by_role("button", name="Send links by mail").click()
    page.goto("/console/mails")
    while not page.get_by_text(NO_MAILBOX).count():
        page.reload()


Step = Callable[[Page], None]

GOOD = [
    f"{first},Laurent,{first.lower()}.laurent@example.com,Engineer,{sso}"
    for first, sso in (("Ada", "true"), ("Bruno", "false"), ("Clara", "true"), ("Denis", "false"))
]
WRONG = [
    "Elif,Laurent,elif.laurent@example,Engineer,true",
    "Bela,Weber,bela.weber@example.com,Professor,false",
    ",Laurent,fanny.laurent@example.com,Librarian,maybe",
    "Ada,Laurent,ADA.laurent@example.com,Engineer,true",
]

PAGES: dict[str, str | Step] = {
    "overview": "/console",
    "users": "/console/users?q=weber",
    "no-user": "/console/users?q=nobody",
    "user": account(OWNER),
    "user-suspend": suspend,
    "user-correct": account("greta.weber@example.com", "/correct"),
    "user-role": account("greta.weber@example.com", "/role"),
    "user-factors": account(WITH_FACTOR, "/reset-second-factor"),
    "user-delete": account("greta.weber@example.com", "/delete"),
    "user-new": "/console/users/new",
    "user-new-refused": refused_user,
    "link": link,
    "links": links,
    "batches": "/console/batches",
    "batch-new": "/console/batches/new",
    "batch-checked": check_file(*GOOD),
    "batch-problems": check_file(*GOOD, *WRONG),
    "batch-columns": check_file(
        "7,Muster,Mia,mia.muster@example.com,IT",
        header="Personalnummer,Nachname,Vorname,E-Mail,Abteilung",
    ),
    "batch": batch("Created"),
    "batch-unfinished": batch("Unfinished"),
    "batch-links": batch("Created", "Links for"),
    "batch-undo": batch("Created", "Undo the import"),
    "update": check_update,
    "applications": "/console/applications",
    "application": application,
    "application-new": "/console/applications/new",
    "application-refused": refused_application,
    "application-replace-secret": ask_to_replace,
    "application-secret": replace,
    "application-delete": ask_to_delete,
    "tokens": "/console/tokens",
    "token-new": "/console/tokens/new",
    "audit-log": "/console/audit",
    "audit-log-verified": verification,
}

#: what changes other pages, so that their pictures are taken first
LATER: dict[str, str | Step] = {
    "updated": updated,
    "batch-running": running_batch,
    "batch-undone": undone_batch,
    "token-secret": new_token,
}

#: without a recent sign-in
OLD: dict[str, str | Step] = {"sign-in-again": "/console/applications/new"}

#: with a relay
MAIL: dict[str, str | Step] = {"mails-new": "/console/mails/new"}
LATER_MAIL: dict[str, str | Step] = {"mails": mails}

OF_COLLABORATORS: dict[str, str | Step] = {"only-for-owners": "/console"}

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
  return canvas.toDataURL("image/webp", 0.6).split(",")[1];
}
"""


def save(page: Page, blank: Page, path: Path) -> None:
    """Save a picture of a page, whose clock and caret do not change it."""
    page.wait_for_load_state("networkidle")
    page.evaluate("document.activeElement?.blur()")
    size = page.viewport_size
    assert size
    height: int = page.evaluate("document.documentElement.scrollHeight")
    # In a window of this height nothing sticks to its edge in the middle of the page.
    page.set_viewport_size({**size, "height": min(max(height, size["height"]), 2 * size["height"])})
    page.mouse.move(0, 0)
    page.evaluate("scrollTo(0, 0)")
    png = page.screenshot()
    page.set_viewport_size(size)
    webp = blank.evaluate(TO_WEBP, base64.b64encode(png).decode())
    path.write_bytes(base64.b64decode(webp))


def main(folder: Path, *names: str) -> None:
    """Take all pictures, or those of some pages."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        TemporaryDirectory() as home,
        run_site(Path(home), SETTINGS) as site,
        run_chromium() as browser,
    ):
        populate(site)
        state = signed_in(browser, site)
        take(browser, site, state, folder, chosen(PAGES, names))
        take(browser, site, state, folder, chosen(LATER, names))
        with closing(site.control_plane()) as control_plane:
            let_time_pass(control_plane, 16 * MINUTE_MS)
            add_collaborator(control_plane)
        take(browser, site, state, folder, chosen(OLD, names))
        state = signed_in(browser, site, COLLABORATOR)
        take(browser, site, state, folder, chosen(OF_COLLABORATORS, names))
        take_mails(browser, folder, names)


def take_mails(browser: Browser, folder: Path, names: Sequence[str]) -> None:
    """Take the pages of a server with a relay, which sends a mail each ten seconds."""
    with TemporaryDirectory() as home, running_relay() as relay:
        relay.on_recipient = lambda one: NO_MAILBOX if one.startswith("greta.weber") else None
        mail = relay_environment(relay.port, "none", MAIL_PER_MINUTE="6")
        with run_site(Path(home), SETTINGS | mail) as site:
            populate(site)
            state = signed_in(browser, site)
            take(browser, site, state, folder, chosen(MAIL, names))
            take(browser, site, state, folder, chosen(LATER_MAIL, names))


def chosen(pages: Mapping[str, str | Step], names: Sequence[str]) -> Mapping[str, str | Step]:
    """Return the pages with some names, or all of them without a name."""
    return {name: step for name, step in pages.items() if name in names or not names}


def take(
    browser: Browser, site: Site, state: Any, folder: Path, pages: Mapping[str, str | Step]
) -> None:
    """Take pages wide, narrow and in dark colours."""
    blank = browser.new_page()
    for size, (width, height) in SIZES.items():
        context = browser.new_context(
            base_url=site.url,
            viewport={"width": width, "height": height},
            color_scheme="dark" if size == "dark" else "light",
            storage_state=state,
        )
        page = context.new_page()
        for name, step in pages.items():
            _ = page.goto(step) if isinstance(step, str) else step(page)
            save(page, blank, folder / f"{name}-{size}.webp")
        context.close()


def signed_in(browser: Browser, site: Site, email: str = OWNER) -> Any:
    """Let a user sign in and choose a password, and an owner create a token; give the cookies."""
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    sign_in(page, email)
    change_password(page, PASSWORD, NEW_PASSWORD)
    page.get_by_role("heading", name="Your account").wait_for()
    if email == OWNER:
        page.goto("/console/tokens/new")
        page.get_by_label("Name").fill("nightly import")
        page.get_by_role("button", name="Create the token").click()
    return context.storage_state()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
