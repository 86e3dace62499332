"""An owner's token creates users; every other token creates nothing, and the audit log has it."""

import json
import socket
import sqlite3
import urllib.request
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands.command_process import CommandProcess
from tests.support.commands.running import CommandResult, RunAnyscale, start_command
from tests.support.servers.server_process import ServerProcess
from tests.support.users_files import write_users_file
from tests.support.waiting import wait_until

#: octets; a server may read fewer, since the buffers of two sockets hold a part
_MOST = 20_000_000


@pytest.fixture
def create(
    anyscale: RunAnyscale, server: ServerProcess, tmp_path: Path
) -> Callable[[str], CommandResult]:
    """Run batch-create with a token."""
    file = write_users_file(tmp_path / "users.yaml", 3, 0)
    return lambda token: anyscale(
        *("user", "batch-create", "-f", file),
        env={"ANYSCALE_HOST": server.url, "ANYSCALE_CLI_TOKEN": token},
    )


def audit_entries(anyscale: RunAnyscale, server: ServerProcess, token: str) -> list[dict[str, Any]]:
    listed = anyscale(
        *("audit", "list", "-o", "jsonl"),
        env={"ANYSCALE_HOST": server.url, "ANYSCALE_CLI_TOKEN": token},
    )
    assert listed.returncode == 0, listed.stderr
    return [json.loads(line) for line in listed.stdout.splitlines()]


def refused(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [
        (entry["actor"], entry["data"]["reason"])
        for entry in entries
        if entry["event"] == "access.denied"
    ]


def test_tokens_without_permission_create_nothing_and_are_in_the_audit_log(
    server: ServerProcess, create: Callable[[str], CommandResult], anyscale: RunAnyscale
) -> None:
    owner = server.token("ann")
    reader = server.token("carl", "reader")
    revoked = server.token("eve")
    server.run("revoke-token", "eve")
    unknown = owner[:-7] + ("A" if owner[-7] != "A" else "B") + owner[-6:]
    message = {
        reader: "token:carl has the role reader, which may not create accounts",
        revoked: "the token 'eve' was revoked: an owner creates a new one in the console, under "
        "Tokens, or the operator by `anyscale server create-token`",
        unknown: "the token was not copied whole",
        "secret": "this is not a musterroll token, which starts with mrt_",
    }
    for token, text in message.items():
        result = create(token)
        assert result.returncode == 1
        assert text in result.stderr
        assert token not in result.stderr

    entries = audit_entries(anyscale, server, owner)
    assert ("token:carl", "not_permitted") in refused(entries)
    assert ("token:eve", "not_authenticated") in refused(entries)
    assert ("anonymous", "not_authenticated") in refused(entries)
    assert not any(entry["event"] == "batch.published" for entry in entries)
    assert create(owner).returncode == 0
    assert audit_entries(anyscale, server, owner)[-1]["actor"] == "token:ann"
    for secret in (owner, reader, revoked):
        assert secret not in server.log.read_text(encoding="utf-8")


def test_a_flood_of_refusals_does_not_fill_the_audit_log(
    server: ServerProcess, anyscale: RunAnyscale
) -> None:
    for _ in range(50):
        with pytest.raises(urllib.request.HTTPError, match="401"):
            urllib.request.urlopen(f"{server.url}/v1/users", timeout=30)
    assert len(refused(audit_entries(anyscale, server, server.token("ann")))) == 1


def test_an_expired_token_creates_nothing(
    tmp_path: Path, create: Callable[[str], CommandResult], server: ServerProcess, database: str
) -> None:
    token = server.run("create-token", "--name", "old", "--expires-days", "1")
    if not database.startswith("sqlite"):
        import psycopg

        with psycopg.connect(database) as connection:
            connection.execute("update tokens set expires_at = 1")
    else:
        with closing(sqlite3.connect(tmp_path / "served" / "anyscale.db")) as file, file:
            file.execute("update tokens set expires_at = 1")
    result = create(token)
    assert result.returncode == 1
    assert "the token 'old' has expired: an owner creates a new one" in result.stderr


def test_tokens_are_listed_with_their_last_use_and_without_their_secret(
    server: ServerProcess, create: Callable[[str], CommandResult]
) -> None:
    token = server.token("ann")
    assert token.startswith("mrt_")
    before = json.loads(server.run("list-tokens", "-o", "json"))
    assert [(t["name"], t["role"], t["used_at"]) for t in before] == [("ann", "owner", None)]
    created = create(token)
    assert created.returncode == 0, created.stderr
    (after,) = json.loads(server.run("list-tokens", "-o", "json"))
    assert after["used_at"] is not None, server.log.read_text(encoding="utf-8")
    assert token not in server.run("list-tokens", "-o", "json")


def test_a_disabled_feature_is_reported_in_the_words_of_the_reference(
    database: str, tmp_path: Path, anyscale: RunAnyscale
) -> None:
    file = write_users_file(tmp_path / "users.yaml", 3, 0)
    with ServerProcess(database, tmp_path, settings={"ANYSCALE_BATCH_CREATE": "off"}) as server:
        env = {"ANYSCALE_HOST": server.url, "ANYSCALE_CLI_TOKEN": server.token()}
        result = anyscale("user", "batch-create", "-f", file, env=env)
        assert result.returncode == 1
        assert "only available on customer-hosted clouds" in result.stderr
        assert anyscale("user", "list", "-o", "json", env=env).stdout == "[]\n"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ANYSCALE_PASSWORD_MIN_LENGTH": "3"}, "ANYSCALE_PASSWORD_MIN_LENGTH must be a whole"),
        ({"ANYSCALE_BATCH_CREATE": "perhaps"}, "ANYSCALE_BATCH_CREATE must be on or off"),
        ({"ANYSCALE_AUDIT_DAYS": "1"}, "ANYSCALE_AUDIT_DAYS must be a whole number from 30"),
        ({"ANYSCALE_PUBLIC_URL": "accounts.example.com"}, "must be like https://accounts.example"),
        ({"ANYSCALE_LINK_DAYS": "31"}, "ANYSCALE_LINK_DAYS must be a whole number from 1 to 30"),
        ({"ANYSCALE_DATABASE_URL": "mysql://x"}, "must be sqlite:///path or postgresql://"),
        (
            {"ANYSCALE_DATABASE_URL": "postgresql://u:pg-secret@127.0.0.1:1/x"},
            "the database x at 127.0.0.1:1",
        ),
    ],
)
def test_a_server_does_not_start_with_a_wrong_setting(
    anyscale: RunAnyscale, settings: dict[str, str], message: str
) -> None:
    result = anyscale("server", "start", "--port", "0", env=settings)
    assert result.returncode in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert "pg-secret" not in result.stderr


