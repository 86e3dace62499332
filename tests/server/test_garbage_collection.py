"""A server process collects garbage, and never visits its modules and routes, which it keeps."""

import subprocess
import sys
from pathlib import Path

_START = """
import gc
from anyscale.server.main import asgi
application = asgi()
print(gc.isenabled(), gc.get_freeze_count() > 100_000)
"""


def test_a_started_server_collects_garbage_but_not_in_modules_and_routes(home: Path) -> None:
    command = [sys.executable, "-c", _START]

    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=home)

    assert done.stdout == "True True\n", done.stderr
