"""Log lines of a request have its id and its actor, in every thread."""

import json
import logging
import socket
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from tests.support.callers import OPERATOR
from tests.support.servers.control_planes import new_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process
from tests.support.waiting import wait_until

from anyscale.domain.schemas.users import UserPage
from anyscale.server.control_plane import ControlPlane
from anyscale.server.http.openid.refusal_log import log_refusal
from anyscale.server.logging_config import log_handler

_log = logging.getLogger("anyscale.server")


@pytest.fixture
def log() -> Iterator[StringIO]:
    """The log of the server."""
    stream, level = StringIO(), _log.level
    handler = log_handler(stream)
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    yield stream
    _log.removeHandler(handler)
    _log.setLevel(level)


@pytest.fixture
def control_plane(tmp_path: Path) -> ControlPlane:
    return new_control_plane(tmp_path)


def lines_of(log: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_an_address_of_a_visitor_reaches_a_terminal_escaped(log: StringIO) -> None:
    """C1 controls as terminals understand them, and what changes the direction of a text."""
    address = "https://jos\u00e9.example/\x7f\x9b31m\x85\u2028\u202e\u2066"
    log_refusal("invalid_request", address=address)
    line = log.getvalue().removesuffix("\n")
    assert line.isprintable()
    assert "jos\u00e9" in line
    assert json.loads(line)["redirect_uri"] == address


def test_a_line_of_a_worker_thread_has_the_id_of_its_request(
    control_plane: ControlPlane, log: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = control_plane.tokens.create(OPERATOR, "jane", "owner", None)

    def page(*_: object) -> UserPage:
        _log.warning("in a thread")
        return UserPage([], None)

    monkeypatch.setattr(control_plane.listing, "page", page)

    with serve_in_process(control_plane) as url:
        for number in range(2):
            headers = {"Authorization": f"Bearer {token}", "X-Request-Id": f"request-{number}"}
            assert HttpClient(url).request("GET", "/v1/users", headers=headers).status == 200

    found = [(one["event"], one.get("request_id"), one.get("actor")) for one in lines_of(log)]
    for number in range(2):
        assert ("in a thread", f"request-{number}", "token:jane") in found
        assert ("request", f"request-{number}", "token:jane") in found


def test_a_line_has_the_fields_that_the_documents_name(
    control_plane: ControlPlane, log: StringIO
) -> None:
    with serve_in_process(control_plane) as url:
        response = HttpClient(url).request("GET", "/v1/users")
        assert response.status == 401

    (line,) = [one for one in lines_of(log) if one["event"] == "request"]
    assert set(line) == {
        *("time", "level", "event", "process"),
        *("method", "route", "status", "milliseconds", "request_id", "actor"),
    }
    assert line["request_id"] == response.headers["X-Request-Id"] == response.json["request_id"]
    assert (line["level"], line["status"], line["actor"]) == ("info", 401, None)
    assert line["time"].endswith("Z")


def test_a_line_outside_of_a_request_has_no_id_and_no_traceback(log: StringIO) -> None:
    try:
        int("jane@example.com")
    except ValueError:
        _log.exception("it failed: %s", "Zoë", stack_info=True, extra={"code": "internal"})

    (line,) = lines_of(log)
    assert set(line) == {"time", "level", "event", "process", "code"}
    assert (line["level"], line["event"]) == ("error", "it failed: Zoë")
    assert "Zoë" in log.getvalue()


@pytest.mark.parametrize(
    "rest",
    [b"Content-Length: 9\r\n\r\nab", b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n"],
    ids=["half a body", "a broken chunk"],
)
def test_a_body_that_does_not_arrive_whole_is_no_fault_of_the_server(
    control_plane: ControlPlane, log: StringIO, rest: bytes
) -> None:
    with serve_in_process(control_plane) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), 30) as connection:
            connection.sendall(b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\n" + rest)
        wait_until(lambda: any(line["event"] == "request" for line in lines_of(log)))

    (line,) = [one for one in lines_of(log) if one["event"] == "request"]
    assert (line["route"], line["status"]) == ("/sign-in", 400)


def test_a_broken_chunk_of_a_request_that_is_refused_unread_is_no_fault_of_the_server(
    control_plane: ControlPlane, log: StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST /v1/users HTTP/1.1\r\nHost: other.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    with serve_in_process(control_plane) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), 30) as connection:
            connection.sendall(head + b"zz\r\n")
            while connection.recv(4096):
                pass
        wait_until(lambda: any(line["event"] == "request" for line in lines_of(log)))

    assert "Exception in ASGI application" not in caplog.text
    assert [line for line in lines_of(log) if line["level"] == "error"] == []
