"""Run the command on a terminal."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.paths import ANYSCALE

__all__ = ["on_a_terminal"]


def on_a_terminal(
    *arguments: str | Path,
    command: str | Path = ANYSCALE,
    env: Mapping[str, str] | None = None,
    typed: bytes = b"",
    when: bytes = b"end with Ctrl-D",
    before: Callable[[], object] = lambda: None,
) -> tuple[int, str]:
    """Run the command on a terminal of 100 columns; type a text when `when` is shown.

    `before` is called first, while the command waits.

    The terminal controls it, so that Ctrl-C can be typed.

    Returns:
        The exit status and the output.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", str(command), *map(str, arguments)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "LANG": "C.UTF-8"} | dict(env or {}),
    )
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 90
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            shown += piece
            if typed and when in shown:
                before()
                os.write(ours, typed)
                typed = b""
    os.close(ours)
    return process.wait(timeout=10), shown.decode()
