"""A backup of SQLite during a batch and its restore, by the commands of the operator's guide."""

import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import Struct
from tests.support.commands.command_of_shells import path_of_shells
from tests.support.commands.command_process import CommandProcess
from tests.support.commands.running import CommandResult, RunAnyscale, start_command
from tests.support.commands.shell import run_shell
from tests.support.faults.pausing import PausingHashes
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import write_flow_users_file

PAGE = ROOT / "docs" / "operations" / "sqlite.md"


def page_command(part: str) -> str:
    """Give the command of the page that contains a text."""
    page = PAGE.read_text(encoding="utf-8")
    commands = [line for line in re.findall(r"^\$ (.*)", page, re.MULTILINE) if part in line]
    assert len(commands) == 1, f"{part}: {commands}"
    return str(commands[0])


def shell(command: str, folder: Path, **environment: str) -> str:
    """Run a command of the page as an operator would."""
    return run_shell(command, folder, os.environ | {"PATH": path_of_shells()} | environment)


def back_up_sqlite(database: Path, folder: Path) -> Path:
    """Copy a database in use, by the commands of the page."""
    shell(page_command("vacuum into"), folder, DB=str(database))
    assert shell(page_command("integrity_check"), folder) == "ok\n"
    return folder / "backup.db"


def restore_sqlite(copy: Path, folder: Path) -> str:
    """Restore a copy in another folder; give the URL of the database."""
    folder.mkdir(mode=0o700)
    shutil.copy(copy, folder / "anyscale.db")
    return f"sqlite:///{folder / 'anyscale.db'}"


#: of the open batch, and those that have a password: more than the first chunks of a run
USERS, PASSWORDS = 1_100, 200


class BackUp(Struct, frozen=True):
    """A backup of a server's database, and what the operator knows about it."""

    copy: Path
    folder: Path
    #: of the server, and of the restored one, since the clients use it again
    port: int
    token: str
    head: str
    #: of the open batch
    users: Path

    def environment(self) -> dict[str, str]:
        host = f"http://127.0.0.1:{self.port}"
        return {"ANYSCALE_HOST": host, "ANYSCALE_CLI_TOKEN": self.token}


def hashes(database: Path) -> dict[str, str]:
    connection = sqlite3.connect(database, timeout=30)
    try:
        found = connection.execute(
            "select email, password_hash from users where password_hash is not null"
        )
        return dict(found.fetchall())
    finally:
        connection.close()


def wait_for(condition: Callable[[], bool], process: CommandProcess) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, "the batch ended too early"
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> BackUp:
    """The backup of a server with two accounts, made during a batch."""
    tmp_path = tmp_path_factory.mktemp("backup")
    database, folder, port = tmp_path / "served" / "anyscale.db", tmp_path / "operator", free_port()
    folder.mkdir()
    server = {"ANYSCALE_DATABASE_URL": f"sqlite:///{database}"}
    token = shell("anyscale server create-token --name jane", folder, **server).strip()
    users = write_flow_users_file(tmp_path / "many.yaml", range(USERS), PASSWORDS, "n")
    backup = BackUp(folder / "backup.db", folder, port, token, "", users)
    environment = backup.environment() | {"HOME": str(folder)}
    (pause := tmp_path / "pause").touch()
    constants = {"anyscale.server.core.batches.service.hash_passwords": PausingHashes(pause)}
    with ServerProcess(server["ANYSCALE_DATABASE_URL"], tmp_path, port=port, constants=constants):
        example = ROOT / "examples" / "users.yaml"
        shell(f"anyscale user batch-create -f {example}", folder, **environment)
        shell(page_command("> backup.head"), folder, **environment)
        client = start_command("user", "batch-create", "-f", backup.users, env=environment)
        try:
            wait_for(lambda: len(hashes(database)) > 0, client)
            back_up_sqlite(database, folder)
            assert client.poll() is None, "the batch ended too early"
        finally:
            client.kill()
    shutil.rmtree(database.parent)
    head = re.findall(r"^head: (\S+)", (folder / "backup.head").read_text(), re.MULTILINE)[0]
    return BackUp(backup.copy, folder, port, token, head, users)


@pytest.fixture
def backup(taken: BackUp, home: Path) -> BackUp:
    """The backup, in a home with the state file of the unfinished run."""
    shutil.copytree(taken.folder, home, dirs_exist_ok=True)
    return taken


def emails(anyscale: RunAnyscale, backup: BackUp) -> list[str]:
    lines = anyscale("user", "list", "-o", "jsonl", env=backup.environment()).stdout.splitlines()
    return [json.loads(line)["email"] for line in lines]


