"""A lack of memory is no fault of the program: what the server and the command say."""

from pathlib import Path

import pytest
from tests.support.databases.empty_sqlite import cheap_control_plane
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_in_process import serve_in_process

from anyscale.cli.exit_status import exit_status_of
from anyscale.server.settings import Settings


def test_the_server_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    control_plane = cheap_control_plane(Settings(database=tmp_path / "anyscale.db"))

    def fail(_: str) -> None:
        raise MemoryError

    monkeypatch.setattr(control_plane.tokens, "authenticate", fail)
    with serve_in_process(control_plane) as url:
        headers = {"Authorization": "Bearer mrt_x"}
        response = HttpClient(url).request("GET", "/v1/users", headers=headers)
    assert (response.status, response.json["code"]) == (503, "unavailable")
    assert "too little memory" in response.json["detail"]


def test_the_command_names_the_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status_of(MemoryError()) == 3
    assert "there is not enough memory" in capsys.readouterr().err
