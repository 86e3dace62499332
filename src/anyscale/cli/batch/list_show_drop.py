"""`anyscale batch list`, `show` and `drop`."""

import click

from anyscale.batch.sdk import list_batches as iterate_batches
from anyscale.cli.batch.id_completion import batch_argument
from anyscale.cli.batch.unknown_batch import unknown_explained
from anyscale.cli.connect import host_option, log_control_plane, open_control_plane
from anyscale.cli.formats import output_option, write_record, write_records
from anyscale.cli.options import max_items_option, yes_option
from anyscale.cli.terminal import confirm, log
from anyscale.domain.models.batches import Batch
from anyscale.domain.times import TIME

_COLUMNS = (
    "batch_id",
    "label",
    "state",
    "users",
    "skipped",
    "opened_by",
    "opened_at",
    "published_at",
)

#: labels in the text of `batch show` for fields whose names say too little
_LABELS = {
    "if_exists": "option --if-exists",
    "touched_at": "last activity at",
    "hashes_due": "passwords not hashed yet",
    "without_credentials": "accounts without credentials",
    "removed": "accounts deleted",
    "remaining": "accounts that remain",
    "skipped_suspended": "skipped users who are suspended",
}
#: fields of batches that were published, which the text of others leaves out
_OF_ACCOUNTS = ("removed", "remaining", "skipped_suspended")


@click.command("list")
@click.option(
    "--open",
    "open_only",
    is_flag=True,
    help="Only those that are not finished: open, or being undone.",
)
@max_items_option
@output_option
@host_option
def list_batches(open_only: bool, max_items: int | None, output: str, host: str | None) -> None:
    """List batches, the latest first.

    \b
    Example:
      anyscale batch list --open
    """
    with open_control_plane(host) as transport:
        batches = iterate_batches(transport, open_only=open_only, max_items=max_items)
        write_records(batches, _COLUMNS, output)


@click.command("show")
@batch_argument()
@output_option
@host_option
def show_batch(batch_id: str, output: str, host: str | None) -> None:
    """Show one batch: its state, its counts, who opened it and when.

    \b
    Example:
      anyscale batch show bat_0193...
    """
    with open_control_plane(host) as transport, unknown_explained():
        batch = transport.batches.show(batch_id)
    hidden = []
    if output == "text":
        unknown = [field for field in _OF_ACCOUNTS if getattr(batch, field) is None]
        hidden = ["opened_by_caller", *unknown]
    fields = [field for field in batch.__struct_fields__ if field not in hidden]
    write_record(batch, fields, output, _LABELS)


@click.command("drop")
@batch_argument("open")
@yes_option
@host_option
def drop_batch(batch_id: str, yes: bool, host: str | None) -> None:
    """Drop an unfinished batch: nobody is created, and its emails are free again.

    It first shows who opened it and when it was last active, and asks. In a script it needs --yes.

    \b
    Examples:
      anyscale batch drop bat_0193...
      anyscale batch drop bat_0193... --yes
    """
    with open_control_plane(host) as transport, unknown_explained():
        log_control_plane(transport)
        if not yes:
            _confirm_drop(transport.batches.show(batch_id))
        batch = transport.batches.drop(batch_id)
    log(f"Batch {batch_id} is {batch.state}.")


def _confirm_drop(batch: Batch) -> None:
    """Ask before dropping a batch: a run may be working on it.

    Raises:
        ConfigError: there is no terminal, or the answer is not yes.
    """
    if batch.state != "open":  # nothing of it is left to drop
        return
    label = f" ({batch.label})" if batch.label else ""
    effect = (
        f"{batch.opened_by} opened this batch{label} at {batch.opened_at:{TIME}}; it was last "
        f"active at {batch.touched_at:{TIME}}. A run that works on it fails."
    )
    confirm(effect, "the batch was not dropped", yes=False)
