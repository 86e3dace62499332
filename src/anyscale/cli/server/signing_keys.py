"""`anyscale server create-signing-key`."""

import click

from anyscale.cli.server.connect import database_option, open_local_control_plane
from anyscale.cli.terminal import log


@click.command("create-signing-key")
@click.option("--now", is_flag=True, help="Sign with it at once, and revoke all other keys.")
@database_option
def create_signing_key(now: bool) -> None:
    """Create the next key that signs ID tokens for applications, in ANYSCALE_SIGNING_KEYS.

    The first key signs at once, any other after an hour, so that every application knows it by
    then. With several servers, copy the file to each of them. --now is for a stolen key: from then
    on no server signs with another key, and ID tokens that others have signed are refused.

    \b
    Example:
      anyscale server create-signing-key
    """
    from anyscale.server.core.callers import system_caller
    from anyscale.server.core.openid.key_rotation import rotate_keys

    with open_local_control_plane(create=False) as control_plane:
        folder = control_plane.settings.signing_keys
        assert folder
        actor = system_caller().actor
        new = rotate_keys(control_plane.transactions, folder, actor, revokes_others=now)
    when = "now" if new.signs_now else "after an hour"
    log(f"{new.path} signs {when}{'; all other keys are revoked' if now else ''}.")