def test_a_used_port_is_named(server: ServerProcess, anyscale: RunAnyscale) -> None:
    result = anyscale("server", "start", "--port", str(server.port))
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1] == (
        f"error: cannot listen at 127.0.0.1:{server.port}: Address already in use: "
        "another program listens there: end it, or choose another --port"
    )


def test_a_server_cannot_listen_at_an_address_of_another_machine(anyscale: RunAnyscale) -> None:
    result = anyscale("server", "start", "--host", "192.0.2.1", "--port", "8000")
    assert result.returncode == 2
    assert "it is not an address of this machine: choose another --host" in result.stderr


def test_a_server_of_one_process_needs_no_temporary_folder() -> None:
    server = start_without_temporary_folder(workers=1)
    wait_until(lambda: "Application startup complete" in server.stderr)
    server.terminate()
    assert server.wait() == 0


def test_several_workers_without_a_temporary_folder_are_refused() -> None:
    done = start_without_temporary_folder(workers=2).finish()
    assert done.returncode == 2
    assert "error: several workers need a temporary folder: No such file" in done.stderr


def start_without_temporary_folder(workers: int) -> CommandProcess:
    arguments = ("server", "start", "--port", "0", f"--workers={workers}")
    return start_command(*arguments, constants={"tempfile.tempdir": "/no/such/folder"})


@pytest.fixture
def blank(request: pytest.FixtureRequest, store_kind: str, tmp_path: Path) -> str:
    """The URL of a database without a schema."""
    if store_kind == "sqlite":
        return f"sqlite:////{tmp_path.relative_to('/')}/served/anyscale.db"
    url: str = request.getfixturevalue("blank_postgres_url")
    return url


@pytest.mark.both_stores
@pytest.mark.parametrize("command", [("list-tokens",), ("revoke-token", "jane")])
def test_a_missing_control_plane_is_reported_with_the_command_that_creates_one(
    command: tuple[str, ...], blank: str, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    result = anyscale("server", *command, env={"ANYSCALE_DATABASE_URL": blank})
    assert result.returncode == 1
    assert "there is no control plane yet: `anyscale server create-token`" in result.stderr
    assert not (tmp_path / "served").exists()


def test_the_audit_log_is_verified_against_a_noted_head(
    server: ServerProcess,
    create: Callable[[str], CommandResult],
    anyscale: RunAnyscale,
    database: str,
    tmp_path: Path,
) -> None:
    token = server.token("ann")
    env = {"ANYSCALE_HOST": server.url, "ANYSCALE_CLI_TOKEN": token}
    create(token)
    verified = anyscale("audit", "verify", "-o", "json", env=env)
    result = json.loads(verified.stdout)
    assert (verified.returncode, result["fault"]) == (0, None)
    # On SQLite the first start has created a second factor key.
    assert result["entries"] == (3 if database.startswith("sqlite") else 2)
    again = anyscale("audit", "verify", "--head", result["head"], env=env)
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "chain: intact")
    change = "update audit set actor = 'token:eve' where number = 2"
    if database.startswith("sqlite"):
        with closing(sqlite3.connect(tmp_path / "served" / "anyscale.db")) as file, file:
            file.execute(change)
    else:
        import psycopg

        with psycopg.connect(database) as connection:
            connection.execute(change)
    changed = anyscale("audit", "verify", "--head", result["head"], env=env)
    assert changed.returncode == 1
    assert "entry 2 was changed" in changed.stderr
    assert "intact" not in changed.stdout


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"a: b\r\n" * 10_000),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\na: ", b"b" * 60_000),
        (b"GET /", b"x" * 60_000),
    ],
    ids=["headers", "a header", "an address"],
)
def test_a_request_with_an_endless_head_is_refused(
    server: ServerProcess, start: bytes, more: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(start)
        assert _taken(client, more) < _MOST


def _taken(client: socket.socket, more: bytes) -> int:
    """Count the octets that a server takes before it closes the connection."""
    sent = 0
    with suppress(ConnectionResetError, BrokenPipeError):
        while sent < _MOST:
            client.sendall(more)
            sent += len(more)
    return sent


def test_a_request_with_two_hosts_is_refused(server: ServerProcess) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: one\r\nHost: two\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(request)
        assert client.recv(1000).startswith(b"HTTP/1.1 400")
