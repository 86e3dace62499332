"""The server on a Ray cluster: rolling update, autoscaling, a killed node, where passwords go.

One cluster of three nodes serves all tests of this module. It is started as docs/operations/ray.md
says, with `deploy/ray/serve.yaml`.
"""

import json
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.databases.postgres import PostgresServer, with_database
from tests.support.hashing import passwords_that_take
from tests.support.paths import ANYSCALE
from tests.support.ray.ray_cluster import RAY, RayCluster
from tests.support.waiting import wait_until

#: seconds for which all cores hash the passwords of a batch: a node is killed in this time
HASHING_SECONDS = 2

USERS_WITHOUT_PASSWORD = 1_700

CANARY = re.compile(rb"kanarienvogel-\d+-Zq9")

#: Sizes of bodies in KiB: Ray copies messages of 100 KiB and more to its object store by default.
SIZES = (1, 90, 150, 1024, 8192)

#: what the dashboard and the command `ray list` know
STATE = (
    "/api/serve/applications/",
    "/api/v0/actors?detail=1",
    "/api/v0/tasks?detail=1",
    "/api/v0/objects?detail=1",
    "/api/v0/workers?detail=1",
    "/api/v0/runtime_envs?detail=1",
    "/api/v0/nodes?detail=1",
    "/nodes?view=summary",
)


class Client:
    """The client of an administrator, in the namespace of a cluster.

    Args:
        cluster: to which it sends its requests.
        url: of the cluster's database.
        folder: for its files.
        cleanup: kills what a failed test leaves running.
    """

    def __init__(self, cluster: RayCluster, url: str, folder: Path, cleanup: ExitStack) -> None:
        self.cluster = cluster
        self._url = url
        self._folder = folder
        self._cleanup = cleanup
        created = cluster.run([ANYSCALE, "server", "create-token", "--name", "jane"])
        created.check_returncode()
        self._token = created.stdout.strip()
        self._header = folder / "header"
        self._header.write_text(f"Authorization: Bearer {self._token}\n", encoding="ascii")
        #: how many users of a batch have a password, and how many users it has
        self.passwords = passwords_that_take(HASHING_SECONDS * len(os.sched_getaffinity(0)))
        self.users = USERS_WITHOUT_PASSWORD + self.passwords

    def start_batch(self, name: str) -> subprocess.Popen[str]:
        """Start `batch-create`; the passwords of some users are canaries."""
        entries = (
            f"- {{name: N{i}, email: {name}{i}@example.com"
            + (f", password: kanarienvogel-{i}-Zq9" if i < self.passwords else "")
            + "}\n"
            for i in range(self.users)
        )
        file = self._folder / f"{name}.yaml"
        file.write_text("create_users:\n" + "".join(entries), encoding="utf-8")
        variables = {"ANYSCALE_CLI_TOKEN": self._token, "HOME": str(self._folder)}
        process = self.cluster.command(
            "user", "batch-create", "-o", "jsonl", "-f", file, env=variables
        )
        self._cleanup.callback(process.communicate)
        self._cleanup.callback(process.kill)
        return process

    def count(self, name: str, condition: str = "true") -> int:
        """Count the stored users of a batch that meet a condition."""
        sql = f"select count(*) from users where email_key like %s and {condition}"
        ((count,),) = self._query(sql, f"{name}%")
        return int(count)

    def states(self, name: str) -> set[str]:
        """List the states of the batches that have its users."""
        sql = (
            "select state from batches join users on users.batch = batches.id"
            " where email_key like %s"
        )
        return {state for (state,) in self._query(sql, f"{name}%")}

    def _query(self, sql: str, *values: object) -> list[Any]:
        with psycopg.connect(self._url) as connection:
            return connection.execute(sql, values).fetchall()

    def post(self, port: int, path: str, body: Path, *options: str) -> int:
        """Send a request with a body, with options of curl; give the status of the response."""
        return self.cluster.curl(
            f"http://127.0.0.1:{port}{path}",
            *("-H", f"@{self._header}", "-H", "Content-Type: application/json"),
            *("--data-binary", f"@{body}", *options),
        ).status

    def _padded(self, name: str, content: dict[str, Any], kib: int) -> Path:
        """Write a body of a size to a file."""
        body = self._folder / f"{name}.json"
        text = json.dumps(content)
        body.write_text(text + " " * (kib * 1024 - len(text)), encoding="ascii")
        return body

    def create_padded_user(self, port: int, kib: int) -> int:
        """Create a user with a canary by a body of a size; give the status of the response."""
        user = {
            "name": "Padded",
            "email": f"padded{port}-{kib}@example.com",
            "password": f"kanarienvogel-{kib}-Zq9",
        }
        body = self._padded("padded", {"create_users": [user]}, kib)
        return self.post(port, "/v1/users:batchCreate", body)

    @contextmanager
    def requests_in_progress(self, count: int) -> Iterator[list[int]]:
        """Keep so many requests in progress during the block; give the statuses of the responses.

        Each takes 3 seconds, since curl sends 64 KiB at once and the rest of the body later. So a
        replica that stops has requests to complete after the 2 seconds for which HAProxy may
        still send it new ones.
        """
        body = self._padded(f"slow{count}", {"emails": ["jane@example.com"]}, 65)
        statuses: list[int] = []
        ended = threading.Event()

        def send() -> None:
            while not ended.is_set():
                statuses.append(
                    self.post(self.cluster.port, "/v1/users:find", body, "--limit-rate", "20k")
                )

        with ThreadPoolExecutor(count) as threads:
            running = [threads.submit(send) for _ in range(count)]
            try:
                yield statuses
            finally:
                ended.set()
        for future in running:
            future.result()


