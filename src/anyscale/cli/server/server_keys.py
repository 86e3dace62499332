"""`anyscale server replace-server-keys`."""

import click

from anyscale.cli.options import yes_option
from anyscale.cli.server.connect import database_option, open_local_control_plane
from anyscale.cli.terminal import confirm, log
from anyscale.domain.phrases import quantity


@click.command("replace-server-keys")
@yes_option
@database_option
def replace_server_keys(yes: bool) -> None:
    """Replace the random keys that the database has, after a copy of it was stolen.

    Nobody is signed out, and no link, token or password ends. Restart every server of the database
    afterwards: until then it uses the former keys.

    \b
    Example:
      anyscale server replace-server-keys
    """
    from anyscale.server.core.callers import system_caller
    from anyscale.server.core.key_replacement import replace_server_keys as replace_keys
    from anyscale.server.core.key_replacement import what_ends

    with open_local_control_plane(create=False) as control_plane:
        transactions = control_plane.transactions
        for line in what_ends(transactions):
            log(line)
        effect = "This replaces these keys. Restart every server of the database afterwards."
        confirm(effect, "no key was replaced", yes=yes)
        count = replace_keys(transactions, system_caller().actor)
    log(f"{quantity(count, 'key')} replaced. Restart every server of the database now.")
