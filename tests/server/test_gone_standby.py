"""PostgreSQL without its synchronous standby: writes wait, and reads continue."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg
import pytest
from tests.support.callers import OPERATOR, session_caller
from tests.support.databases.postgres import PostgresServer, with_database
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.users import checked_users
from tests.support.waiting import wait_until

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.settings import Settings


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.remove()


@contextmanager
def without_standby(server: PostgresServer) -> Iterator[None]:
    """Let each durable commit wait for a standby that does not exist."""
    with ThreadPoolExecutor(1) as pool:
        _name_standby(server, "gone")
        try:
            wait_until(lambda: _commit_waits(server, pool))
            yield
        finally:
            _name_standby(server, "")


def _name_standby(server: PostgresServer, name: str) -> None:
    server.execute(f"alter system set synchronous_standby_names = '{name}'")
    server.execute("select pg_reload_conf()")
    # Other connections read it before their next statement once a new one has it.
    wait_until(lambda: _value(server, "show synchronous_standby_names") == name)


def _commit_waits(server: PostgresServer, pool: ThreadPoolExecutor) -> bool:
    """Commit something; return whether that waits, which begins a moment after the setting."""
    commit = pool.submit(server.execute, "comment on schema public is 'changed'")
    waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'"
    wait_until(lambda: commit.done() or _value(server, waiting))
    return not commit.done()


def _value(server: PostgresServer, sql: str) -> object:
    with psycopg.connect(server.url) as connection:
        (value,) = connection.execute(sql).fetchone() or (None,)
    return value


def test_reads_go_on_and_readiness_says_that_writes_wait(own_server: PostgresServer) -> None:
    own_server.execute("create database plain encoding 'UTF8' locale 'C' template template0")
    settings = Settings(database=with_database(own_server.url, "plain"))
    with closing(ControlPlane(settings, profile=CHEAPEST)) as control_plane:
        batch = control_plane.batches.create(OPERATOR, "key", checked_users("jane"), "fail").batch
        [jane] = control_plane.batches.created(batch.batch_id, "", 9)
        session = session_caller(control_plane, jane.user_id)
        token = control_plane.tokens.create(OPERATOR, "laptop", "owner", None)
        with serve_in_process(control_plane) as url, ThreadPoolExecutor(8) as threads:
            client = HttpClient(url)
            assert client.request("GET", "/readyz").json == {"status": "ready"}
            with without_standby(own_server):
                control_plane.sessions.touch(session)
                for number in range(6):  # none is known; each denial is a write that waits
                    bad = {"Authorization": f"Bearer mrt_{number}", "X": "y"}
                    threads.submit(client.request, "GET", "/v1/me", headers=bad)
                    actor = f"user:{number}"
                    threads.submit(control_plane.audit_log.record_denied, actor, "denied", "GET /")
                headers = {"Authorization": f"Bearer {token}"}
                response = client.request("GET", "/v1/users", headers=headers)
                assert [user["email"] for user in response.json["users"]] == [jane.email]
                assert client.request("GET", "/readyz").json == {"status": "writes_wait"}
            assert client.request("GET", "/readyz").json == {"status": "ready"}
