"""Ctrl-C at a server, once and twice; a server whose processes die."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.support.faults.stopping import process_state
from tests.support.servers.server_process import ServerProcess
from tests.support.waiting import wait_until


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:////{tmp_path.relative_to('/')}/anyscale.db"


def logged(server: ServerProcess) -> list[tuple[str, str]]:
    """Give level and event of each log line."""
    lines = [json.loads(line) for line in server.log.read_text(encoding="utf-8").splitlines()]
    return [(line["level"], line["event"]) for line in lines]


def start_request(server: ServerProcess) -> socket.socket:
    """Send a request without the end of its body."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    client.sendall(b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    # It, and the one for the metrics.
    wait_until(lambda: "anyscale_http_requests_in_progress 2.0" in metrics(server))
    return client


def metrics(server: ServerProcess) -> str:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=30) as answer:
        text: str = answer.read().decode()
    return text


def test_ctrl_c_before_the_imports_shows_no_traceback() -> None:
    interrupted = (
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'anyscale.cli.root': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from anyscale.cli import main\n"
        "main()\n"
    )

    ended = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, check=False)

    assert (ended.returncode, ended.stderr) == (130, b"")


def wait_for(server: ServerProcess, event: str, times: int = 1) -> None:
    wait_until(lambda: sum(line.startswith(event) for _, line in logged(server)) >= times)


#: Seconds after "listening". A forked server is ready after 0.05; the installed one imports for a
#: longer time, and so do several workers, which are not forked.
FORKED, IMPORTING = (0.0, 0.01, 0.02), (0.0, 0.25)


@pytest.mark.parametrize("ask", [ServerProcess.interrupt, ServerProcess.stop])
@pytest.mark.parametrize(
    ("begin", "workers", "pause"),
    [(ServerProcess.begin, 1, pause) for pause in FORKED]
    + [(ServerProcess.begin, 2, pause) for pause in IMPORTING]
    + [(ServerProcess.begin_installed, 1, pause) for pause in IMPORTING],
)
def test_a_server_that_is_stopped_during_its_start_ends_in_order(
    database: str,
    tmp_path: Path,
    begin: Callable[[ServerProcess], object],
    workers: int,
    pause: float,
    ask: Callable[[ServerProcess], object],
) -> None:
    server = ServerProcess(database, tmp_path, workers)
    try:
        begin(server)
        wait_for(server, "listening")
        time.sleep(pause)
        ask(server)

        assert server.ended() == 0
        assert not [event for level, event in logged(server) if level == "error"]
    finally:
        server.kill()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("pause", [0.0, 0.05])
def test_a_second_ctrl_c_ends_a_server_without_a_traceback(
    database: str, tmp_path: Path, workers: int, pause: float
) -> None:
    with ServerProcess(database, tmp_path, workers) as server:
        wait_for(server, "Application startup complete", workers)
        server.interrupt()
        time.sleep(pause)
        server.interrupt()

        assert server.ended() == 0
        assert "Traceback" not in server.log.read_text(encoding="utf-8")
        assert not [event for level, event in logged(server) if level == "error"]


def test_a_first_ctrl_c_waits_for_a_request_and_a_second_one_cancels_it(
    database: str, tmp_path: Path
) -> None:
    with ServerProcess(database, tmp_path) as server, closing(start_request(server)) as client:
        server.interrupt()
        wait_for(server, "Waiting for connections to close")
        server.interrupt()

        assert server.ended() == 0
        head, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"server_unreachable"' in body
        assert not [event for level, event in logged(server) if level == "error"]


def test_a_first_ctrl_c_lets_a_request_finish(database: str, tmp_path: Path) -> None:
    with ServerProcess(database, tmp_path) as server, closing(start_request(server)) as client:
        server.interrupt()
        wait_for(server, "Waiting for connections to close")
        client.sendall(b" " * 98 + b"}")

        assert server.ended() == 0
        answer = client.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 400 "), answer


def has_ended(pid: int) -> bool:
    with suppress(OSError):  # there is no such process any more
        return process_state(Path(f"/proc/{pid}")) == "Z"
    return True


def kill_all(server: ServerProcess, workers: list[int]) -> None:
    """Kill a server, and those of its workers that have outlived it."""
    server.kill()
    for worker in workers:
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)


def test_workers_finish_their_requests_and_end_if_their_parent_is_killed(
    database: str, tmp_path: Path
) -> None:
    server = ServerProcess(database, tmp_path, workers=2)
    workers: list[int] = []
    try:
        server.start()
        wait_for(server, "Application startup complete", 2)
        workers += server.worker_pids()
        assert len(workers) == 2
        with closing(start_request(server)) as client:
            os.kill(server.pid, signal.SIGKILL)
            wait_for(server, "the parent process has died: this worker shuts down", 2)
            wait_until(lambda: any(map(has_ended, workers)))
            assert not all(map(has_ended, workers))
            with ServerProcess(database, tmp_path, port=server.port):  # nothing listens there
                client.sendall(b" " * 98 + b"}")
                assert client.makefile("rb").read().startswith(b"HTTP/1.1 400 ")
        wait_until(lambda: all(map(has_ended, workers)))
        assert "Traceback" not in server.log.read_text(encoding="utf-8")
    finally:
        kill_all(server, workers)


def test_workers_whose_parent_is_killed_while_they_start_log_json_lines(
    database: str, tmp_path: Path
) -> None:
    server = ServerProcess(database, tmp_path, workers=2)
    workers: list[int] = []
    try:
        server.begin()
        wait_until(lambda: len(server.worker_pids()) == 2)
        workers += server.worker_pids()
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: all(map(has_ended, workers)))
        died = ("error", "the parent process has died: this worker shuts down")
        assert logged(server).count(died) == 2
    finally:
        kill_all(server, workers)
