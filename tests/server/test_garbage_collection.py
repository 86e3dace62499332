"""A server process collects its garbage, and leaves alone what stays for ever."""

import subprocess
import sys
from pathlib import Path

_START = """
import gc
from anyscale.server.main import asgi
application = asgi()
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
"""


def test_garbage_is_collected_after_the_start_without_modules_and_routes(home: Path) -> None:
    command = [sys.executable, "-c", _START]

    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=home)

    assert done.stdout == "True True\n", done.stderr
