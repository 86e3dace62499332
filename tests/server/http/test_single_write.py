"""How the octets of an answer go out."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.http_client import Visitor
from tests.support.server_in_process import serving

from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.main import ControlPlane, Settings


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Visitor]:
    plane = ControlPlane(Settings(database=tmp_path / "anyscale.db"), profile=CHEAPEST)
    with serving(plane) as url:
        yield Visitor(url)


def connected(visitor: Visitor) -> socket.socket:
    host, _, port = visitor.host.partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def get(path: str, visitor: Visitor, more: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {visitor.host}\r\n{more}\r\n".encode()


def test_a_long_answer_comes_whole(visitor: Visitor) -> None:
    with closing(connected(visitor)) as client:
        client.sendall(get("/openapi.json", visitor, "Connection: close\r\n"))
        _, _, body = client.makefile("rb").read().partition(b"\r\n\r\n")
    assert len(body) > 65_536
    assert json.loads(body)["openapi"]


def test_answers_to_requests_that_came_together_come_in_their_order(visitor: Visitor) -> None:
    with closing(connected(visitor)) as client:
        asked = get("/healthz", visitor) + get("/nowhere", visitor)
        client.sendall(asked + get("/healthz", visitor, "Connection: close\r\n"))
        said = client.makefile("rb").read()
    lines = [line for line in said.split(b"\n") if b"HTTP/1.1 " in line]
    assert [line.partition(b"HTTP/1.1 ")[2][:3] for line in lines] == [b"200", b"404", b"200"]
