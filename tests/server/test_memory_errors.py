"""A lack of memory is not a fault of the program: what the server and the command say."""

import re
import resource
import signal
import subprocess
import sys
from errno import ENOMEM
from functools import partial
from pathlib import Path

import pytest
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.paths import ANYSCALE
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process

from anyscale.errors.memory import is_lack_of_memory
from anyscale.server.settings import Settings

NO_THREAD = RuntimeError("can't start new thread")

NO_MEMORY = "error: there is not enough memory: see `ulimit -v`, or the limits of the container"

#: hashlib, without its library, is not such an error: it logs and continues
FAULT = re.compile(r"fault of this program \((MemoryError|ImportError|RuntimeError)")

#: the most memory that the command takes before it works: MiB of address space
PEAK = """
import anyscale.cli.root, re
print(int(re.search(r"VmPeak:\\s+(\\d+)", open("/proc/self/status").read())[1]) // 1024)
"""


def limit_to(memory: int) -> None:
    """Limit this process to a number of octets, and to 3 seconds of processor time."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (3, 3))


@pytest.mark.parametrize("error", [MemoryError(), NO_THREAD])
def test_the_server_is_unavailable(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control_plane = cheap_control_plane(Settings(database=tmp_path / "anyscale.db"))

    def fail(_: str) -> None:
        raise error

    monkeypatch.setattr(control_plane.tokens, "authenticate", fail)
    with serve_in_process(control_plane) as url:
        headers = {"Authorization": "Bearer mrt_x"}
        response = HttpClient(url).request("GET", "/v1/users", headers=headers)
    assert (response.status, response.json["code"]) == (503, "unavailable")
    assert "too little memory" in response.json["detail"]


def test_a_command_under_a_limit_names_the_memory_or_works(tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    file.write_text("create_users: [{name: Jane, email: jane@example.com}]", encoding="utf-8")
    python = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, check=True)
    peak = int(python.stdout)
    named = 0
    for more in (1, 3, 5, 7, 9, 12):
        limit = (peak + more) * 1024 * 1024
        done = subprocess.run(
            [ANYSCALE, "user", "batch-create", "-f", file],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=partial(limit_to, limit),
        )
        if done.returncode == -signal.SIGXCPU and sys.version_info < (3, 13, 8):
            continue  # Python itself may handle a MemoryError in a loop (cpython#134163)
        assert not FAULT.search(done.stderr), (more, done.stderr)
        # With the smallest limits, Python can lack the memory to write anything.
        named += done.stderr.splitlines()[-1:] == [NO_MEMORY]
    assert named, "one of the limits is too small"


@pytest.mark.parametrize(
    ("error", "is_lack"),
    [
        (MemoryError(), True),
        (NO_THREAD, True),
        (OSError(ENOMEM, "Cannot allocate memory"), True),
        (ImportError("_sqlite3.so: failed to map segment from shared object"), True),
        (ImportError("_ssl.so: cannot map zero-fill pages: Cannot allocate memory"), True),
        (RuntimeError("generator raised StopIteration"), False),
        (ImportError("No module named 'x'"), False),
        (OSError(2, "No such file"), False),
    ],
)
def test_other_errors_are_no_lack_of_memory(error: Exception, is_lack: bool) -> None:
    assert is_lack_of_memory(error) is is_lack