def open_batch(anyscale: RunAnyscale, backup: BackUp) -> str:
    listed = anyscale("batch", "list", "--open", "-o", "json", env=backup.environment())
    (batch,) = json.loads(listed.stdout)
    return str(batch["batch_id"])


def create(anyscale: RunAnyscale, backup: BackUp, **environment: str) -> CommandResult:
    environment = backup.environment() | environment
    return anyscale("user", "batch-create", "-f", backup.users, env=environment)


def test_a_restored_backup_has_the_accounts_and_an_audit_log_that_contains_the_noted_head(
    backup: BackUp, tmp_path: Path, anyscale: RunAnyscale
) -> None:
    url = restore_sqlite(backup.copy, tmp_path / "restored")

    with ServerProcess(url, tmp_path, port=backup.port):
        assert emails(anyscale, backup) == ["test1@anyscale.com", "test2@anyscale.com"]
        checked = shell(page_command("verify --head"), backup.folder, **backup.environment())

    # The log goes on: without its folder, a start creates a second factor key.
    assert "chain: intact" in checked
    assert backup.copy.stat().st_mode & 0o077 == 0


def test_the_audit_log_of_a_backup_is_verified_without_a_server(
    backup: BackUp, tmp_path: Path, anyscale: RunAnyscale
) -> None:
    url = restore_sqlite(backup.copy, tmp_path / "restored")
    number, _, digest = backup.head.partition(":")
    env = {"ANYSCALE_HOST": "http://127.0.0.1:1", "ANYSCALE_CLI_TOKEN": "mrt_unused"}

    def verify(*options: str) -> CommandResult:
        return anyscale("audit", "verify", "--database", url, *options, env=env)

    assert f"head: {backup.head}" in verify("--head", backup.head).stdout
    assert verify("--head", f"{int(number) + 1}:{digest}").returncode == 1
    assert verify("--host", "http://127.0.0.1:1").returncode == 2
    missing = anyscale("audit", "verify", "--database", f"sqlite:///{tmp_path}/none.db", env=env)
    assert missing.returncode not in (0, 2)
    assert not (tmp_path / "none.db").exists()


def test_a_backup_contains_no_token_and_no_password(backup: BackUp) -> None:
    copy = backup.copy.read_bytes()

    assert backup.token.encode() not in copy
    assert backup.token[4:-6].encode() not in copy
    assert b"quvam-dirolt" not in copy


def test_an_open_batch_resumes_after_the_restore(
    backup: BackUp, tmp_path: Path, anyscale: RunAnyscale
) -> None:
    url = restore_sqlite(backup.copy, tmp_path / "restored")
    before = hashes(backup.copy)

    with ServerProcess(url, tmp_path, port=backup.port):
        batch_id = open_batch(anyscale, backup)
        result = create(anyscale, backup)
        assert len(emails(anyscale, backup)) == 2 + USERS

    assert result.returncode == 0, result.stderr
    assert f"Continuing with batch {batch_id}" in result.stderr
    assert 0 < len(before) < PASSWORDS
    assert before.items() <= hashes(tmp_path / "restored" / "anyscale.db").items()


def test_an_open_batch_can_be_dropped_after_the_restore(
    backup: BackUp, tmp_path: Path, anyscale: RunAnyscale
) -> None:
    url = restore_sqlite(backup.copy, tmp_path / "restored")
    elsewhere = {"HOME": str(tmp_path / "another-home")}  # without the state file of the run

    with ServerProcess(url, tmp_path, port=backup.port):
        dropped = anyscale(
            "batch",
            "drop",
            open_batch(anyscale, backup),
            "--yes",
            env=backup.environment() | elsewhere,
        )
        assert dropped.returncode == 0, dropped.stderr
        assert len(emails(anyscale, backup)) == 2
        result = create(anyscale, backup, **elsewhere)

    assert result.returncode == 0, result.stderr
    assert f"{USERS:,} users created." in result.stderr


def test_a_head_that_was_noted_after_the_backup_is_refused(
    backup: BackUp, tmp_path: Path, anyscale: RunAnyscale
) -> None:
    url = restore_sqlite(backup.copy, tmp_path / "restored")
    number, _, digest = backup.head.partition(":")
    later = f"{int(number) + 1}:{digest}"

    with ServerProcess(url, tmp_path, port=backup.port):
        result = anyscale("audit", "verify", "--head", later, env=backup.environment())

    assert result.returncode == 1
    assert f"the audit log does not contain the head {later}" in result.stderr
