"""A dump of PostgreSQL and its restore, by the lines of the operator's guide."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.commands.shell import run_shell
from tests.support.databases.postgres import PostgresServer, with_database
from tests.support.paths import BIN, ROOT
from tests.support.servers.server_process import ServerProcess

PAGE = (ROOT / "docs" / "operations" / "backup.md").read_text(encoding="utf-8")

#: The programs of an installation, for a machine without one: the system users and the service.
PROGRAMS = {
    "runuser": 'shift 4; exec "$@"',
    "musterroll-admin": '. "$SETTINGS"; export ANYSCALE_DATABASE_URL; exec anyscale "$@"',
    "install": 'for folder; do :; done; mkdir -p -m 700 "$folder"',
    "systemctl": 'echo "$*" >> "$SETTINGS.log"',
}


def lines_of(part: str) -> str:
    """Give the commands of a part of the page."""
    section = PAGE.partition("## PostgreSQL")[2].partition(f"**{part}.**")[2]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[:1]
    return str(block)


class Operator:
    """Runs the lines of the page.

    Args:
        folder: in place of the folder of backups, with the file of settings.
        server: the PostgreSQL server.
    """

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.folder = folder
        self.backups = folder / "backups"
        self.settings = folder / "environment"
        programs = folder / "programs"
        programs.mkdir()
        for name, text in PROGRAMS.items():
            (programs / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
            (programs / name).chmod(0o755)
        path = os.pathsep.join((str(programs), str(server.programs), str(BIN), os.environ["PATH"]))
        self._environment = os.environ | {"PATH": path, "SETTINGS": str(self.settings)}
        self._environment |= {"PGHOST": str(server.socket_folder), "PGUSER": "postgres"}

    def run(self, lines: str) -> str:
        lines = lines.replace("/var/backups/musterroll", str(self.backups))
        lines = lines.replace("/etc/musterroll/environment", str(self.settings))
        return run_shell(lines, self.folder, self._environment)


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of the database of the guide, which a role without other rights owns."""
    postgres_server.execute("create role musterroll login")
    postgres_server.execute(
        "create database musterroll owner musterroll encoding 'UTF8' template template0"
    )
    yield with_database(postgres_server.url, "musterroll").replace("postgres@", "musterroll@")
    for name in ("musterroll", "musterroll_restored"):
        postgres_server.execute(f"drop database if exists {name} with (force)")
    postgres_server.execute("drop role musterroll")


def test_a_restored_dump_has_the_accounts_the_tokens_and_the_audit_log(
    postgres_server: PostgresServer, database: str, tmp_path: Path, anyscale: RunAnyscale
) -> None:
    operator = Operator(tmp_path, postgres_server)
    operator.settings.write_text(f"ANYSCALE_DATABASE_URL='{database}'\n", encoding="utf-8")
    example = ROOT / "examples" / "users.yaml"
    with ServerProcess(database, tmp_path) as server:
        env = {"ANYSCALE_HOST": server.url, "ANYSCALE_CLI_TOKEN": server.token()}
        assert anyscale("user", "batch-create", "-f", example, env=env).returncode == 0
        operator.run(lines_of("Back up"))

    checked = operator.run(lines_of("Restore"))

    head = (operator.backups / "backup.head").read_text(encoding="utf-8")
    assert re.search("^head: [0-9]+:", head, re.MULTILINE)
    assert checked == head
    restored_url = with_database(database, "musterroll_restored")
    assert operator.settings.read_text(encoding="utf-8") == (
        f"ANYSCALE_DATABASE_URL='{restored_url}'\n"
    )
    assert Path(f"{operator.settings}.log").read_text() == "stop musterroll\nstart musterroll\n"
    for file in ("backup.head", "musterroll.dump"):
        assert (operator.backups / file).stat().st_mode & 0o077 == 0
    with ServerProcess(restored_url, tmp_path) as restored:
        env["ANYSCALE_HOST"] = restored.url
        listed = anyscale("user", "list", "-o", "jsonl", env=env)
        assert len(listed.stdout.splitlines()) == 2, listed.stderr
        again = anyscale("user", "batch-create", "-f", example, env=env)
        assert again.returncode == 1
        assert "test1@anyscale.com' has an account already" in again.stderr


def test_a_database_of_the_settings_is_verified_without_a_url_on_the_command_line(
    postgres_url: str, anyscale: RunAnyscale
) -> None:
    env = {"ANYSCALE_DATABASE_URL": postgres_url}
    anyscale("server", "create-token", "--name", "jane", env=env)

    verified = anyscale("audit", "verify", "--database", "-o", "json", env=env)

    assert json.loads(verified.stdout)["entries"] == 1, verified.stderr
    refused = anyscale("audit", "verify", env=env)
    assert refused.returncode == 2
    assert "PostgreSQL needs a server" in refused.stderr
