"""The command `anyscale`. Each group of commands is a module, loaded when it is used."""

import os
import time

#: When the command started, for its log lines.
STARTED = time.monotonic()


def main() -> None:
    """Run the command line."""
    from anyscale.cli.root import root

    root(prog_name="anyscale", terminal_width=_terminal_width())


def _terminal_width() -> int:
    """Give the columns for helps: click would load shutil, and all that it loads, to ask."""
    try:
        return min(80, os.get_terminal_size(1).columns)
    except OSError:
        return 80
