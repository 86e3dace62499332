"""The hints after a change: how many users cannot sign in, and what to do."""

from collections.abc import Callable, Iterator
from contextlib import suppress

from anyscale.batch_run.outcome import suspended_line
from anyscale.cli.connect import suggested_command
from anyscale.domain.models.batches import Batch
from anyscale.domain.phrases import quantity
from anyscale.domain.times import duration_in_words
from anyscale.errors import AnyscaleError, ConfigError
from anyscale.transport.base import Transport

#: returns the hints after the users of a batch were created
Hints = Callable[[Transport, Batch], Iterator[str]]


#: mailings among which that of the batch is
_LATEST = 100


def sign_in_hints(transport: Transport, batch: Batch) -> Iterator[str]:
    """Yield the hints; none if all can sign in, or if the control plane does not respond."""
    with suppress(AnyscaleError):  # the result of the run is what counts
        if batch.remaining is None:  # the run did not publish it by itself
            batch = transport.batches.show(batch.batch_id)
        if count := batch.skipped_suspended:
            yield suspended_line(count)
        if batch.without_credentials:
            yield from _hints(transport, batch.without_credentials, batch.batch_id)


def mail_hints(transport: Transport, batch: Batch) -> Iterator[str]:
    """Yield how many links the server mails to the users of a batch, and how long that takes."""
    with suppress(AnyscaleError):
        for mailing in transport.mails.list_mailings("", _LATEST).mailings:
            if mailing.batch_id == batch.batch_id:
                shows = suggested_command("mail", "list")
                links = quantity(mailing.total, "link")
                lasts = duration_in_words(mailing.seconds_left)
                yield f"The server mails {links}, which takes {lasts}: {shows} shows the rest."
                return
        yield "No user needs a link."


def _hints(transport: Transport, count: int, batch_id: str) -> Iterator[str]:
    options = ("--batch", batch_id, "--output-file", "links.csv")
    command = suggested_command("user", "set-password-link", *options)
    users = f"{quantity(count, 'user')} cannot sign in yet"
    try:
        transport.links.create([])  # raises the reason why no link can be created
    except ConfigError as error:
        yield f"{users}. {error}."
        yield f"Then {command} creates links to set passwords."
    else:
        yield f"{users}:"
        yield f"{command} creates links to set passwords."


def locked_out_hints(count: int) -> Iterator[str]:
    """Yield the hints for accounts that were corrected: no SSO and no password is left."""
    command = suggested_command(
        *("user", "set-password-link", "--without-credentials", "--output-file", "links.csv")
    )
    yield f"{quantity(count, 'account')} of them without SSO and without a password:"
    yield f"{command} creates links, so that their users can sign in."
