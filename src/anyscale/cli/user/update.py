"""`anyscale user update`."""

import click
from msgspec import UNSET, UnsetType

from anyscale.cli.account_argument import account_argument, check_account, find_account
from anyscale.cli.connect import host_option, open_control_plane, suggested_command
from anyscale.cli.options import not_empty
from anyscale.cli.terminal import log
from anyscale.comparison.differences import shown_change
from anyscale.domain.models.users import User, UserChanges
from anyscale.domain.validation import Policy, require_changes
from anyscale.errors import ConfigError


@click.command("update")
@account_argument
@click.option("--name", help="The new first name.")
@click.option("--lastname", callback=not_empty, help="The new last name.")
@click.option("--no-lastname", is_flag=True, help="Clear the last name.")
@click.option("--title", callback=not_empty, help="The new title.")
@click.option("--no-title", is_flag=True, help="Clear the title.")
@click.option("--external-id", callback=not_empty, help="The new number or id in another system.")
@click.option("--no-external-id", is_flag=True, help="Clear the external id.")
@click.option("--sso", is_flag=True, help="Let the user sign in by SSO.")
@click.option(
    "--no-sso",
    is_flag=True,
    help="Let the user no longer sign in by SSO: unlink the identity, and end its sessions.",
)
@click.option("--email", "new_email", help="The new email. It stays the same account.")
@click.option(
    "--reuse-email",
    is_flag=True,
    help="Accept an email that another account had less than 30 days ago: applications may know "
    "its user by it.",
)
@host_option
def update_user(
    account: str,
    name: str | None,
    lastname: str | None,
    no_lastname: bool,
    title: str | None,
    no_title: bool,
    external_id: str | None,
    no_external_id: bool,
    sso: bool,
    no_sso: bool,
    new_email: str | None,
    reuse_email: bool,
    host: str | None,
) -> None:
    """Correct fields of an account, also its email.

    Fields without an option stay as they are. The role is changed by `anyscale user set-role`, and
    users set their password themselves, by a link of `anyscale user set-password-link`. The email
    of an owner is changed by another owner in the console, or on the machine of the control plane.

    \b
    Examples:
      anyscale user update jane@example.com --name Jane --lastname Doe
      anyscale user update jane@example.com --no-title --sso
      anyscale user update jane@example.com --email jane.roe@example.com
    """
    changes = UserChanges(
        name=UNSET if name is None else name,
        lastname=_new_value("lastname", lastname, clear=no_lastname),
        title=_new_value("title", title, clear=no_title),
        external_id=_new_value("external-id", external_id, clear=no_external_id),
        is_sso_user=_is_sso_user(sso, no_sso),
        email=UNSET if new_email is None else new_email,
    )
    _require_some(changes)
    check_account(account)
    with open_control_plane(host) as transport:
        user = find_account(transport, account)
        updated = transport.users.update(user.user_id, changes, reuse_email=reuse_email)
    log(f"{user.email} is updated. {_differences(user, updated.user)}")
    if no_sso and not updated.has_password:
        log(
            "The account has no password, so its user cannot sign in: create a link to set one by "
            f"{suggested_command('user', 'set-password-link', argument=updated.user.email)}"
        )


def _new_value(option: str, value: str | None, *, clear: bool) -> str | UnsetType | None:
    if clear:
        if value is not None:
            raise ConfigError(f"use either --{option} or --no-{option}, not both")
        return None
    return UNSET if value is None else value


def _is_sso_user(sso: bool, no_sso: bool) -> bool | UnsetType:
    if sso and no_sso:
        raise ConfigError("use either --sso or --no-sso, not both")
    return sso if sso or no_sso else UNSET


def _differences(before: User, after: User) -> str:
    changed = [
        shown_change(field, old, new)
        for field in UserChanges.__struct_fields__
        if (old := getattr(before, field)) != (new := getattr(after, field))
    ]
    return f"{'; '.join(changed)}." if changed else "It had these values already."


def _require_some(changes: UserChanges) -> None:
    if not changes.to_dict():
        names = "--name, --lastname, --title, --external-id, --email or --sso (or --no-...)"
        raise ConfigError(f"give at least one of {names}")
    # Before anything is sent: a text that is not UTF-8 cannot be sent at all.
    require_changes(changes, Policy())
