"""anyscale audit"""

import re
from typing import TYPE_CHECKING, Any

import click

from anyscale.cli.connect import asked
from anyscale.cli.console import say
from anyscale.cli.formats import write_json, write_records, write_text
from anyscale.cli.options import host_option, output_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyscale.audit_log import AuditEntry
    from anyscale.transport.base import Transport

_PAGE = 1000

_COLUMNS = ("number", "time", "actor", "event", "subject", "data")


@click.group("audit")
def command() -> None:
    """Read and check the trail of who did what."""


@command.command("list")
@click.option("--after", type=click.IntRange(min=0), default=0, help="Only those after a number.")
@output_option
@host_option
def list_entries(after: int, output: str, host: str | None) -> None:
    """List the entries of the trail, in their order.

    \b
    Example:
      anyscale audit list -o jsonl
    """
    with asked(host) as transport:
        entries: Iterator[Any] = _entries(transport, after)
        if output in ("json", "jsonl"):
            entries = map(_Plain, entries)
        write_records(entries, _COLUMNS, output)


@command.command("verify")
@click.option("--head", metavar="HEAD", help="What an earlier check printed: NUMBER:HASH.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text")
@host_option
def verify(head: str | None, output: str, host: str | None) -> None:
    """Check that no entry of the trail was changed, removed or put in.

    \b
    Example:
      anyscale audit verify --head 12:9f86d081...

    Whoever can write the database can write the whole trail anew. So note the head that this
    prints, elsewhere: with --head, whatever changed up to there is found.

    Exit status: 0 nothing changed; 1 something did.
    """
    from anyscale.audit_log import verify as verified
    from anyscale.errors import ConfigError

    if head is not None and not re.fullmatch(r"\d+:[0-9a-f]{64}", head):
        raise ConfigError("a head is what `audit verify` prints after `head:`, NUMBER:HASH")
    with asked(host) as transport:
        verdict = verified(_entries(transport, 0), head)
    if output == "json":
        write_json({"entries": verdict.entries, "head": verdict.head, "fault": verdict.fault})
    elif verdict.fault is None:
        counted = [f"entries: {verdict.entries}", f"head: {verdict.head or '-'}"]
        write_text(["chain: intact", *counted])
    if verdict.fault:
        say(f"error: {verdict.fault}")
        click.get_current_context().exit(1)


class _Plain:
    """An entry whose data is JSON in JSON, and no text."""

    def __init__(self, entry: "AuditEntry") -> None:
        from msgspec import Raw

        self._entry = entry
        self.data = Raw(entry.data.encode())

    def __getattr__(self, field: str) -> Any:
        return getattr(self._entry, field)


def _entries(transport: "Transport", after: int) -> "Iterator[AuditEntry]":
    while page := transport.audit(after, _PAGE):
        yield from page
        after = page[-1].number
