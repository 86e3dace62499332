"""A network that delays, cuts, half-closes and resets, and servers behind a load balancer."""

import re
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random

import pytest
from tests.support.commands.command_process import CommandProcess
from tests.support.commands.running import BatchCreateCommand, RunAnyscale, start_command
from tests.support.faults.faulty_proxy import (
    Fault,
    FaultyProxy,
    cut_after,
    delay,
    half_close,
    lose,
    reset,
    time_out,
)
from tests.support.faults.history import HistoryChecker
from tests.support.faults.pausing import PausingHashes
from tests.support.faults.stopping import stop_process
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import emails_in_file, write_users_file
from tests.support.waiting import wait_until

from anyscale.domain.validation import Policy


@pytest.fixture
def pause(tmp_path: Path) -> Path:
    """A file: while it exists, the server hashes no more than the first passwords of a batch."""
    return tmp_path / "pause"


@pytest.fixture
def server(database: str, pause: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that a test can let wait while it hashes."""
    constants = {"anyscale.server.core.batches.service.hash_passwords": PausingHashes(pause)}
    with ServerProcess(database, tmp_path, constants=constants) as server:
        yield server


class FaultyNetwork:
    """Breaks about every third response."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._lock = threading.Lock()

    def __call__(self, _: str) -> Fault | None:
        with self._lock:
            if self._random.random() > 0.35:
                return None
            octets = self._random.choice([0, 10, 100, 300, 2_000])
            faults = (lose, reset, half_close, time_out, cut_after(octets), delay(0.2))
            return self._random.choice(faults)


@pytest.mark.parametrize("seed", range(3))
def test_the_command_completes_on_a_faulty_network(
    configured_server: ServerProcess,
    database: str,
    batch_create: Callable[[Path], BatchCreateCommand],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    file = write_users_file(tmp_path / "users.yaml", 1_200, 30)
    with FaultyProxy([configured_server.port], FaultyNetwork(seed)) as proxy:
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        shown, _ = batch_create(file).finish(tries=3)
    assert sorted(shown) == emails_in_file(1_200)
    assert not all(exchange.delivered for exchange in proxy.history)
    assert len(HistoryChecker(proxy, database).check_finished().hashes) == 30


def test_a_batch_uses_both_servers_behind_a_load_balancer(
    postgres_url: str,
    batch_create: Callable[[Path], BatchCreateCommand],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = write_users_file(tmp_path / "users.yaml", 4_200, 200)
    constants = {"anyscale.server.settings.Policy": partial(Policy, chunk_users=2_000)}
    one, other = (ServerProcess(postgres_url, tmp_path, constants=constants) for _ in range(2))
    with one, other, FaultyProxy([one.port, other.port], lambda _: None) as balancer:
        monkeypatch.setenv("ANYSCALE_HOST", balancer.url)
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", one.token())
        shown, log = batch_create(file).finish(tries=1)
        assert len(shown) == 4_200, log
        for server in (one, other):
            log = server.log.read_text(encoding="utf-8")
            assert "/v1/batches/{batch_id}/chunks/{number}" in log
            assert "/v1/batches/{batch_id}/passwords" in log


#: more than the first chunks of a run
PASSWORDS = 200


def stop_while_it_hashes(server: ServerProcess, process: CommandProcess) -> None:
    """Stop a command when the first passwords of its batch are hashed, and others are not."""

    def are_hashed() -> bool:
        return "/passwords" in server.log.read_text(encoding="utf-8")

    wait_until(lambda: are_hashed() or process.poll() is not None, 120)
    assert process.poll() is None, process.stderr
    stop_process(process.pid)  # its requests continue


def test_a_stopped_server_finishes_its_requests(
    configured_server: ServerProcess,
    pause: Path,
    batch_create: Callable[[Path], BatchCreateCommand],
    tmp_path: Path,
) -> None:
    pause.touch()
    process = batch_create(write_users_file(tmp_path / "users.yaml", 1_500, PASSWORDS)).start()
    stop_while_it_hashes(configured_server, process)
    configured_server.signal(signal.SIGTERM)
    wait_until(lambda: "Waiting for connections to close" in configured_server.log.read_text())
    pause.unlink()
    assert configured_server.ended() == 0
    process.send_signal(signal.SIGCONT)
    configured_server.start()
    done = process.finish()
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1_500


def test_a_batch_resumes_with_a_new_token_after_its_token_was_revoked(
    configured_server: ServerProcess,
    pause: Path,
    batch_create: Callable[[Path], BatchCreateCommand],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pause.touch()
    file = write_users_file(tmp_path / "users.yaml", 1_500, PASSWORDS)
    process = batch_create(file).start()
    stop_while_it_hashes(configured_server, process)
    configured_server.run("revoke-token", "jane")
    pause.unlink()
    process.send_signal(signal.SIGCONT)
    done = process.finish()
    assert done.returncode == 3
    error, advice = done.stderr.splitlines()[-2:]
    assert "the token 'jane' was revoked" in error
    assert advice.startswith("Run the same command again with a new token: it continues")
    assert "Run the same command again" in done.stderr

    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", configured_server.token("jane-new"))
    shown, log = batch_create(file).finish(tries=1)
    assert "Continuing with batch" in log
    assert sorted(shown) == emails_in_file(1_500)


def test_a_batch_of_standard_input_is_dropped_with_a_new_token_after_its_token_was_revoked(
    configured_server: ServerProcess,
    pause: Path,
    anyscale: RunAnyscale,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pause.touch()
    file = write_users_file(tmp_path / "users.yaml", 1_500, PASSWORDS)
    host = ("--host", configured_server.url)
    process = start_command("user", "batch-create", "-f", "-", *host, stdin=file)
    stop_while_it_hashes(configured_server, process)
    configured_server.run("revoke-token", "jane")
    pause.unlink()
    process.send_signal(signal.SIGCONT)
    done = process.finish()
    assert done.returncode == 3
    error, advice = done.stderr.splitlines()[-2:]
    (batch_id,) = re.findall(r"batch (\w+) is left open", error)
    drop = ("batch", "drop", *host, batch_id)
    assert advice == (
        f"Drop the batch with a new token by `anyscale {' '.join(drop)}`, then run the same "
        "command again."
    )

    monkeypatch.setenv("ANYSCALE_CLI_TOKEN", configured_server.token("jane-new"))
    assert anyscale(*drop, "--yes").returncode == 0
    again = start_command("user", "batch-create", "-f", "-", *host, stdin=file).finish()
    assert again.returncode == 0, again.stderr
