"""`anyscale server reset-second-factor`."""

import click

from anyscale.cli.account_argument import account_argument, check_account
from anyscale.cli.server.connect import database_option, open_local_control_plane
from anyscale.cli.terminal import log
from anyscale.domain.phrases import removed_in_words
from anyscale.domain.reasons import reason_fault
from anyscale.errors import ConfigError, NotFound
from anyscale.server.core.callers import system_caller


@click.command("reset-second-factor")
@account_argument
@click.option(
    "--reason",
    metavar="TEXT",
    default="reset on the machine of the server",
    show_default=True,
    help="Why, for the audit log, which keeps it: write no names.",
)
@database_option
def reset_second_factor(account: str, reason: str) -> None:
    """Remove the second factors of a user who has lost them, also those of an owner.

    The recovery codes are removed as well, and the sessions are revoked. Then only the password is
    needed to sign in, so make sure first that it is the user.

    \b
    Example:
      anyscale server reset-second-factor jane@example.com
    """
    if fault := reason_fault(reason):
        raise ConfigError(f"--reason: {fault}")
    check_account(account)
    with open_local_control_plane(create=False) as control_plane:
        [user] = control_plane.users.with_ids([account]) or control_plane.users.find([account])
        if user is None:
            raise NotFound(f"there is no user {account!r} in this database")
        removed = control_plane.factor_removal.remove_all(system_caller(), user.user_id, reason)
    log(removed_in_words(user.email, removed))
