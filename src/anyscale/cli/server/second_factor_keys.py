"""`anyscale server create-second-factor-key`."""

import click

from anyscale.cli.server.connect import database_option, open_local_control_plane
from anyscale.cli.terminal import log


@click.command("create-second-factor-key")
@database_option
def create_second_factor_key() -> None:
    """Create the next key that encrypts seeds of one-time codes.

    The folder is ANYSCALE_SECOND_FACTOR_KEYS. The first key encrypts at once, any other after an
    hour: with several servers, copy the file to each of them by then. Keep the files of earlier
    keys, because the seeds that they have encrypted stay.

    \b
    Example:
      anyscale server create-second-factor-key
    """
    from anyscale.server.core.callers import system_caller
    from anyscale.server.core.second_factor.keys import create_next_key

    with open_local_control_plane(create=False) as control_plane:
        folder = control_plane.settings.second_factor_keys
        assert folder
        new = create_next_key(control_plane.transactions, folder, system_caller().actor)
    log(f"{new.path} encrypts {'now' if new.encrypts_now else 'after an hour'}.")
