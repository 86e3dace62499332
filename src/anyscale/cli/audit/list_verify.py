"""`anyscale audit list` and `anyscale audit verify`."""

import re
from collections.abc import Iterator

import click
from msgspec import Raw, structs

from anyscale import audit_chain
from anyscale.audit_chain import AuditEntry
from anyscale.cli.connect import host_option, open_control_plane
from anyscale.cli.console import say
from anyscale.cli.formats import output_option, write_json, write_records, write_text
from anyscale.errors import ConfigError
from anyscale.transport.base import Transport

_COLUMNS = ("number", "time", "actor", "event", "subject", "data")


@click.command("list")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Only those after a number.")
@output_option
@host_option
def list_entries(after: int, output: str, host: str | None) -> None:
    """List the entries of the audit log, in their order.

    \b
    Example:
      anyscale audit list -o jsonl
    """
    with open_control_plane(host) as transport:
        entries = _entries(transport, after)
        if output in ("json", "jsonl"):  # the data is JSON itself, and is written as it is
            entries = (structs.replace(e, data=Raw(e.data.encode())) for e in entries)
        write_records(entries, _COLUMNS, output)


@click.command("verify")
@click.option("--head", metavar="HEAD", help="What an earlier check printed: NUMBER:HASH.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
@host_option
def verify(head: str | None, output: str, host: str | None) -> None:
    """Check that no entry of the audit log was changed, removed or inserted.

    \b
    Example:
      anyscale audit verify --head 12:9f86d081...

    An attacker who can write the database can write the whole log anew. So keep the head that this
    command prints in another place: with --head, every change of the entries up to it is found.

    Exit status: 0 nothing was changed; 1 something was.
    """
    if head is not None and not re.fullmatch(r"\d+:[0-9a-f]{64}", head):
        raise ConfigError("a head is what `audit verify` prints after `head:`, NUMBER:HASH")
    with open_control_plane(host) as transport:
        verdict = audit_chain.verify(_entries(transport, 0), head)
    if output == "json":
        write_json(verdict)
    elif verdict.fault is None:
        counts = [f"entries: {verdict.entries}", f"head: {verdict.head or '-'}"]
        write_text(["chain: intact", *counts])
    if verdict.fault:
        say(f"error: {verdict.fault}")
        click.get_current_context().exit(1)


def _entries(transport: Transport, after: int) -> Iterator[AuditEntry]:
    while page := transport.audit(after, limit=1_000):
        yield from page
        after = page[-1].number
