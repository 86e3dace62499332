"""The argument EMAIL of the commands for one account."""

from anyscale.cli.connect import suggested_command
from anyscale.errors import ConfigError
from anyscale.user.validation import shown

__all__ = ["check_email"]


def check_email(email: str) -> None:
    """Raise `ConfigError` for a text without an `@`, such as a name, with the way to find its user.

    Whether an account has the email is left to the control plane.
    """
    if "@" not in email:
        search = suggested_command("user", "list", "--search", email)
        raise ConfigError(
            f"{shown(email)} is not an email address: {search} finds users by name or id"
        )
