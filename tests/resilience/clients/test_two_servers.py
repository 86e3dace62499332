"""Two servers on one SQLite file, and commands beside them: nothing is lost, and a log says so."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.commands.running import RunAnyscale
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import write_users_file

WARNING = "another server has this database: use PostgreSQL for several servers"


def warnings(server: ServerProcess) -> list[str]:
    """Return the databases that the warnings of a server name."""
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    return [line["database"] for line in lines if line["event"] == WARNING]


def test_a_second_server_on_a_sqlite_file_warns_and_loses_nothing(
    anyscale: RunAnyscale, tmp_path: Path
) -> None:
    database = tmp_path / "anyscale.db"
    url = f"sqlite:////{database.relative_to('/')}"
    with ServerProcess(url, tmp_path) as first, ServerProcess(url, tmp_path, workers=2) as second:
        assert warnings(first) == []
        assert warnings(second) == [str(database)]
        token = first.token()
        served = [
            {"ANYSCALE_HOST": server.url, "ANYSCALE_CLI_TOKEN": token} for server in (first, second)
        ]
        environments = [*served, {"ANYSCALE_DATABASE_URL": url}]

        def create(number: int) -> str:
            file = write_users_file(tmp_path / f"{number}.yaml", 1_100, 0, prefix=f"run{number}")
            run = anyscale("user", "batch-create", "-f", file, env=environments[number])
            return run.stderr

        with ThreadPoolExecutor(3) as pool:
            for shown in pool.map(create, range(3)):
                assert "1,100 users created." in shown
        for environment in environments:
            listed = anyscale("user", "list", "-o", "jsonl", env=environment).stdout
            assert len(listed.splitlines()) == 3_300
            assert "intact" in anyscale("audit", "verify", env=environment).stdout
        assert first.stop() == 0
        with ServerProcess(url, tmp_path) as third:
            assert warnings(third) == [str(database)]  # the second one is still there
    with ServerProcess(url, tmp_path) as last:
        assert warnings(last) == []
    assert (tmp_path / "anyscale.db-server").stat().st_mode & 0o777 == 0o600
