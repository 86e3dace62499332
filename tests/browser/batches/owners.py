"""A server, its owners, and the files that they send."""

import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Page, expect
from tests.browser.conftest import Visit
from tests.support.databases.stored_data import execute_sql
from tests.support.faults.pausing import PausingHashes
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_process import ServerProcess
from tests.support.sign_in.site import Site, state_of

from anyscale.server.control_plane import ControlPlane

#: the password of each user of a file
SECRET = "canary horse battery"

CREATED = re.compile("^[0-9,]+ accounts? (was|were) created$")


class Owner(NamedTuple):
    """An owner who has signed in."""

    email: str
    user_id: str
    client: HttpClient

    @property
    def state(self) -> Any:
        """The cookies of the browser, for one of Playwright."""
        return state_of(self.client)


class Owners(NamedTuple):
    """A server, one of its owners, and a control plane on its database."""

    site: Site
    server: ServerProcess
    folder: Path
    control_plane: ControlPlane
    owner: Owner

    @property
    def state(self) -> Any:
        return self.owner.state

    @contextmanager
    def half_hashed(self) -> Iterator[None]:
        """Let runs hash the passwords of their first users alone until the block ends."""
        pause = _pause(self.folder)
        pause.touch()
        try:
            yield
        finally:
            pause.unlink()

    def add(self) -> Owner:
        """Create another owner, who signs in."""
        return _owner(self.site, self.control_plane)

    def state_of(self, address: str) -> str:
        """Return the state of the batch that has a page at an address."""
        return self.control_plane.batches.counts(batch_of(address)).state

    def hashes_of(self, address: str) -> dict[str, str]:
        """Return the stored hashes of the batch that has a page at an address, by user."""
        with self.control_plane.store.read() as tx:
            rows = execute_sql(
                tx,
                "select user_id, password_hash from users where password_hash is not null"
                " and batch = (select id from batches where batch_id = ?)",
                (batch_of(address),),
            )
            return dict(rows.fetchall())


def batch_of(address: str) -> str:
    """Return the id of the batch that has a page at an address."""
    return address.rpartition("/")[2]


@contextmanager
def run_owners(folder: Path, database: Path | str, **settings: str) -> Iterator[Owners]:
    """Run a server with an owner until the block ends.

    Args:
        folder: for its log and its temporary files.
        database: its file, or its URL.
        settings: more environment variables of the server.
    """
    url = database if isinstance(database, str) else f"sqlite:////{database.relative_to('/')}"
    constants = {
        "anyscale.server.core.batches.service.hash_passwords": PausingHashes(_pause(folder)),
        # Files wait for one another while a test looks at pages, on a slow machine for long.
        "anyscale.server.background.memory_budget._WAIT_SECONDS": 300.0,
        "anyscale.server.http.console.batches.uploads._PART_SECONDS": 300.0,
    }
    with ServerProcess(url, folder, settings=settings, constants=constants) as server:
        site = Site(server, database)
        with closing(site.control_plane()) as control_plane:
            owner = _owner(site, control_plane)
            yield Owners(site, server, folder, control_plane, owner)


def _pause(folder: Path) -> Path:
    """The file that exists while runs wait."""
    return folder / "pause"


def _owner(site: Site, control_plane: ControlPlane) -> Owner:
    email = site.create_owner()
    client = HttpClient(site.url).sign_in_first_time(email.partition("@")[0])
    (user,) = control_plane.users.find([email])
    assert user
    return Owner(email, user.user_id, client)


def users_file(
    folder: Path, tag: str, count: int, password: str = "", header: str = "name,email,password"
) -> Path:
    """Write a file of so many users."""
    file = folder / f"{tag}.csv"
    rows = [f"Person {at},{tag}{at}@batch.example,{password}" for at in range(count)]
    file.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return file


def new_batch(visit: Visit, state: Any, file: Path) -> Page:
    """Open the page of a new batch, and choose a file."""
    page = visit("/console/batches/new", storage_state=state)
    page.get_by_label("Users file").set_input_files(file)
    return page


def check_and_create(page: Page, columns: Mapping[str, str] | None = None) -> None:
    """Check the chosen file, choose what columns are read as, and create its users."""
    page.get_by_role("button", name="Check the file").click()
    for header, label in (columns or {}).items():
        page.get_by_label(f"Read {header} as").select_option(label=label)
    if columns:
        page.get_by_role("button", name="Check the file again").first.click()
    page.get_by_role("button", name=re.compile("^Create [0-9,]+ account")).click()


def start_run(
    visit: Visit, state: Any, file: Path, columns: Mapping[str, str] | None = None
) -> Page:
    """Create the users of a file; return the page of the batch as soon as it is open."""
    page = new_batch(visit, state, file)
    check_and_create(page, columns)
    expect(page.get_by_role("heading", name="The accounts are being created")).to_be_focused()
    return page
