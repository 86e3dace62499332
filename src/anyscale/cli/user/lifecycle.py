"""`anyscale user delete` and `set-role`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import click

from anyscale.cli.account_argument import account_argument, check_account, find_account
from anyscale.cli.connect import host_option, log_control_plane, open_control_plane
from anyscale.cli.options import keep_links_option, yes_option
from anyscale.cli.terminal import ask, log, require_terminal
from anyscale.domain.models.users import User
from anyscale.domain.names import full_name
from anyscale.errors import ConfigError
from anyscale.transport.base import Transport


@click.command("delete")
@account_argument
@keep_links_option
@yes_option
@host_option
def delete(account: str, keep_links: bool, yes: bool, host: str | None) -> None:
    """Delete an account and erase all data of its user. This cannot be undone.

    \b
    Example:
      anyscale user delete jane@example.com
    """
    if not yes:
        require_terminal("nobody was deleted")
    with _account(account, host) as (transport, user):
        log_control_plane(transport)
        if not yes:
            _confirm(user, keep_links=keep_links)
        transport.users.delete(user.user_id, keep_links=keep_links)
    log(f"{user.email} is deleted.")


@click.command("set-role")
@account_argument
@click.argument("role", type=click.Choice(["owner", "collaborator"]))
@keep_links_option
@host_option
def set_role(
    account: str, role: Literal["owner", "collaborator"], keep_links: bool, host: str | None
) -> None:
    """Make an account an owner or a collaborator; its sessions are revoked.

    \b
    Example:
      anyscale user set-role jane@example.com owner
    """
    with _account(account, host) as (transport, user):
        transport.users.set_role(user.user_id, role, keep_links=keep_links)
    log(f"{user.email} is {'an owner' if role == 'owner' else 'a collaborator'}.")


@contextmanager
def _account(account: str, host: str | None) -> Iterator[tuple[Transport, User]]:
    check_account(account)
    with open_control_plane(host) as transport:
        yield transport, find_account(transport, account)


def _confirm(user: User, *, keep_links: bool) -> None:
    """Ask for the email once more, so that no account is deleted by mistake."""
    links = " Unused links that this owner created for others stop working."
    answer = ask(
        f"This erases {full_name(user.name, user.lastname)} ({user.email}) for good."
        f"{links if user.permission_level == 'owner' and not keep_links else ''} "
        "Type the email to continue:"
    )
    if answer.casefold() != user.email.casefold():
        raise ConfigError("that is another email: nobody was deleted")
