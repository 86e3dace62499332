"""Responses arrive whole and in order."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.settings import Settings


@pytest.fixture
def client(tmp_path: Path) -> Iterator[HttpClient]:
    control_plane = ControlPlane(Settings(database=tmp_path / "anyscale.db"), profile=CHEAPEST)
    with serve_in_process(control_plane) as url:
        yield HttpClient(url)


def connected(client: HttpClient) -> socket.socket:
    host, _, port = client.host.partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def get(path: str, client: HttpClient, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {client.host}\r\n{more}\r\n".encode()


def test_a_long_response_arrives_whole(client: HttpClient) -> None:
    with closing(connected(client)) as connection:
        connection.sendall(get("/openapi.json", client, "Connection: close\r\n"))
        _, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert len(body) > 65_536
    assert json.loads(body)["openapi"]


def test_responses_to_pipelined_requests_arrive_in_order(client: HttpClient) -> None:
    with closing(connected(client)) as connection:
        requests = get("/healthz", client) + get("/nowhere", client)
        connection.sendall(requests + get("/healthz", client, "Connection: close\r\n"))
        responses = connection.makefile("rb").read()
    lines = [line for line in responses.split(b"\n") if b"HTTP/1.1 " in line]
    assert [line.partition(b"HTTP/1.1 ")[2][:3] for line in lines] == [b"200", b"404", b"200"]
