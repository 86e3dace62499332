"""The server on a Ray cluster of one node, as docs/operations/ray.md says."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.databases.postgres import PostgresServer, with_database
from tests.support.paths import ANYSCALE
from tests.support.ray.ray_cluster import RayCluster

PASSWORD = "kanarienvogel-1-Zq9"


@pytest.fixture
def cluster(postgres_server: PostgresServer) -> Iterator[RayCluster]:
    postgres_server.execute("create database ray encoding 'UTF8' template template0")
    with RayCluster(with_database(postgres_server.url, "ray"), workers=0).running() as running:
        yield running
    postgres_server.execute("drop database ray with (force)")


def test_a_batch_is_created_on_ray_and_its_user_signs_in(
    cluster: RayCluster, tmp_path: Path
) -> None:
    token = cluster.run([ANYSCALE, "server", "create-token", "--name", "jane"]).stdout.strip()
    file = tmp_path / "users.yaml"
    file.write_text(
        f"create_users:\n- {{name: Ann, email: ann@example.com, password: {PASSWORD}}}\n",
        encoding="utf-8",
    )
    variables = {"ANYSCALE_CLI_TOKEN": token, "HOME": str(tmp_path)}
    created = cluster.command("user", "batch-create", "-f", file, env=variables)
    _, stderr = created.communicate(timeout=120)

    assert created.returncode == 0, stderr
    assert cluster.curl(f"{cluster.url}/v1/users").status == 401
    body = f'{{"email": "ann@example.com", "password": "{PASSWORD}"}}'
    signed_in = cluster.curl(
        f"{cluster.url}/v1/sessions", "-H", "Content-Type: application/json", "--data-binary", body
    )
    assert signed_in.status == 200, signed_in.body
