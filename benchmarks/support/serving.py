"""A real server, and requests to it on one connection."""

import http.client
import json
import os
import secrets
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.support.measuring import anyscale

_SECONDS = 60

#: more than those for which a shutdown waits for requests in progress
_STOP_SECONDS = 90


class Server(NamedTuple):
    """A server with one process that answers requests."""

    url: str
    pid: int

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    @property
    def cpu_seconds(self) -> float:
        """User and system time of all threads of the process so far."""
        # The clock of another process, as of clock_getcpuclockid(3).
        return time.clock_gettime((~self.pid << 3) | 2)

    @property
    def peak_memory(self) -> float:
        """MiB that it and its workers had at most since `forget_peak_memory`, or their start."""
        return sum(map(_peak_memory, self._processes()))

    def forget_peak_memory(self) -> None:
        for pid in self._processes():
            # Reset the peak, as of proc_pid_clear_refs(5).
            Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="utf-8")

    def _processes(self) -> list[int]:
        """Return the process and its children, which are its workers."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        children = (int(pid) for task in tasks for pid in task.read_text(encoding="utf-8").split())
        return [self.pid, *children]


def _peak_memory(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    kibibytes = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kibibytes.split()[1]) / 1024


@contextmanager
def served(environment: Mapping[str, str], log: Path, port: int = 0) -> Iterator[Server]:
    """Start a server, and stop it at the end; port 0 is any free one."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            anyscale("server", "start", "--port", str(port)),
            env=os.environ | environment,
            stderr=file,
        )
    try:
        address = _address(process, log)
        Connection(address).get("/healthz")
        yield Server(f"http://{address}", process.pid)
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def token(environment: Mapping[str, str]) -> str:
    """Create an owner's token."""
    name = f"bench-{secrets.token_hex(4)}"  # a database may have one of an earlier run
    command = anyscale("server", "create-token", "--name", name)
    result = subprocess.run(
        command, env=os.environ | environment, check=True, capture_output=True, text=True
    )
    return result.stdout.strip()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end and process.poll() is None:
        for line in log.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n") and (event := json.loads(line)).get("event") == "listening":
                return str(event["address"])
        time.sleep(0.05)
    raise SystemExit(f"the server did not start:\n{log.read_text(encoding='utf-8')}")


class Connection:
    """One keep-alive connection.

    Args:
        address: host and port, or the URL of a server.
        token: sent with each request, unless empty.
    """

    def __init__(self, address: str, token: str = "") -> None:
        self._connection = http.client.HTTPConnection(
            urlsplit(address).netloc or address, timeout=_SECONDS
        )
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> bytes:
        """Send a request, and return the body of the response."""
        return self._body("GET", path)

    def post(self, path: str, body: str) -> bytes:
        """Send JSON, and return the body of the response."""
        return self._body("POST", path, body)

    def patch(self, path: str, body: str) -> bytes:
        """Send JSON, and return the body of the response."""
        return self._body("PATCH", path, body)

    def seconds(self, path: str) -> float:
        """Send a request, and return the seconds until the response."""
        start = time.perf_counter()
        self.get(path)
        return time.perf_counter() - start

    def unindexed_accounts(self) -> float:
        """Return how many accounts have no words in the index of the search yet."""
        return self.metric("anyscale_unindexed_accounts")

    def metric(self, name: str) -> float:
        """Return the value of a metric, with its labels in the name."""
        lines = self.get("/metrics").decode().splitlines()
        return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))

    def _body(self, method: str, path: str, body: str | None = None) -> bytes:
        kind = {"Content-Type": "application/json"} if body else {}
        self._connection.request(method, path, body, self._headers | kind)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != http.client.OK:
            raise SystemExit(f"{method} {path}: {answer.status} {content.decode()}")
        return content
