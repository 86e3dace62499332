"""A response is lost, at each step of a batch: the command reports the right result, once."""

import json
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

import pytest
from tests.support.commands.command_process import CommandProcess
from tests.support.commands.running import BatchCreateCommand, RunAnyscale
from tests.support.faults.faulty_proxy import Fault, FaultyProxy, lose
from tests.support.servers.control_planes import Deployment, HttpDeployment, NewDeployment
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import emails_in_file, write_users_file

from anyscale.domain.models.audit import AuditFilter
from anyscale.domain.validation import Policy

#: step -> the first line of its request
SMALL = {
    "policy": "GET /v1/policy",
    "create": "POST /v1/users:batchCreate",
}
LARGE = {
    "open": r"POST /v1/batches$",
    "reserve": r"PUT /v1/batches/\w+/chunks/0",
    "hash": r"POST /v1/batches/\w+/passwords",
    "publish": r"POST /v1/batches/\w+/publish",
    "users": r"GET /v1/batches/\w+/users",
}


class Loss:
    """Loses the first response of a step, and calls a function."""

    def __init__(self, step: str, on_loss: Callable[[], None] = lambda: None) -> None:
        self._step = re.compile(step)
        self._on_loss = on_loss
        self.happened = False

    def __call__(self, call: str) -> Fault | None:
        if self.happened or not self._step.match(call.replace("%3A", ":")):
            return None
        self.happened = True
        return self._lose

    def _lose(self, client: socket.socket, response: bytes) -> bool:
        self._on_loss()
        return lose(client, response)


@pytest.fixture
def served(new_deployment: NewDeployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    """A server in this process that the environment names."""
    with new_deployment(over_http=True) as deployment:
        assert isinstance(deployment, HttpDeployment)
        monkeypatch.setenv("ANYSCALE_HOST", deployment.url(Policy()))
        monkeypatch.setenv("ANYSCALE_CLI_TOKEN", deployment.token)
        yield deployment


@contextmanager
def losing(loss: Loss, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lose a response between the command and the server that the environment names."""
    port = urlsplit(os.environ["ANYSCALE_HOST"]).port
    assert port
    with FaultyProxy([port], loss) as proxy:
        monkeypatch.setenv("ANYSCALE_HOST", proxy.url)
        yield
    assert loss.happened


def published(deployment: Deployment) -> int:
    """Count the published batches in the audit log."""
    only = AuditFilter(event="batch.published")
    with closing(deployment.control_plane()) as control_plane, control_plane.store.read() as tx:
        return len(tx.audit.list(-1, 9, only=only))


@pytest.mark.parametrize("step", [*SMALL, *LARGE])
def test_the_command_retries_after_a_lost_response_and_reports_each_user_once(
    served: Deployment,
    batch_create: Callable[[Path], BatchCreateCommand],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    count = 20 if step in SMALL else 1_200
    file = write_users_file(tmp_path / "users.yaml", count, 5)
    with losing(Loss((SMALL | LARGE)[step]), monkeypatch):
        shown, log = batch_create(file).finish(tries=1)

    assert sorted(shown) == emails_in_file(count)
    assert f"{count:,} users created." in log
    assert published(served) == 1


@pytest.mark.parametrize("step", [*SMALL, *LARGE])
def test_a_command_that_was_killed_without_its_response_reports_the_result_when_it_runs_again(
    served: Deployment,
    batch_create: Callable[[Path], BatchCreateCommand],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    count = 20 if step in SMALL else 1_200
    file = write_users_file(tmp_path / "users.yaml", count, 5)
    started = SimpleQueue[CommandProcess]()

    def kill() -> None:
        started.get(timeout=120).kill()

    with losing(Loss((SMALL | LARGE)[step], kill), monkeypatch):
        command = batch_create(file).start()
        started.put(command)
        command.wait()

        shown, log = batch_create(file).finish(tries=1)

    assert sorted(shown) == emails_in_file(count)
    done = step in ("create", "publish", "users")
    assert ("already created by batch" in log) == done
    assert published(served) == 1


def test_a_run_whose_result_was_lost_stays_unfinished_while_the_server_is_down(
    configured_server: ServerProcess, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    users = str(write_users_file(tmp_path / "users.yaml", 2, 0))
    command = ("user", "batch-create", "-f", users)
    assert anyscale(*command, "-o", "json", stdout="/dev/full").returncode == 3
    configured_server.stop()

    down = anyscale(*command)

    assert down.returncode == 3
    assert "Run the same command again" in down.stderr
    # Another file is not waiting for anything.
    other = str(write_users_file(tmp_path / "other.yaml", 3, 0))
    assert anyscale("user", "batch-create", "-f", other).returncode == 1


@pytest.mark.parametrize("earlier", ["", "undo", "user delete"])
def test_an_undo_counts_the_accounts_that_a_call_without_a_response_has_deleted(
    served: Deployment,
    anyscale: RunAnyscale,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    earlier: str,
) -> None:
    file = write_users_file(tmp_path / "users.yaml", 3, 0)
    created = anyscale("user", "batch-create", "-f", file)
    assert created.returncode == 0, created.stderr
    (batch,) = json.loads(anyscale("batch", "list", "-o", "json").stdout)
    undo, removed = ["batch", "undo", batch["batch_id"], "--yes", "-o", "json"], 3
    first, second, _ = emails_in_file(3)
    if earlier == "user delete":
        assert anyscale("user", "delete", first, "--yes").returncode == 0
        removed = 2
    elif earlier == "undo":  # it has kept two accounts, of which one is the last owner
        for email in (first, second):
            assert anyscale("user", "set-role", email, "owner").returncode == 0
        assert json.loads(anyscale(*undo).stdout)["removed"] == 1
        undo, removed = [*undo, "--force"], 1
    with losing(Loss(r"POST /v1/batches/\w+/undo"), monkeypatch):
        done = anyscale(*undo)
        again = anyscale(*undo)

    assert (done.returncode, json.loads(done.stdout)["removed"]) == (0, removed), done.stderr
    assert json.loads(again.stdout)["removed"] == 0
