"""`anyscale mail list` and `stop`."""

from itertools import islice

import click

from anyscale.cli.connect import host_option, log_control_plane, open_control_plane
from anyscale.cli.formats import output_option, write_records
from anyscale.cli.mail.mailings import COLUMNS, DETAILS, failed_mails, first_mailings, mail_rows
from anyscale.cli.options import max_items_option
from anyscale.cli.terminal import log
from anyscale.domain.models.mail import Mail
from anyscale.domain.phrases import quantity

_FAILED = ("mail_id", "kind", "email", "attempts", "error", "requested_at")


@click.command("list")
@click.option("--failed", is_flag=True, help="The mails that have failed, each with its reason.")
@max_items_option
@output_option
@host_option
def list_mails(failed: bool, max_items: int | None, output: str, host: str | None) -> None:
    """List what is due and sent, or what has failed.

    These are the requests for mails to many accounts, the latest first, then the mails that are due
    by themselves. A mail that was sent is only counted: what becomes of it is known to the relay.

    \b
    Examples:
      anyscale mail list
      anyscale mail list --failed -o json
    """
    is_text = output == "text"
    with open_control_plane(host) as transport:
        if failed:
            mails = islice(failed_mails(transport), max_items)
            write_records(mails, _FAILED if is_text else Mail.__struct_fields__, output)
        else:
            first = first_mailings(transport)
            rows = islice(mail_rows(transport, first.mailings), max_items)
            write_records(rows, COLUMNS if is_text else DETAILS, output)
            if requests := first.single.reset_requests:
                is_due = "waits" if requests == 1 else "wait"
                log(
                    f"{quantity(requests, 'request')} for a new password {is_due} for a server to"
                    " look up whether the email has an account."
                )


@click.command("stop")
@click.argument("batch_id")
@host_option
def stop(batch_id: str, host: str | None) -> None:
    """Stop the mails to the accounts of a batch.

    What was sent stays sent, and its links work. The id of a mailing (mlg_...), which `anyscale
    mail list` shows, works too.

    \b
    Example:
      anyscale mail stop bat_0193...
    """
    with open_control_plane(host) as transport:
        log_control_plane(transport)
        stopped = transport.mails.stop(batch_id)
    if stopped:
        log(f"Stopped: {', '.join(stopped)}.")
    else:
        log("It was stopped before.")
