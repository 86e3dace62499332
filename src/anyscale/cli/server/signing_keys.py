"""`anyscale server create-signing-key`."""

from datetime import UTC, datetime, timedelta

import click

from anyscale.cli.server.connect import database_option, open_local_control_plane
from anyscale.cli.terminal import log

#: In this time every server reads the key, and every application the new key set.
_DELAY = timedelta(hours=1)


@click.command("create-signing-key")
@click.option("--now", is_flag=True, help="Sign with it at once, and revoke all other keys.")
@database_option
def create_signing_key(now: bool) -> None:
    """Create the next key that signs ID tokens for applications, in ANYSCALE_SIGNING_KEYS.

    It signs after an hour, so that every application knows it by then. With several servers, copy
    the file to each of them. --now is for a stolen key: ID tokens that other keys have signed are
    refused from then on.

    \b
    Example:
      anyscale server create-signing-key
    """
    from anyscale.server.core.openid.signing_keys import create_key, revoke_other_keys

    with open_local_control_plane(create=False) as control_plane:
        folder = control_plane.settings.signing_keys
        assert folder
        path = create_key(folder, datetime.now(UTC) + (timedelta() if now else _DELAY))
        if now:
            revoke_other_keys(control_plane.store, folder, path)
    log(f"{path} signs {'now; all other keys are revoked' if now else 'after an hour'}.")
