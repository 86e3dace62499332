"""The argument EMAIL|ID of the commands for one account."""

from typing import Final

import click

from anyscale.cli.connect import suggested_search
from anyscale.comparison.list_users import USER_ID_PREFIX
from anyscale.domain.models.users import User
from anyscale.domain.validation import shown
from anyscale.errors import NotFound
from anyscale.transport.base import Transport
from anyscale.user.lookup import find_user

account_argument: Final = click.argument("account", metavar="EMAIL|ID")


def check_account(account: str) -> None:
    """Raise `NotFound` for a text that is neither an email nor an id, and say how to find the user.

    Whether there is such an account is left to the control plane.
    """
    if "@" not in account and not account.startswith(USER_ID_PREFIX):
        raise NotFound(f"there is no user with the email {not_an_email(account)}")


def find_account(transport: Transport, account: str) -> User:
    """Return the account with an email or an id."""
    if "@" in account:
        return find_user(transport, email=account)
    return find_user(transport, user_id=account)


def not_an_email(text: str) -> str:
    """Quote an argument that is not an email, with the way to find the user."""
    search = suggested_search(text, "finds users by name or id")
    return f"{shown(text)}, which is not an email address{search}"
