"""The worker processes of a server that hash: killed, stopped, and without their server."""

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.faults.stopping import process_state, stop_process
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_process import ServerProcess, server_of_jane
from tests.support.waiting import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server with one account."""
    with server_of_jane(tmp_path) as server:
        yield server


def workers_of(server: ServerProcess) -> list[int]:
    """List the ids of the server's worker processes."""
    assert server._process
    children = Path(f"/proc/{server._process.pid}/task").glob("*/children")
    return [int(pid) for file in children for pid in file.read_text("ascii").split()]


def sign_in(server: ServerProcess) -> int:
    return HttpClient(server.url, timeout=60).sign_in().status


def state_of(pid: int) -> str:
    """Return the state of a process as `ps` shows it; Z also if there is no such process."""
    with suppress(OSError):
        return process_state(Path(f"/proc/{pid}"))
    return "Z"


def has_ended(pid: int) -> bool:
    return state_of(pid) == "Z"


def requests_in_progress(server: ServerProcess) -> int:
    """Count them, without the one that counts."""
    metrics = HttpClient(server.url).request("GET", "/metrics").text
    (found,) = re.findall(r"(?m)^anyscale_http_requests_in_progress (\d+)", metrics)
    return int(found) - 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_users_sign_in_while_the_workers_are_killed_or_stopped(
    server: ServerProcess, number: signal.Signals
) -> None:
    assert sign_in(server) == 200
    first = workers_of(server)
    assert first
    for pid in first:
        stop_process(pid)
    with ThreadPoolExecutor(4) as pool:
        sign_ins = [pool.submit(sign_in, server) for _ in range(8)]
        # No worker responds, until they are replaced.
        wait_until(lambda: requests_in_progress(server) == 4 or sign_ins[0].done())
        for pid in first:
            with suppress(ProcessLookupError):  # it is replaced
                os.kill(pid, number)
        assert {sign_in.result() for sign_in in sign_ins} == {200}
    wait_until(lambda: all(has_ended(pid) for pid in first))


def test_stopped_workers_are_replaced_within_10_seconds(server: ServerProcess) -> None:
    assert sign_in(server) == 200
    stopped = workers_of(server)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: all(has_ended(pid) for pid in stopped), 10)
    assert sign_in(server) == 200


def test_no_worker_outlives_a_server_that_is_killed(server: ServerProcess) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert {status.result() for status in [pool.submit(sign_in, server) for _ in range(4)]} == {
            200
        }
    workers = workers_of(server)
    assert workers
    os.kill(workers[0], signal.SIGSTOP)
    # When a parent ends, Linux continues its stopped children: not one whose SIGSTOP is pending.
    wait_until(lambda: state_of(workers[0]) == "T")
    assert server._process
    os.kill(server._process.pid, signal.SIGKILL)  # the server alone, and not its process group
    wait_until(lambda: all(has_ended(pid) for pid in workers))
