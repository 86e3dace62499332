"""The command `anyscale`. Each group of commands is a module, loaded when it is used."""

import time

#: When the command started, for its log lines.
STARTED = time.monotonic()


def main() -> None:
    """Run the command line."""
    from anyscale.cli.root import root

    root(prog_name="anyscale")
