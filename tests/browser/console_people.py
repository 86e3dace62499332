"""The invented people and applications of the console's screenshots."""

from contextlib import closing

from tests.store.contract.factors import app_row
from tests.support.callers import operator
from tests.support.databases.stored_data import execute_sql
from tests.support.sign_in.site import Site
from tests.support.users import PASSWORD

from anyscale.domain.emails import email_key
from anyscale.domain.models.applications import NewApplication
from anyscale.domain.validation import CheckedUser, Policy, check
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.secrets import hash_of, new_secret
from anyscale.server.store.records.login import LinkRecord
from anyscale.server.store.transaction import Transaction

OWNER = "amina.okafor@example.com"
COLLABORATOR = "lena.brandt@example.com"

#: runs commands on the machine of the server
HOST_USER = operator("amina")

FIRST = ("Bela", "Chidi", "Dorota", "Emeka", "Farid", "Greta", "Hana", "Ines", "Jonas", "Kofi")
LAST = ("Novak", "Haddad", "Larsen", "Ito", "Silva", "Weber")
TITLES = ("Engineer", None, "Professor", None, "Librarian", None)

DAY = 86_400_000

#: accounts without credentials that have an open link
WITH_LINKS = ("farid.novak@example.com", "farid.haddad@example.com", "kofi.larsen@example.com")

#: has an app, and some recovery codes
WITH_FACTOR = "greta.weber@example.com"

#: name -> redirect URI, and whose users it signs in
APPLICATIONS = {
    "JupyterHub": ("https://hub.example.com/hub/oauth_callback", []),
    "Grafana": ("https://grafana.example.com/login/generic_oauth", ["owners"]),
    "Wiki": ("https://wiki.example.com/oauth2callback", ["example.com"]),
}


def person(first: str, last: str, at: int) -> tuple[CheckedUser, str]:
    """Make a user, with a password or without one."""
    email = f"{first}.{last}@example.com".lower()
    password = PASSWORD if at % 5 < 3 else ""
    user = check(
        Policy(),
        name=first,
        email=email,
        password=password,
        is_sso_user=at % 5 == 3,
        lastname=last,
        title=TITLES[at % 6],
        external_id=f"{1_000 + at}" if last in LAST else None,
    )
    assert user
    return user, password


def create(control_plane: ControlPlane, name: str, people: list[tuple[CheckedUser, str]]) -> None:
    """Create a batch of people."""
    passwords = [(at, password) for at, (_, password) in enumerate(people) if password]
    control_plane.batches.create(
        HOST_USER, name, [user for user, _ in people], "fail", passwords, label=f"{name}.csv"
    )


def populate(site: Site) -> None:
    """Create the owner and two batches of people, some weeks ago."""
    amina = check(
        Policy(),
        name="Amina",
        email=OWNER,
        password=PASSWORD,
        is_sso_user=False,
        lastname="Okafor",
        title="Head of IT",
    )
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
            for email in WITH_LINKS:
                user_id = id_of(tx, email)
                link = LinkRecord(
                    user_id, hash_of(new_secret()), "test", tx.now(), tx.now() + 7 * DAY
                )
                tx.links.replace(link)
            phone = id_of(tx, WITH_FACTOR)
            tx.factors.add(app_row(1, phone, name="Work phone", confirmed_at=tx.now()))
            tx.recovery_codes.replace(phone, [b"1", b"2", b"3"])
            execute_sql(
                tx,
                "update batches set published_at = published_at - ? where batch_id <> ?",
                (40 * DAY, owner.batch_id),
            )
        unfinished = control_plane.batches.open(HOST_USER, "winter", "fail", "winter.csv")
        some = [person(first, "Moreau", at)[0] for at, first in enumerate(FIRST)]
        control_plane.batches.reserve(HOST_USER, unfinished.batch_id, 0, some)
        for name, (uri, audience) in APPLICATIONS.items():
            application = NewApplication(name=name, redirect_uris=[uri], audience=audience)
            control_plane.applications.create(HOST_USER, application)
        with control_plane.store.read() as tx:
            user_id = id_of(tx, "kofi.ito@example.com")
        control_plane.lifecycle.suspend(HOST_USER, user_id)


def add_collaborator(control_plane: ControlPlane) -> None:
    """Create one user more, whose initial password has not expired."""
    lena = check(
        Policy(),
        name="Lena",
        email=COLLABORATOR,
        password=PASSWORD,
        is_sso_user=False,
        lastname="Brandt",
        title=None,
    )
    assert lena
    create(control_plane, "lena", [(lena, PASSWORD)])


def everybody() -> list[tuple[str, str]]:
    return [(first, last) for last in LAST for first in FIRST]


def everybody_as_rows() -> dict[str, str]:
    """Return the rows of a CSV file of all users of the two batches, by their numbers."""
    people = [person(first, last, at)[0] for at, (first, last) in enumerate(everybody())]
    return {
        str(user.external_id): f"{user.external_id},{user.name},{user.lastname},{user.email}"
        for user in people
    }


def id_of(tx: Transaction, email: str) -> str:
    account = tx.accounts.find(email_key(email))
    assert account
    return account.user_id
