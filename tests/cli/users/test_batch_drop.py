"""`anyscale batch drop`: it asks on a terminal, and needs `--yes` without one."""

import json
import os

import pytest
from tests.support.callers import OPERATOR, operator
from tests.support.commands.running import RunAnyscale
from tests.support.commands.terminal import on_a_terminal
from tests.support.servers.server_process import ServerProcess
from tests.support.users import checked_users

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.callers import SystemCaller, system_caller
from anyscale.server.settings import Settings

QUESTION = b"Type yes to continue:"


def open_batch(caller: SystemCaller) -> str:
    """Open a batch that has reserved an email, and return its id."""
    control_plane = ControlPlane(Settings.from_environment(os.environ, served=False))
    batch = control_plane.batches.open(caller, "key", "fail")
    control_plane.batches.reserve(OPERATOR, batch.batch_id, 0, checked_users("ann"))
    control_plane.close()
    return batch.batch_id


def state_of(anyscale: RunAnyscale, batch: str) -> str:
    state: str = json.loads(anyscale("batch", "show", batch, "-o", "json").stdout)["state"]
    return state


@pytest.mark.parametrize(
    ("typed", "status", "end"),
    [
        (b"yes\n", 0, "is dropped."),
        (b"y\n", 2, "error: that is not yes: the batch was not dropped"),
        (b"\n", 2, "error: that is not yes: the batch was not dropped"),
    ],
)
def test_a_batch_is_dropped_after_yes(
    anyscale: RunAnyscale, typed: bytes, status: int, end: str
) -> None:
    batch = open_batch(operator("other"))
    row = json.loads(anyscale("batch", "show", batch, "-o", "json").stdout)
    opened, touched = (row[field][:19].replace("T", " ") for field in ("opened_at", "touched_at"))

    found, shown = on_a_terminal("batch", "drop", batch, typed=typed, when=QUESTION)

    assert (found, end in shown) == (status, True), shown
    origin = f"local:other opened this batch at {opened} UTC; it was last active at {touched} UTC."
    assert origin in shown
    assert state_of(anyscale, batch) == ("open" if status else "dropped")


def test_a_batch_is_dropped_with_yes_and_without_a_question(anyscale: RunAnyscale) -> None:
    batch = open_batch(operator("other"))
    status, shown = on_a_terminal("batch", "drop", batch, "--yes")
    assert (status, "Type yes" in shown) == (0, False), shown
    assert state_of(anyscale, batch) == "dropped"


def test_dropping_needs_yes_without_a_terminal(anyscale: RunAnyscale) -> None:
    batch = open_batch(system_caller())  # also for a batch of the caller
    refused = anyscale("batch", "drop", batch)
    assert (refused.returncode, state_of(anyscale, batch)) == (2, "open")
    assert "use --yes to continue; the batch was not dropped" in refused.stderr


def test_a_server_knows_whose_batch_it_is_by_the_token(
    anyscale: RunAnyscale, configured_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = "create_users: [{name: Ann, email: ann@example.com}]"
    assert anyscale("user", "batch-create", "-f", "-", stdin=users).returncode == 0
    (batch,) = json.loads(anyscale("batch", "list", "-o", "json").stdout)
    for token, is_own in (("", True), (configured_server.token("other"), False)):
        if token:
            monkeypatch.setenv("ANYSCALE_CLI_TOKEN", token)
        shown = anyscale("batch", "show", batch["batch_id"], "-o", "json").stdout
        assert json.loads(shown)["opened_by_caller"] is is_own
