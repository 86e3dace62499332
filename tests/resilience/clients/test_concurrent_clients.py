"""8 clients at once with overlapping files: each email is created once."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from tests.support.commands.running import RunAnyscale, start_command
from tests.support.servers.server_process import ServerProcess

CLIENTS = 8


def files(folder: Path, users: int) -> list[Path]:
    """Write files that share about half of their users with other files."""
    random = Random(1)
    paths = []
    for at in range(CLIENTS):
        numbers = random.sample(range(users * 4), users)
        lines = ["create_users:"]
        for number in numbers:
            lines += [f"- name: Name {at}", f"  email: user{number}@example.com"]
        path = folder / f"users-{at}.yaml"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


@pytest.mark.both_stores
@pytest.mark.parametrize("if_exists", ["fail", "skip"])
def test_eight_clients_at_once_create_each_email_once(
    configured_server: ServerProcess,
    anyscale: RunAnyscale,
    tmp_path: Path,
    pytestconfig: pytest.Config,
    count_accounts: Callable[[], int],
    if_exists: str,
) -> None:
    users = pytestconfig.getoption("--crowd-users")
    options = ("-o", "json", "--if-exists", if_exists)
    processes = [
        start_command("user", "batch-create", "-f", file, *options)
        for file in files(tmp_path, users)
    ]
    ends = [process.finish(400) for process in processes]

    created: list[str] = []
    for end in ends:
        assert "deadlock" not in end.stderr.lower()
        assert end.returncode in (0, 1), end.stderr
        assert end.stdout, end.stderr
        output = json.loads(end.stdout)
        if end.returncode == 0:
            created += [user["email"] for user in output]
        else:
            assert {problem["code"] for problem in output["problems"]} <= {
                "email_exists",
                "email_reserved",
            }
    assert sum(end.returncode == 0 for end in ends) >= 1
    if if_exists == "skip":
        assert all(end.returncode == 0 for end in ends)
    assert len(created) == len(set(created)) == count_accounts()
