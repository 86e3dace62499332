"""A dump of PostgreSQL and its restore, by the commands of the operator's guide."""

import json
import re
import secrets
from pathlib import Path

from tests.support.commands import RunAnyscale
from tests.support.paths import ROOT
from tests.support.postgres import PostgresServer, with_database
from tests.support.server_process import ServerProcess


def test_a_restored_dump_has_the_accounts_the_tokens_and_the_audit_log(
    postgres_server: PostgresServer,
    stoppable_postgres_url: str,
    tmp_path: Path,
    anyscale: RunAnyscale,
) -> None:
    name = f"restored_{secrets.token_hex(4)}"
    example = ROOT / "examples" / "users.yaml"
    with ServerProcess(stoppable_postgres_url, tmp_path) as server:
        env = {"ANYSCALE_HOST": server.url, "ANYSCALE_CLI_TOKEN": server.token()}
        assert anyscale("user", "batch-create", "-f", example, env=env).returncode == 0
        head = json.loads(anyscale("audit", "verify", "-o", "json", env=env).stdout)["head"]
        database = re.findall(r"/(stoppable_\w+)", stoppable_postgres_url)[0]
        postgres_server.restore(postgres_server.dump(database), name)

    try:
        url = with_database(postgres_server.url, name)
        verified = anyscale("audit", "verify", "--database", url, "--head", head)
        assert f"head: {head}" in verified.stdout, verified.stderr
        with ServerProcess(url, tmp_path) as restored:
            env["ANYSCALE_HOST"] = restored.url
            listed = anyscale("user", "list", "-o", "jsonl", env=env)
            assert len(listed.stdout.splitlines()) == 2, listed.stderr
            assert anyscale("audit", "verify", "--head", head, env=env).returncode == 0
            again = anyscale("user", "batch-create", "-f", example, env=env)
            assert again.returncode == 1
            assert "test1@anyscale.com' has an account already" in again.stderr
    finally:
        postgres_server.execute(f"drop database {name} with (force)")
