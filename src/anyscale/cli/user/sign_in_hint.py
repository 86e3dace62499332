"""The hint after a batch: how many of its users cannot sign in yet, and what to do."""

from contextlib import suppress

from anyscale.cli.connect import suggested_command
from anyscale.errors import AnyscaleError, ConfigError
from anyscale.transport.base import Transport

__all__ = ["sign_in_hint"]


def sign_in_hint(transport: Transport, batch_id: str) -> str | None:
    """Return the hint; None if every user can sign in, or if the control plane does not respond."""
    with suppress(AnyscaleError):  # the result of the run is what counts
        count = transport.batches.show(batch_id).without_credentials
        return _hint(transport, count, batch_id) if count else None
    return None


def _hint(transport: Transport, count: int, batch_id: str) -> str:
    options = ("--batch", batch_id, "--output-file", "links.csv")
    command = suggested_command("user", "set-password-link", *options)
    users = f"{count} user{'' if count == 1 else 's'} cannot sign in yet"
    try:
        transport.links.create([])  # raises the reason for which no link can be created
    except ConfigError as error:
        return f"{users}. {error}. Then {command} creates links to set passwords."
    return f"{users}: {command} creates links to set passwords."
