"""`anyscale user update`."""

import click
from msgspec import UNSET, UnsetType

from anyscale.cli.connect import host_option, open_control_plane, suggested_command
from anyscale.cli.terminal import log
from anyscale.cli.user.email_argument import check_email
from anyscale.domain.models.users import UserChanges
from anyscale.domain.validation import Policy, require_changes
from anyscale.errors import ConfigError
from anyscale.user.lookup import find_user


@click.command("update")
@click.argument("email")
@click.option("--name", help="The new first name.")
@click.option("--lastname", help="The new last name.")
@click.option("--no-lastname", is_flag=True, help="Clear the last name.")
@click.option("--title", help="The new title.")
@click.option("--no-title", is_flag=True, help="Clear the title.")
@click.option("--sso", is_flag=True, help="Let the user sign in by SSO.")
@click.option(
    "--no-sso",
    is_flag=True,
    help="Let the user no longer sign in by SSO: unlink the identity, and end its sessions.",
)
@host_option
def update_user(
    email: str,
    name: str | None,
    lastname: str | None,
    no_lastname: bool,
    title: str | None,
    no_title: bool,
    sso: bool,
    no_sso: bool,
    host: str | None,
) -> None:
    """Correct fields of an account, but not its email.

    Fields without an option stay as they are.

    \b
    Examples:
      anyscale user update jane@example.com --name Jane --lastname Doe
      anyscale user update jane@example.com --no-title --sso
    """
    changes = UserChanges(
        name=UNSET if name is None else name,
        lastname=_new_value("lastname", lastname, clear=no_lastname),
        title=_new_value("title", title, clear=no_title),
        is_sso_user=_is_sso_user(sso, no_sso),
    )
    _require_some(changes)
    check_email(email)
    with open_control_plane(host) as transport:
        user = find_user(transport, email, None)
        updated = transport.users.update(user.user_id, changes)
    log(f"{user.email} is updated.")
    if no_sso and not updated.has_password:
        log(
            "The account has no password, so its user cannot sign in: create a link to set one by "
            f"{suggested_command('user', 'set-password-link', argument=user.email)}"
        )


def _new_value(option: str, value: str | None, *, clear: bool) -> str | UnsetType | None:
    if clear:
        if value is not None:
            raise ConfigError(f"say either --{option} or --no-{option}, not both")
        return None
    return UNSET if value is None else value


def _is_sso_user(sso: bool, no_sso: bool) -> bool | UnsetType:
    if sso and no_sso:
        raise ConfigError("say either --sso or --no-sso, not both")
    return sso if sso or no_sso else UNSET


def _require_some(changes: UserChanges) -> None:
    if not changes.to_dict():
        raise ConfigError("say what to change: --name, --lastname, --title or --sso (or --no-...)")
    # Before anything is sent: a text that is no UTF-8 cannot be sent at all.
    require_changes(changes, Policy())
