"""The audit log of a PostgreSQL database is verified without a server.

`tests/deploy/test_operator_pages.py` backs up and restores one by the commands of the guide.
"""

import json

from tests.support.commands.running import RunAnyscale


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
