"""`anyscale server create-owner`."""

import os

import click

from anyscale.cli.problem_report import say_problems
from anyscale.cli.secret_output import SecretOutput, output_file_option
from anyscale.cli.server.connect import database_option, open_local_control_plane
from anyscale.cli.terminal import log
from anyscale.errors import BatchRefused
from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.accounts.owners import CreatedOwner
from anyscale.server.core.callers import SystemCaller, system_caller
from anyscale.server.settings import Settings

#: what an interrupt may leave
_MAY_EXIST = "the owner may have been created, and nobody has the link: run the same command again"


@click.command("create-owner")
@click.option("--email", required=True, help="The owner's email; an existing account is used.")
@click.option("--name", help="The name of a new account. Default: the email's local part.")
@output_file_option
@database_option
def create_owner(email: str, name: str | None, output_file: str | None) -> None:
    """Create an owner, or make an account an owner; print a link to set its password.

    The link is shown once, works once, and expires after ANYSCALE_LINK_DAYS. Run the command again
    for a new one, which revokes the previous link.

    \b
    Example:
      anyscale server create-owner --email jane@example.com --name Jane
    """
    settings = Settings.from_environment(os.environ, served=True)
    if not settings.policy.sso_only:
        settings.address()  # raises before a database is created if no link can be created
    with (
        SecretOutput(output_file, _MAY_EXIST) as output,
        open_local_control_plane() as control_plane,
    ):
        caller = system_caller()
        owner = _created(control_plane, email, name, caller)
        log(f"{owner.email} is an owner{'' if owner.existed else ' of a new account'}.")
        if owner.link is None:
            log("There is no link, since every user here signs in by SSO.")
            return
        url = owner.link.url
        replaced = " The link that this account had no longer works." * owner.link_replaced
        output.write(
            url,
            revoke=lambda: control_plane.links.revoke(caller, url),
            lost=f"so it was revoked.{replaced}",
        )
    if replaced:
        log(replaced.strip())
    log(f"The link sets a password and works once. {output.describe()}")


def _created(
    control_plane: ControlPlane, email: str, name: str | None, caller: SystemCaller
) -> CreatedOwner:
    try:
        return control_plane.owners.create(email, name, caller)
    except BatchRefused as error:
        say_problems(error)
        raise
