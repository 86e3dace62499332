"""Users, and the accounts that tests create from them."""

from collections.abc import Sequence
from typing import Any

from tests.support.callers import OPERATOR

from anyscale.comparison.list_users import list_users
from anyscale.domain.user_query import UserQuery
from anyscale.domain.validation import CheckedUser, Policy, check
from anyscale.server.control_plane import ControlPlane
from anyscale.transport.base import Transport
from anyscale.user.models import AdminCreateUser, User

#: So small that a handful of users reaches every case of a large batch.
POLICY = Policy(
    small_users=2, small_passwords=2, chunk_users=3, chunk_passwords=2, reservation_wait=0
)

#: not on the list of common passwords
PASSWORD = "correct horse battery"

#: another one, for a user who changes the password
NEW_PASSWORD = "seven quiet herons wade"


def checked_user(email: str, password: str | None = None, *, name: str = "Jane") -> CheckedUser:
    """Make a valid user."""
    user = check(
        Policy(),
        name=name,
        email=email,
        password=password,
        is_sso_user=False,
        lastname=None,
        title=None,
    )
    assert user
    return user


def checked_users(*names: str, password: str | None = None) -> list[CheckedUser]:
    """Make valid users by the local parts of their emails."""
    return [checked_user(f"{name}@example.com", password) for name in names]


def passwords_for(users: Sequence[CheckedUser], password: str = PASSWORD) -> list[tuple[int, str]]:
    """Give the users that are to have a password the same one, by position."""
    return [(position, password) for position, user in enumerate(users) if user.has_password]


def users_to_create(*names: str, password: str | None = None) -> list[AdminCreateUser]:
    """Make the same users for a call of the SDK."""
    return [AdminCreateUser("Jane", f"{name}@example.com", password) for name in names]


def create_accounts(
    control_plane: ControlPlane, *names: str, password: str | None = PASSWORD
) -> None:
    """Create accounts, one batch for each, since a small batch takes two passwords."""
    for name in names:
        users = checked_users(name, password=password)
        passwords = passwords_for(users, password or "")
        control_plane.batches.create(OPERATOR, name, users, "fail", passwords)


def list_accounts(
    transport: Transport, limit: int | None = None, page_size: int = 1_000, **query: Any
) -> list[User]:
    """List the accounts that match a query, by a transport."""
    return list(list_users(transport, UserQuery(**query), limit, page_size))


def account_emails(control_plane: ControlPlane) -> list[str]:
    """List the emails of the accounts."""
    return [user.email for user in find_accounts(control_plane)]


def find_accounts(control_plane: ControlPlane, **query: Any) -> list[User]:
    """List the accounts that match a query."""
    users: list[User] = []
    cursor: str | None = ""
    while cursor is not None:
        page = control_plane.listing.page(UserQuery(**query), cursor, 1_000)
        users += page.users
        cursor = page.cursor
    return users
