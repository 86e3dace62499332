"""`anyscale server check`."""

import os
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from anyscale.cli.exit_status import REFUSED
from anyscale.cli.formats import output_option, write_records, write_text
from anyscale.cli.server.connect import database_option
from anyscale.cli.terminal import log
from anyscale.server.check.run import CHECKS, CheckResult, run_checks

_FIELDS = ("check", "status", "looked_at", "found", "mend")

#: columns of a status, and of the id of a check
_STATUS_WIDTH = len("not tried")
_CHECK_WIDTH = max(map(len, CHECKS))


@click.command("check")
@click.option(
    "--environment-file",
    type=click.Path(path_type=Path),
    default="/etc/musterroll/environment",
    show_default=True,
    help="The file of settings, whose mode and owner are checked.",
)
@output_option
@database_option
def check(environment_file: Path, output: str) -> None:
    """Check settings, files, database, proxy and identity provider; change nothing.

    \b
    Example:
      anyscale server check

    Run it as the server's user, with the server's settings. It exits with status 1 if a check has
    the status fail.
    """
    statuses: Counter[str] = Counter()
    results = _counted(run_checks(os.environ, environment_file), statuses)
    if output == "text":
        write_text(line for result in results for line in _lines(result))
    else:
        write_records(results, _FIELDS, output)
    log(", ".join(f"{statuses[status]} {status}" for status in ("ok", "warn", "fail", "not tried")))
    click.get_current_context().exit(REFUSED if statuses["fail"] else 0)


def _counted(results: Iterable[CheckResult], statuses: Counter[str]) -> Iterator[CheckResult]:
    for result in results:
        statuses[result.status] += 1
        yield result


def _lines(result: CheckResult) -> list[str]:
    """Return the line of a check, which continues below its text on a terminal."""
    head = f"{result.status:<{_STATUS_WIDTH}}  {result.check:<{_CHECK_WIDTH}}  "
    mend = f". To mend it: {result.mend}" if result.mend else ""
    text = f"{result.looked_at}: {result.found}{mend}"
    width = shutil.get_terminal_size().columns - len(head)
    if not sys.stdout.isatty() or width < len(head):
        return [head + text]
    first, *others = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [head + first, *(" " * len(head) + line for line in others)]
