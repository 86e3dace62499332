"""`anyscale audit list` and `anyscale audit verify`."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from types import SimpleNamespace
from typing import Protocol

import click
from msgspec import Raw, structs

from anyscale.cli.connect import host_option, open_control_plane
from anyscale.cli.exit_status import REFUSED
from anyscale.cli.formats import (
    output_option,
    with_notice_if_empty,
    write_json,
    write_records,
    write_text,
)
from anyscale.cli.options import WholeNumber, max_items_option, not_empty, text_or_json_option
from anyscale.cli.terminal import say
from anyscale.domain import audit_chain
from anyscale.domain.audit_chain import AuditEntry
from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.times import moment
from anyscale.errors import ConfigError


class _ListPage(Protocol):
    """Returns entries between two numbers, up to a limit: see `Audit.list`."""

    def __call__(
        self, after: int, limit: int, *, before: int | None = None, newest_first: bool = False
    ) -> list[AuditEntry]: ...


class _Time(click.ParamType[int]):
    """A date or a time, in the time zone of this machine if it has none: see `domain.times`."""

    name = "date"

    def __init__(self, *, is_end: bool = False) -> None:
        self._is_end = is_end

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return moment(value, None, is_end=self._is_end)
        except ValueError:
            form = "a date such as 2026-10-01, or a time such as 2026-10-01T08:00"
            return self.fail(f"{value!r} is not {form}.", param, ctx)


#: entries per request
_PAGE = 1_000

#: a number that no entry has, and that a control plane accepts
_LARGEST = 2**53

#: the database of an option without a value
_OF_ENVIRONMENT = "ANYSCALE_DATABASE_URL"

_COLUMNS = ("number", "time", "actor", "event", "subject", "data")


@click.command("list")
@click.option("--after", type=WholeNumber(min=0), default=0, help="Only those after a number.")
@click.option(
    "--actor",
    callback=not_empty,
    help="Only those of an actor: an email, or such as token:jane-laptop.",
)
@click.option("--event", callback=not_empty, help="Only those of an event, such as token.created.")
@click.option(
    "--subject",
    callback=not_empty,
    help="Only those about an account by an email that it has or had, or an id like usr_...",
)
@click.option(
    "--account",
    callback=not_empty,
    help="Only what happened to an account and what its user did: an email, or an id like usr_...",
)
@click.option(
    "--from",
    "since",
    type=_Time(),
    help="Only those from a date or time on. Without a zone it is in the local one.",
)
@click.option(
    "--until",
    type=_Time(is_end=True),
    help="Only those up to a date, which is included, or from before a time.",
)
@click.option("--newest-first", is_flag=True, help="List them in the reverse order.")
@max_items_option
@output_option
@host_option
def list_entries(
    after: int,
    actor: str | None,
    event: str | None,
    subject: str | None,
    account: str | None,
    since: int | None,
    until: int | None,
    newest_first: bool,
    max_items: int | None,
    output: str,
    host: str | None,
) -> None:
    """List the entries of the audit log, in their order.

    \b
    Examples:
      anyscale audit list --newest-first --max-items 20
      anyscale audit list --event batch.published
      anyscale audit list --from 2026-10-01 --until 2026-10-31
      anyscale audit list --account jane@example.com
      anyscale audit list -o jsonl
    """
    if since is not None and until is not None and until <= since:
        raise ConfigError("--until is not after --from: no entry can be between them")
    only = AuditFilter(
        *(actor or "", event or "", subject or "", account or ""), since=since, until=until
    )
    with open_control_plane(host) as transport:
        listed = _newest_first if newest_first else _entries
        list_page = partial(transport.audit.list, only=only)
        entries: Iterator[AuditEntry] = islice(
            listed(list_page, min(after, _LARGEST)),
            None if max_items is None else min(max_items, _LARGEST),
        )
        if output in ("json", "jsonl"):  # the data is JSON itself, and is written as it is
            entries = (structs.replace(e, data=Raw(e.data.encode())) for e in entries)
        elif output == "text" and max_items != 0 and (after or only != AuditFilter()):
            entries = with_notice_if_empty(entries, "No entry matches.")
        write_records(map(_line, entries) if output == "text" else entries, _COLUMNS, output)


def _line(entry: AuditEntry) -> SimpleNamespace:
    # A number that names an entry is written as `--after` reads it, without separators.
    values = {field: getattr(entry, field) for field in _COLUMNS}
    return SimpleNamespace(**values | {"number": str(entry.number)})


@click.command("verify")
@click.option("--head", metavar="HEAD", help="What an earlier check printed: NUMBER:HASH.")
@click.option(
    "--may-begin-at",
    metavar="NUMBER",
    type=WholeNumber(min=1),
    help="Entries before this one may have been removed since the head was noted.",
)
@click.option(
    "--database",
    metavar="[URL]",
    is_flag=False,
    flag_value=_OF_ENVIRONMENT,
    callback=not_empty,
    help="Verify a database without a server: sqlite:///path or postgresql://... Default: "
    "ANYSCALE_DATABASE_URL, which other users of this machine do not see.",
)
@text_or_json_option
@host_option
def verify(
    head: str | None, may_begin_at: int | None, database: str | None, output: str, host: str | None
) -> None:
    """Check that no entry of the audit log was changed, removed or inserted.

    \b
    Example:
      anyscale audit verify --head 12:9f86d081...

    An attacker who can write the database can write the whole log anew. So keep the head that this
    command prints in another place: with --head, every change of the entries up to it is found.

    Old entries are removed after ANYSCALE_AUDIT_DAYS, and another entry says so. An attacker can
    write such an entry too. So with --head, a removal after that head is reported as a change,
    unless --may-begin-at allows it.

    Exit status: 0 nothing was changed; 1 something was.
    """
    if head is not None and not re.fullmatch(audit_chain.HEAD, head):
        raise ConfigError("a head is what `audit verify` prints after `head:`, NUMBER:HASH")
    if host and database is not None:
        raise ConfigError("choose one of --host and --database")
    with _open_log(host, database) as list_page:
        verdict = audit_chain.verify_log(partial(_entries, list_page), head, may_begin_at)
    if output == "json":
        write_json(verdict)
    elif verdict.fault is None:
        counts = [f"entries: {verdict.entries:,}", f"head: {verdict.head or '-'}"]
        removed = [f"removed: {verdict.removed}"] if verdict.removed else []
        write_text(["chain: intact", *counts, *removed])
    if verdict.fault:
        say(f"error: {verdict.fault}")
        click.get_current_context().exit(REFUSED)


@contextmanager
def _open_log(host: str | None, database: str | None) -> Iterator[_ListPage]:
    if database is None:
        with open_control_plane(host) as transport:
            yield transport.audit.list
        return
    from anyscale.cli.server.connect import open_local_control_plane

    if database != _OF_ENVIRONMENT:
        os.environ["ANYSCALE_DATABASE_URL"] = database
    with open_local_control_plane(create=False) as control_plane:
        yield control_plane.audit_log.list


def _entries(list_page: _ListPage, after: int) -> Iterator[AuditEntry]:
    while page := list_page(after, _PAGE):
        yield from page
        after = page[-1].number


def _newest_first(list_page: _ListPage, after: int) -> Iterator[AuditEntry]:
    before = None
    while page := list_page(after, _PAGE, before=before, newest_first=True):
        yield from page
        before = page[-1].number
