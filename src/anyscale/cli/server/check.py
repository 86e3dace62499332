"""`anyscale server check`."""

import os
import shutil
import sys
import textwrap
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from anyscale.cli.exit_status import REFUSED
from anyscale.cli.formats import output_option, write_records, write_text
from anyscale.cli.options import not_empty
from anyscale.cli.server.connect import database_option
from anyscale.cli.terminal import log
from anyscale.domain.phrases import in_sentences

if TYPE_CHECKING:
    from anyscale.server.check.findings import Status
    from anyscale.server.check.run import CheckResult

_FIELDS = ("check", "status", "looked_at", "found", "fix")

_STATUSES: "tuple[Status, ...]" = ("ok", "warn", "fail", "not tried")


@click.command("check")
@click.option(
    "--environment-file",
    type=click.Path(),
    default="/etc/musterroll/environment",
    show_default=True,
    callback=not_empty,  # as a path, an empty text would be the working directory
    help="The file of settings, whose mode and owner are checked.",
)
@click.option("--mail", "mail_to", metavar="ADDRESS", callback=not_empty, help="Send a mail there.")
@click.option("--all", "shows_all", is_flag=True, help="Show each check that was not tried.")
@output_option
@database_option
def check(environment_file: str, mail_to: str | None, shows_all: bool, output: str) -> None:
    """Check settings, files, database, proxy, identity provider and mail; change nothing.

    Run it as the server's user, with the server's settings. What is wrong comes first. It exits
    with status 1 if a check has the status fail.

    \b
    Example:
      anyscale server check
    """
    from anyscale.server.check.run import run_checks  # with the server, which the help needs not

    by_status: dict[Status, list[CheckResult]] = defaultdict(list)
    results = _sorted_into(
        by_status, run_checks(os.environ, Path(environment_file), mail_to=mail_to or "")
    )
    if output == "text":
        write_text(_text(results, by_status, shows_all=shows_all))
    else:
        write_records(results, _FIELDS, output)
    deque(results, 0)  # the exit status is about all checks, also for `... | head`
    log(", ".join(f"{len(by_status[status])} {status}" for status in _STATUSES))
    click.get_current_context().exit(REFUSED if by_status["fail"] else 0)


def _sorted_into(
    by_status: "dict[Status, list[CheckResult]]", results: "Iterable[CheckResult]"
) -> "Iterator[CheckResult]":
    for result in results:
        by_status[result.status].append(result)
        yield result


def _text(
    results: "Iterable[CheckResult]",
    by_status: "dict[Status, list[CheckResult]]",
    *,
    shows_all: bool,
) -> Iterator[str]:
    """Give the lines of what is wrong as soon as it is found, and then the others."""
    for result in results:
        if result.status in ("warn", "fail"):
            yield from _lines(result)
    for result in by_status["ok"]:
        yield from _lines(result)
    not_tried = by_status["not tried"]
    for result in not_tried if shows_all else _summarized(not_tried):
        yield from _lines(result)


def _summarized(results: "Iterable[CheckResult]") -> "list[CheckResult]":
    """Return one result for the checks of a subject that were not tried for the same reason."""
    from msgspec.structs import replace

    checks: dict[tuple[str, str], list[CheckResult]] = defaultdict(list)
    for result in results:
        checks[result.check.partition(".")[0], result.found].append(result)
    return [
        replace(same[0], check=f"{subject}.*", looked_at=f"{len(same)} checks")
        if len(same) > 1
        else same[0]
        for (subject, _), same in checks.items()
    ]


def _lines(result: "CheckResult") -> list[str]:
    """Return the line of a check, which continues below its text on a terminal."""
    from anyscale.server.check.run import CHECKS

    status_width, check_width = max(map(len, _STATUSES)), max(map(len, CHECKS))
    head = f"{result.status:<{status_width}}  {result.check:<{check_width}}  "
    fix = [f"To fix it: {result.fix}"] if result.fix else []
    text = in_sentences([f"{result.looked_at}: {result.found}", *fix])
    width = shutil.get_terminal_size().columns - len(head)
    if not sys.stdout.isatty() or width < len(head):
        return [head + text]
    first, *others = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [head + first, *(" " * len(head) + line for line in others)]
