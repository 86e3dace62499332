"""The argument EMAIL of the commands for one account."""

from anyscale.cli.connect import suggested_search
from anyscale.domain.validation import shown
from anyscale.errors import NotFound

__all__ = ["check_email", "not_an_email"]


def check_email(email: str) -> None:
    """Raise `NotFound` for a text without an `@`, such as a name, with the way to find its user.

    Whether an account has the email is left to the control plane.
    """
    if "@" not in email:
        raise NotFound(f"there is no user with the email {not_an_email(email)}")


def not_an_email(text: str) -> str:
    """Quote an argument that is not an email, with the way to find the user."""
    search = suggested_search(text, "finds users by name or id")
    return f"{shown(text)}, which is not an email address{search}"
