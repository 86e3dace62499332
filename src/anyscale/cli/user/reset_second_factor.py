"""`anyscale user reset-second-factor`."""

import click

from anyscale.cli.account_argument import account_argument, check_account, find_account
from anyscale.cli.connect import host_option, log_control_plane, open_control_plane
from anyscale.cli.options import yes_option
from anyscale.cli.terminal import confirm, log_change, require_terminal
from anyscale.domain.names import full_name
from anyscale.domain.phrases import removed_in_words
from anyscale.domain.reasons import reason_fault
from anyscale.errors import ConfigError

_NOTHING_DONE = "nothing was removed"


@click.command("reset-second-factor")
@account_argument
@click.option(
    "--reason",
    required=True,
    metavar="TEXT",
    help="Why, for the audit log, which keeps it: write no names.",
)
@yes_option
@host_option
def reset_second_factor(account: str, reason: str, yes: bool, host: str | None) -> None:
    """Remove the second factors of a user who has lost them; the sessions are revoked.

    Its recovery codes are removed as well. Then only the password is needed to sign in, so make
    sure first that it is the user. The second factors of an owner are removed only on the machine
    of the server: `anyscale server reset-second-factor`.

    \b
    Example:
      anyscale user reset-second-factor jane@example.com --reason "lost phone"
    """
    if fault := reason_fault(reason):
        raise ConfigError(f"--reason: {fault}")
    if not yes:
        require_terminal(_NOTHING_DONE)
    check_account(account)
    with open_control_plane(host) as transport:
        user = find_account(transport, account)
        log_control_plane(transport)
        effect = (
            f"This removes the second factors of {full_name(user.name, user.lastname)} "
            f"({user.email}), and signs the user out everywhere."
        )
        confirm(effect, _NOTHING_DONE, yes=yes)
        removed = transport.users.reset_second_factor(user.user_id, reason)
    log_change(removed_in_words(user.email, removed))
