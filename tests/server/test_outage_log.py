"""The log of a server while its database is not available."""

import io
import json
import logging
import time
from pathlib import Path

from tests.support.databases.postgres import PostgresServer
from tests.support.servers.http_client import HttpClient
from tests.support.servers.server_process import ServerProcess

from anyscale.server.logging_config import log_handler


def failures(server: ServerProcess) -> list[tuple[str, str]]:
    """Return what has failed, and why: a connection is first cut, and then refused."""
    lines = [json.loads(line) for line in server.log.read_text(encoding="utf-8").splitlines()]
    return [
        (line["event"], line.get("detail", ""))
        for line in lines
        if line["level"] in ("warning", "error")
    ]


def test_an_outage_of_the_database_is_a_line_of_each_kind_and_not_of_each_request(
    stoppable_postgres_url: str, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    with ServerProcess(stoppable_postgres_url, tmp_path) as server:
        before = failures(server)
        postgres_server.stop()
        client = HttpClient(server.url)
        until = time.monotonic() + 5
        while time.monotonic() < until:
            assert client.request("GET", "/readyz").status == 503
            time.sleep(0.5)
        postgres_server.start()
        during = failures(server)[len(before) :]

    events = [event for event, _ in during]
    assert "store unavailable" in events
    assert len(during) == len(set(during)), during
    assert len(set(events)) <= 4


def test_an_error_that_lasts_is_written_again_after_a_minute_with_its_repetitions() -> None:
    stream = io.StringIO()
    handler = log_handler(stream)
    for seconds, detail in [(0, "a"), (1, "a"), (2, "b"), (59, "a"), (61, "a"), (62, "a")]:
        fields = {"levelno": logging.ERROR, "created": 1000.0 + seconds, "detail": detail}
        handler.handle(logging.makeLogRecord({"msg": "store unavailable"} | fields))

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    found = [(line["detail"], line.get("repetitions")) for line in lines]
    assert found == [("a", None), ("b", None), ("a", 2)]
