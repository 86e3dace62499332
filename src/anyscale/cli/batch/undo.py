"""`anyscale batch undo`."""

from functools import partial

import click

from anyscale.batch.undo_batch import undo_batch
from anyscale.cli.batch.id_completion import batch_argument
from anyscale.cli.batch.unknown_batch import unknown_explained
from anyscale.cli.connect import host_option, log_control_plane, open_control_plane
from anyscale.cli.exit_status import GO_ON, explain_interrupt
from anyscale.cli.formats import write_json, write_records
from anyscale.cli.options import text_or_json_option, yes_option
from anyscale.cli.terminal import (
    confirm,
    log,
    require_terminal,
    say,
    show_progress,
)
from anyscale.domain.models.batches import Batch, UndoneBatch
from anyscale.domain.phrases import quantity
from anyscale.domain.times import TIME
from anyscale.transport.base import Transport

_COLUMNS = ("user_id", "email", "reason")

_USED = (
    "used: its user has signed in, or an owner has changed its role; `--force` deletes the account "
    "too."
)
_LAST_OWNER = "last_owner: it is the last owner: make another user an owner first."

_CHANGED = " Accounts that were corrected or suspended since are deleted too."


@click.command("undo")
@batch_argument("published", "undoing")
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted and kept.")
@click.option("--force", is_flag=True, help="Delete also accounts that were used since.")
@yes_option
@text_or_json_option
@host_option
def undo(
    batch_id: str, dry_run: bool, force: bool, yes: bool, output: str, host: str | None
) -> None:
    """Delete the accounts that a batch created.

    Accounts that were used since are kept and listed, unless --force is given: a user has signed
    in, changed the password or created a token, or an owner has changed the role. The last owner
    and your own account are always kept. The emails of deleted accounts are free again. After an
    interruption, the same command continues. `anyscale batch list` lists the ids.

    On a terminal it first shows how many accounts it will delete, and asks. In a script it needs
    --yes: run it with --dry-run first.

    \b
    Examples:
      anyscale batch undo bat_0193... --dry-run
      anyscale batch undo bat_0193... --yes
    """
    with open_control_plane(host) as transport, unknown_explained():
        log_control_plane(transport)
        batch = transport.batches.show(batch_id)
        if not (dry_run or yes):
            _confirm(transport, batch, force=force)
            batch = transport.batches.show(batch_id)  # others may have continued it
        undone = _undo(transport, batch, force=force, dry_run=dry_run)
    if batch.state == "undone":
        log("The batch was undone before.")
    if dry_run:
        log(_origin(batch))
    log(_summary(undone, dry_run=dry_run))
    # After the summary: if it cannot be written, the user knows what was done.
    if output == "json":
        write_json(undone)
    elif undone.kept:
        write_records(undone.kept, _COLUMNS, output)
    if any(user.reason == "used" for user in undone.kept):
        say(_USED)
    if any(user.reason == "last_owner" for user in undone.kept):
        say(_LAST_OWNER)


def _confirm(transport: Transport, batch: Batch, *, force: bool) -> None:
    """Ask before accounts are deleted, with what a dry run finds.

    Raises:
        ConfigError: there is no terminal, or the answer is not yes.
    """
    nobody = "nobody more was deleted" if batch.state == "undoing" else "nobody was deleted"
    require_terminal(nobody)
    found = _undo(transport, batch, force=force, dry_run=True)
    if not found.removed:
        return
    effect = f"{_origin(batch)} {_summary(found, dry_run=True)} This cannot be undone."
    confirm(effect, nobody, yes=False)


def _undo(transport: Transport, batch: Batch, *, force: bool, dry_run: bool) -> UndoneBatch:
    log("Checking the batch..." if dry_run else "Undoing the batch...")
    if not dry_run:
        explain_interrupt(f"accounts may have been deleted; {GO_ON}")
    on_progress = partial(_show_progress, batch.users, dry_run=dry_run)
    return undo_batch(transport, batch, force=force, dry_run=dry_run, on_progress=on_progress)


def _show_progress(users: int, looked_at: int, removed: int, *, dry_run: bool) -> None:
    if removed and not dry_run:
        # At least: an interrupt may lose the response of a call that has deleted more.
        explain_interrupt(f"at least {quantity(removed, 'account')} deleted so far; {GO_ON}")
    show_progress("Checking" if dry_run else "Undoing", looked_at, users)


def _origin(batch: Batch) -> str:
    label = f" from {batch.label}" if batch.label else ""
    return f"{batch.opened_by} created this batch{label} at {batch.opened_at:{TIME}}."


def _summary(undone: UndoneBatch, *, dry_run: bool) -> str:
    text = f"{quantity(undone.removed, 'account')} {'would be ' if dry_run else ''}deleted"
    if undone.suspended:
        text += f" ({undone.suspended:,} suspended)"
    if undone.removed_by_others:
        text += f"; other calls deleted {undone.removed_by_others:,} since this one began"
    text += "."
    if undone.kept:
        text += f" {quantity(len(undone.kept), 'account')} {'would be ' if dry_run else ''}kept."
    if undone.links_ended:
        links = quantity(undone.links_ended, "unused link")
        verb = "would stop" if dry_run else "stopped"
        text += f" {links} that deleted owners created for others {verb} working."
    if dry_run and undone.removed:
        text += _CHANGED
    return text
