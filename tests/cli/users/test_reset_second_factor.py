"""`anyscale user reset-second-factor`, and that of the operator."""

import json
import os
from contextlib import closing

import pytest
from tests.store.contract.factors import app_row
from tests.support.commands.running import RunAnyscale

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings

FILE = """create_users:
- {name: Jane, email: jane@example.com}
- {name: Ann, email: ann@example.com}
"""

RESET = ("user", "reset-second-factor", "jane@example.com", "--reason", "lost phone")


@pytest.fixture
def factors(users: None, data: object) -> None:
    """Two factors of Jane."""
    del users, data
    with closing(
        ControlPlane(Settings.from_environment(os.environ, served=False))
    ) as control_plane:
        [jane] = control_plane.users.find(["jane@example.com"])
        assert jane
        with control_plane.store.write() as tx:
            for number in range(2):
                tx.factors.add(app_row(number, jane.user_id))


def without_factor(anyscale: RunAnyscale) -> list[str]:
    listed = anyscale("user", "list", "--without-second-factor", "-o", "json")
    return [user["email"] for user in json.loads(listed.stdout)]


def test_a_lost_factor_is_removed_after_a_yes(factors: None, anyscale: RunAnyscale) -> None:
    assert without_factor(anyscale) == ["ann@example.com"]
    asked = anyscale(*RESET)
    assert (asked.returncode, asked.stderr.count("nothing was removed")) == (2, 1)
    assert without_factor(anyscale) == ["ann@example.com"]
    done = anyscale(*RESET, "--yes")
    assert "2 second factors are removed, and jane@example.com is signed out" in done.stderr
    assert without_factor(anyscale) == ["jane@example.com", "ann@example.com"]
    [entry] = json.loads(
        anyscale("audit", "list", "--event", "factor.removed", "-o", "json").stdout
    )
    assert entry["data"]["reason"] == "lost phone"
    again = anyscale(*RESET, "--yes")
    assert "jane@example.com had no second factor: nothing has changed." in again.stderr


def test_the_operator_needs_no_reason(factors: None, anyscale: RunAnyscale) -> None:
    reset = ("server", "reset-second-factor")
    done = anyscale(*reset, "JANE@example.com")
    assert "2 second factors are removed" in done.stderr
    unknown = anyscale(*reset, "joe@example.com")
    assert (unknown.returncode, unknown.stderr) == (
        1,
        "error: there is no user 'joe@example.com' in this database\n",
    )


@pytest.mark.parametrize("command", ["user", "server"])
def test_a_reason_of_two_lines_is_refused(anyscale: RunAnyscale, command: str) -> None:
    done = anyscale(command, "reset-second-factor", "a@example.com", "--reason", "a\nb")
    assert (done.returncode, done.stderr) == (
        2,
        "error: --reason: the reason has a character that is not text\n",
    )
