"""The command `anyscale`.

`root.py` lists the groups of commands. Each group is a package (`audit`, `batch`, `server`,
`user`) whose `__init__.py` lists its commands; a module of the package holds at most five of them.
A new command goes into the package of its group. A module is imported when its command runs.
`login/` and `completion/` are commands of their own.

`completion/` completes words in the shells. The other modules are shared: `connect.py` opens the
control plane, `terminal.py` writes standard error, `formats.py` writes standard output,
`exit_status.py` explains errors, `problem_report.py` lists the problems of a refused batch,
`signals.py` handles signals.
"""

import io
import os
import sys
from importlib import import_module

from anyscale.cli.terminal import null_stream

#: the variable by which a shell asks for completions
COMPLETION = "_ANYSCALE_COMPLETE"


def main() -> None:
    """Run the command line."""
    try:
        from anyscale.cli.root import root
        from anyscale.cli.signals import exit_on_signals, handle_signals

        handle_signals()
        exit_on_signals()  # nothing has been done yet: click would say "Aborted!", with status 1
    except KeyboardInterrupt:
        raise SystemExit(130) from None

    if COMPLETION in os.environ:
        import_module("anyscale.cli.completion.shells")  # registers them
    _prepare_streams()
    root(prog_name="anyscale", terminal_width=_terminal_width())


def _prepare_streams() -> None:
    """Write UTF-8, whatever the locale: a name that cannot be written must not fail a batch."""
    if sys.stdout is None:  # closed by `>&-`
        sys.stdout = null_stream()
    if sys.stderr is None:
        sys.stderr = null_stream()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _terminal_width() -> int:
    """Return the width of help texts in columns. click would import shutil to find it."""
    try:
        return min(80, os.get_terminal_size(1).columns)
    except OSError:
        return 80
