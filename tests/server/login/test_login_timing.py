"""The time of a failed login does not reveal whether an account exists."""

import http.client
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.rank_sum import rank_score
from tests.support.servers.server_process import ServerProcess

pytestmark = pytest.mark.alone

#: logins of each kind; together fewer than the limit of one address in ten minutes
_COUNT = 45


@pytest.fixture
def server(database: str, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that hashes with the parameters of production: their time is compared."""
    with ServerProcess(database, tmp_path, real_hashes=True) as server:
        yield server


def test_an_unknown_account_is_refused_in_the_same_time_as_a_known_one(
    configured_server: ServerProcess, anyscale: RunAnyscale, tmp_path: Path
) -> None:
    users = [
        {"name": "Jane", "email": f"there{i}@example.com", "password": "correct horse battery"}
        for i in range(_COUNT)
    ]
    file = tmp_path / "users.json"
    file.write_text(json.dumps({"create_users": users}), encoding="utf-8")
    created = anyscale("user", "batch-create", "-f", str(file))
    assert created.returncode == 0, created.stderr

    there, absent, answers = times_of_refusals(configured_server)

    assert len(answers) == 1
    # In processor time, which other work of the machine does not lengthen.
    ratio = statistics.median(a.processor / b.processor for a, b in zip(there, absent, strict=True))
    assert 0.9 < ratio < 1.1, f"{ratio:.3f}"
    score = rank_score([one.elapsed for one in there], [one.elapsed for one in absent])
    assert abs(score) < 4


class Seconds(NamedTuple):
    """How long a login took."""

    elapsed: float
    processor: float


def times_of_refusals(server: ServerProcess) -> tuple[list[Seconds], list[Seconds], set[str]]:
    there: list[Seconds] = []
    absent: list[Seconds] = []
    answers: set[str] = set()
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        refused(connection, "warm@example.com")
        for i in range(_COUNT):
            # Alternating, also in which is first, so that noise delays both alike.
            pair = [(there, f"there{i}@example.com"), (absent, f"nobody{i}@example.com")]
            for times, email in pair if i % 2 else reversed(pair):
                before = processor_seconds(server.pid)
                elapsed, answer = refused(connection, email)
                times.append(Seconds(elapsed, processor_seconds(server.pid) - before))
                answers.add(answer)
    return there, absent, answers


def refused(connection: http.client.HTTPConnection, email: str) -> tuple[float, str]:
    """Sign in with a wrong password; give the time and the response without its id."""
    body = json.dumps({"email": email, "password": "wrong password"})
    started = time.perf_counter()
    connection.request(
        "POST",
        "/v1/sessions",
        body,
        {"Content-Type": "application/json"},
    )
    answer = connection.getresponse()
    text = answer.read()
    seconds = time.perf_counter() - started
    body = json.loads(text)
    assert answer.status == 401, body
    headers = sorted(name.lower() for name in answer.headers)
    return seconds, json.dumps([body | {"request_id": ""}, headers])


def processor_seconds(pid: int) -> float:
    """Return the time that the threads of a process and of its children have run (proc(5))."""
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    for children in [(thread / "children").read_text("ascii").split() for thread in threads]:
        threads += [one for child in children for one in Path(f"/proc/{child}/task").iterdir()]
    return sum(int((one / "schedstat").read_text("ascii").split()[0]) for one in threads) / 1e9