@pytest.fixture(scope="module")
def client(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """A client of a new cluster."""
    postgres_server.execute("create database ray encoding 'UTF8' template template0")
    url = with_database(postgres_server.url, "ray")
    with RayCluster(url).running() as cluster, ExitStack() as cleanup:
        yield Client(cluster, url, tmp_path_factory.mktemp("client"), cleanup)
    postgres_server.execute("drop database ray with (force)")


def test_ray_needs_its_token_and_the_server_one_of_its_own(client: Client) -> None:
    cluster = client.cluster
    without_token = {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN_PATH": ""}

    assert cluster.curl(f"{cluster.url}/readyz").status == 200
    assert cluster.curl(f"{cluster.url}/v1/users").status == 401
    assert cluster.dashboard(STATE[0]).status == 200
    assert {cluster.dashboard(path, token=False).status for path in STATE} == {401}
    refused = cluster.run([str(RAY / "ray"), "status"], without_token)
    assert refused.returncode != 0
    assert "InvalidAuthToken" in refused.stderr


def test_a_batch_and_a_client_survive_a_rolling_update(client: Client) -> None:
    cluster = client.cluster
    before = set(cluster.replicas())
    process = client.start_batch("rolled")
    cluster.deploy({"ANYSCALE_LINK_DAYS": "3"})
    assert process.poll() is None
    statuses = []

    def is_rolled() -> bool:
        statuses.append(cluster.curl(f"{cluster.url}/readyz").status)
        return len(after := set(cluster.replicas())) == 2 and not after & before

    wait_until(is_rolled, 120)
    stdout, stderr = process.communicate(timeout=120)

    assert process.returncode == 0, stderr
    assert len(stdout.splitlines()) >= client.users
    # Ray's proxy may answer for a replica that stops: the client repeats such a request.
    assert set(statuses) <= {200, 500, 503}
    assert statuses[-1] == 200
    assert client.count("rolled") == client.users
    assert client.states("rolled") == {"published"}


def bodies_in(content: bytes) -> set[bytes]:
    return set(CANARY.findall(content))


def files_below(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield path


def object_stores() -> Iterator[bytes]:
    """Give the content of each object store: files that only processes of Ray have open."""
    seen = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # the process has ended, or is of another user
            if "plasma" in (target := str(link.readlink())) and target not in seen:
                with link.open("rb") as file:
                    seen.add(target)
                    yield file.read()


def test_no_password_is_in_the_files_the_object_stores_or_the_dashboard_of_ray(
    client: Client,
) -> None:
    cluster = client.cluster
    process = client.start_batch("kept")
    # The second port is of Ray's own proxy, which HAProxy uses while it reaches no replica.
    for port in (cluster.port, cluster.fallback_port):
        for kib in SIZES:
            assert client.create_padded_user(port, kib) == 200
        # A path is in no log, because it may contain an email.
        assert cluster.curl(f"http://127.0.0.1:{port}/v1/kanarienvogel-0-Zq9").status == 404
    _, stderr = process.communicate(timeout=180)

    assert process.returncode == 0, stderr
    files = list(files_below(cluster.folder))
    assert {"gcs_server.out", "raylet.out", "haproxy.cfg"} <= {path.name for path in files}
    assert [path for path in files if bodies_in(path.read_bytes())] == []
    (haproxy,) = (path.read_text("utf-8") for path in files if path.name == "haproxy.cfg")
    assert not re.search(r"^ *log [\d.]+:", haproxy, re.MULTILINE), "paths are sent to syslog"
    stores = list(object_stores())
    assert len(stores) >= 3
    assert [bodies_in(content) for content in stores if bodies_in(content)] == []
    for path in STATE:
        response = cluster.dashboard(path)
        assert response.status == 200, path
        assert not bodies_in(response.body.encode()), path


def test_replicas_follow_the_requests_in_progress_and_no_request_fails(client: Client) -> None:
    cluster = client.cluster
    with client.requests_in_progress(4) as few:
        with client.requests_in_progress(7) as more:
            cluster.add_node()
            cluster.wait_for_replicas(3)
        cluster.wait_for_replicas(2)

    assert len(few) >= 4
    assert set(few) | set(more) == {200}


def hosts_of(addresses: list[str]) -> set[str]:
    return {address.partition(":")[0] for address in addresses}


def test_a_batch_survives_the_death_of_a_node_whole_and_a_free_node_replaces_it(
    client: Client,
) -> None:
    cluster = client.cluster
    hosts = hosts_of(cluster.targets())
    if len(hosts) == len(cluster.nodes) - 1:  # each has a replica, except the head
        cluster.add_node()
    node = next(node for node in cluster.nodes if node.address in hosts)
    process = client.start_batch("killed")
    hashed = 0

    def is_killed() -> bool:
        nonlocal hashed
        assert process.poll() is None, process.communicate()
        hashed = client.count("killed", "password_hash is not null")
        return hashed >= 20 and node.kill_if_hashing()

    wait_until(is_killed, 120)
    states = client.states("killed")
    stdout, stderr = process.communicate(timeout=180)

    assert 20 <= hashed < client.passwords
    assert states == {"open"}
    assert process.returncode == 0, stderr
    assert "Trying again" in stderr
    assert len(set(re.findall(r"killed\d+@example\.com", stdout))) == client.users
    assert client.count("killed") == client.users
    assert client.count("killed", "password_hash is not null") == client.passwords
    assert client.states("killed") == {"published"}
    wait_until(lambda: node.address not in hosts_of(cluster.targets()), 60)
    cluster.wait_for_replicas(2)
