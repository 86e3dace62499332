"""`--output-file`: a secret goes to a new file that only its owner can read, or is revoked."""

import os
import signal
import sqlite3
import stat
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.commands.running import CommandResult, RunAnyscale, run_unread, start_command
from tests.support.faults.fault_injection import run_under_strace
from tests.support.waiting import wait_until

from anyscale.cli import prepare_streams, secret_output
from anyscale.cli.atomic_file import AtomicFile
from anyscale.cli.formats import OutputLost
from anyscale.cli.secret_output import SecretOutput
from anyscale.errors import StoreUnavailable

COMMANDS = {
    "token": ("server", "create-token", "--name", "jane-laptop"),
    "link": ("server", "create-owner", "--email", "jane@example.com"),
}
MAY_EXIST = {
    "token": "token may have been created, and nobody has it: `anyscale server list-tokens` shows",
    "link": "owner may have been created, and nobody has the link: run the same command again",
}
BEGINNINGS = {"token": "mrt_", "link": "https://accounts.example.com/set-password#mrl_"}

Secrets = Callable[[], int]


@pytest.fixture(autouse=True)
def public_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYSCALE_PUBLIC_URL", "https://accounts.example.com")


@pytest.fixture(params=COMMANDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of a secret that the operator creates."""
    return str(request.param)


@pytest.fixture
def valid_secrets(anyscale: RunAnyscale, data: Path, kind: str) -> Secrets:
    """Counts the secrets of the kind that are valid."""
    sql = {
        "token": "select count(*) from tokens where revoked_at is null",
        "link": "select count(*) from links",
    }

    def count() -> int:
        connection = sqlite3.connect(data / "anyscale.db")
        try:
            return int(connection.execute(sql[kind]).fetchone()[0])
        finally:
            connection.close()

    return count


def with_fault(fault: str, kind: str, path: Path, log: Path) -> CommandResult:
    options = ("-f", "-e", "trace=linkat", "-e", f"inject=linkat:{fault}", "-o", str(log))
    return run_under_strace(options, *COMMANDS[kind], "--output-file", path)


def test_a_secret_is_in_a_new_file_that_only_its_owner_can_read(
    kind: str, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    before = os.umask(0)
    try:
        done = anyscale(*COMMANDS[kind], "--output-file", path)
    finally:
        os.umask(before)

    secret = path.read_text()
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert secret.startswith(BEGINNINGS[kind])
    assert secret.count("\n") == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"It is in {path}, which only you can read." in done.stderr
    assert secret.strip() not in done.stderr


@pytest.mark.parametrize("existing", ["file", "link", "folder missing"])
def test_a_path_that_cannot_be_a_new_file_is_refused_before_anything_is_created(
    existing: str, kind: str, anyscale: RunAnyscale, tmp_path: Path, data: Path
) -> None:
    path = tmp_path / "secret"
    if existing == "file":
        path.write_text("the only copy")
    elif existing == "link":
        path.symlink_to(tmp_path / "target")
    else:
        path = tmp_path / "nowhere" / "secret"

    done = anyscale(*COMMANDS[kind], "--output-file", path)

    assert done.returncode == 2
    assert str(path) in done.stderr
    assert not data.exists()
    assert not (tmp_path / "target").exists()
    assert existing != "file" or path.read_text() == "the only copy"


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        ("error=ENOSPC", 1, "secret: No space left on device"),
        ("error=EEXIST", 2, "secret exists by now: name a new file"),
    ],
)
def test_a_secret_that_cannot_be_written_is_revoked_and_its_file_removed(
    fault: str,
    status: int,
    message: str,
    kind: str,
    anyscale: RunAnyscale,
    valid_secrets: Secrets,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()

    failed = with_fault(fault, kind, folder / "secret", tmp_path / "log")

    assert (failed.returncode, message in failed.stderr) == (status, True), failed.stderr
    assert "It could not be written, so it was revoked." in failed.stderr
    assert list(folder.iterdir()) == []
    assert valid_secrets() == 0
    again = anyscale(*COMMANDS[kind], "--output-file", folder / "secret")
    assert again.returncode == 0, again.stderr
    assert valid_secrets() == 1


def test_a_secret_that_standard_output_does_not_take_is_revoked(
    kind: str, anyscale: RunAnyscale, valid_secrets: Secrets
) -> None:
    done = anyscale(*COMMANDS[kind], stdout="/dev/full")

    assert done.returncode == 3
    assert "It could not be written, so it was revoked." in done.stderr
    assert "error: standard output could not be written: No space left" in done.stderr
    assert valid_secrets() == 0


def test_a_new_link_of_an_owner_says_that_it_ends_the_one_before(anyscale: RunAnyscale) -> None:
    message = "The link that this account had no longer works."
    first, second = anyscale(*COMMANDS["link"]), anyscale(*COMMANDS["link"])

    assert message not in first.stderr
    assert message in second.stderr
    assert f"so it was revoked. {message}" in run_unread(*COMMANDS["link"]).stderr


def test_an_interrupt_revokes_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(secret_output, "write_text", stop)
    revoked = []
    with SecretOutput(None, "") as output, pytest.raises(KeyboardInterrupt):
        output.write("mrt_x", revoke=lambda: revoked.append(1))
    assert revoked == [1]


def test_a_file_that_is_kept_survives_a_power_failure_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "secret", list[tuple[int, bool]]()
    monkeypatch.setattr(
        os, "fsync", lambda number: synced.append((os.fstat(number).st_ino, path.exists()))
    )
    with AtomicFile(str(path)) as file:
        file.keep()

    assert synced == [(path.stat().st_ino, False), (tmp_path.stat().st_ino, True)]


def test_an_interrupt_before_a_secret_is_written_says_what_may_exist(
    kind: str, anyscale: RunAnyscale, data: Path
) -> None:
    anyscale("server", "migrate")
    with closing(sqlite3.connect(data / "anyscale.db", isolation_level=None)) as connection:
        connection.execute("begin immediate")
        process = start_command(*COMMANDS[kind])
        wait_until(lambda: "Using" in process.stderr)
        process.send_signal(signal.SIGINT)
        stopped = process.finish()

    assert stopped.returncode == 130
    assert f"interrupted: the {MAY_EXIST[kind]}" in stopped.stderr


def test_a_secret_that_nobody_reads_is_revoked(kind: str, valid_secrets: Secrets) -> None:
    done = run_unread(*COMMANDS[kind])

    assert done.returncode == 3
    assert "It could not be written, so it was revoked." in done.stderr
    assert "error: standard output could not be written: nothing reads it" in done.stderr
    assert valid_secrets() == 0


def test_a_secret_for_a_standard_output_that_the_shell_has_closed_is_revoked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    prepare_streams()
    revoked = []
    with SecretOutput(None, "") as output, pytest.raises(OutputLost, match="nothing reads it"):
        output.write("mrt_x", revoke=lambda: revoked.append(1))
    sys.stdout.close()
    assert revoked == [1]


@pytest.mark.parametrize(
    ("options", "works"), [([], "works for an hour"), (["--now"], "has stopped working")]
)
def test_a_rotated_secret_that_is_lost_says_what_works(
    options: list[str], works: str, anyscale: RunAnyscale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANYSCALE_HOST", "embedded")
    redirect = ["--redirect-uri", "https://hub.example.com/callback"]
    created = anyscale("application", "create", "--name", "Hub", *redirect)
    client_id = created.stdout.split()[0].removeprefix("client_id=")

    done = run_unread("application", "rotate-secret", client_id, *options)

    assert done.returncode == 3
    assert (
        f"It could not be written, and nobody has it. The former secret of {client_id} {works}. "
        "Run the command again at once."
    ) in done.stderr


def test_a_secret_that_could_not_be_revoked_either_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(secret_output, "write_text", fail)
    with SecretOutput(None, "") as output, pytest.raises(StoreUnavailable):
        output.write("mrt_x", revoke=fail)
    assert "revoking it failed: the disk is full" in capsys.readouterr().err
