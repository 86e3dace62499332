"""Run the command on a terminal."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.commands.command_process import CommandProcess

#: Python checks for signals before it calls read(2). A signal between the check and the call is
#: handled only after the next input. So these keys are pressed again, as a user would do, after
#: some seconds without output.
_SIGNAL_KEYS = (b"\x03", b"\x1c")
_SILENCE = 5


def on_a_terminal(
    *arguments: str | Path,
    command: str | Path = "",
    env: Mapping[str, str] | None = None,
    typed: bytes = b"",
    when: bytes = b"end with Ctrl-D",
    before: Callable[[], object] = lambda: None,
) -> tuple[int, str]:
    """Run ours or another command on a terminal of 100 columns; type a text when `when` is shown.

    The terminal has no colours, unless `env` sets NO_COLOR to an empty text.

    `before` is called first, while the command waits.

    The terminal controls it, so that Ctrl-C can be typed.

    Returns:
        The exit status and the output.
    """
    ours, theirs = pty.openpty()
    usual = {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "100", "LANG": "C.UTF-8"}
    variables = os.environ | usual | dict(env or {})
    process: CommandProcess | subprocess.Popen[bytes]
    if command:
        whole = ["setsid", "--ctty", str(command), *map(str, arguments)]
        process = subprocess.Popen(whole, stdin=theirs, stdout=theirs, stderr=theirs, env=variables)
        ended = os.pidfd_open(process.pid)
    else:
        process = CommandProcess(
            arguments, variables, folder=Path.cwd(), terminal=os.ttyname(theirs)
        )
        ended = os.dup(process.sentinel)
    try:
        shown = _talk(ours, ended, typed, when, before)
    finally:
        for descriptor in (ours, theirs, ended):
            os.close(descriptor)
    return process.wait(timeout=30), shown.decode()


def _talk(ours: int, ended: int, typed: bytes, when: bytes, before: Callable[[], object]) -> bytes:
    """Type the text when it is due; give what the terminal shows until the process has ended."""
    shown, deadline, is_typed = b"", time.monotonic() + 90, False
    while (left := deadline - time.monotonic()) > 0:
        ready = select.select([ours, ended], [], [], min(left, _SILENCE))[0]
        if ours in ready:
            shown += os.read(ours, 65536)
        elif ready:
            break
        if typed and not is_typed and when in shown:
            before()
            os.write(ours, typed)
            is_typed = True
        elif not ready and is_typed and typed in _SIGNAL_KEYS:
            os.write(ours, typed)
    return shown
