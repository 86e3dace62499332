"""`anyscale user batch-create`, from the command line to the created users."""

import json
import re
from pathlib import Path

from tests.support.commands import RunAnyscale
from tests.support.paths import ROOT

USERS = ROOT / "examples" / "users.yaml"


def test_two_users_are_created_and_listed(anyscale: RunAnyscale) -> None:
    result = anyscale("user", "batch-create", "--users-file", USERS)

    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert re.search(r"\(anyscale \+\d+\.\ds\) 2 users created\.\n", result.stderr)
    listed = json.loads(anyscale("user", "list", "-o", "json").stdout)
    assert [user["email"] for user in listed] == ["test1@anyscale.com", "test2@anyscale.com"]


def test_the_same_file_a_second_time_is_refused_by_line_and_column(
    anyscale: RunAnyscale, data: Path
) -> None:
    anyscale("user", "batch-create", "-f", USERS)

    result = anyscale("user", "batch-create", "-f", USERS)

    assert result.returncode == 1
    assert f"{USERS}:3:10: create_users[0].email: 'test1@anyscale.com' has an account already" in (
        result.stderr
    )
    assert not list((data / "runs").iterdir())
