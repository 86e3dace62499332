"""The command `anyscale`.

`root.py` lists the groups of commands. Each group is a package (`audit`, `batch`, `server`,
`user`) whose `__init__.py` lists its commands. A new command goes into the package of its group. A
module is imported when its command runs.
`login.py` and `completion/` are commands of their own.

`completion/` completes words in the shells. The other modules are shared: `connect.py` opens the
control plane, `terminal.py` writes standard error, `formats.py` writes standard output,
`exit_status.py` explains errors, `problem_report.py` lists the problems of a refused batch,
`signals.py` handles signals.
"""

import _signal  # type: ignore[import-not-found]  # `signal` would first import enum
import io
import os
import sys
from importlib import import_module

#: the variable that a shell sets to ask for completions
COMPLETION = "_ANYSCALE_COMPLETE"


def main() -> None:
    """Run the command line."""
    # Nothing has been done yet. Python would print a traceback, and click "Aborted!".
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        if _signal.getsignal(number) != _signal.SIG_IGN:  # as for a job in the background
            _signal.signal(number, lambda *_: os._exit(130))
    from anyscale.cli.root import root

    if COMPLETION in os.environ:
        import_module("anyscale.cli.completion.shells")  # registers them
    prepare_streams()
    root(prog_name="anyscale", terminal_width=_terminal_width())


def prepare_streams() -> None:
    """Write UTF-8, whatever the locale: a name that cannot be written must not fail a batch."""
    from anyscale.cli.terminal import null_stream

    if sys.stdout is None:  # closed by `>&-`
        sys.stdout = null_stream()
    if sys.stderr is None:
        sys.stderr = null_stream()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _terminal_width() -> int:
    """Return the width of help texts in columns. click would import shutil to find it.

    A terminal without a size has 0 columns: such as one of `docker run -t`.
    """
    try:
        return min(80, os.get_terminal_size(1).columns or 80)
    except OSError:
        return 80
