"""The time of a failed login does not reveal whether an account exists."""

import http.client
import json
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.servers.server_process import ServerProcess

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

    there, absent, answers = times_of_refusals(configured_server.port)

    assert len(answers) == 1
    # Compared in pairs, since other work of the machine delays both of a pair.
    ratio = statistics.median(a / b for a, b in zip(there, absent, strict=True))
    assert 0.9 < ratio < 1.1, f"{ratio:.3f}"
    assert abs(rank_score(there, absent)) < 4


def times_of_refusals(port: int) -> tuple[list[float], list[float], set[str]]:
    there: list[float] = []
    absent: list[float] = []
    answers: set[str] = set()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        refused(connection, "warm@example.com")
        for i in range(_COUNT):
            # Alternating, also in which is first, so that noise delays both alike.
            pair = [(there, f"there{i}@example.com"), (absent, f"nobody{i}@example.com")]
            for times, email in pair if i % 2 else reversed(pair):
                seconds, answer = refused(connection, email)
                times.append(seconds)
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


def rank_score(ours: Sequence[float], others: Sequence[float]) -> float:
    """Give the standard score of the rank sum test (Mann and Whitney, 1947).

    Where both samples are of one distribution, it is beyond 4 once in 16,000 times.
    """
    wins = sum((a > b) + (a == b) / 2 for a in ours for b in others)
    n, m = len(ours), len(others)
    return (wins - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def test_the_score_distinguishes_two_distributions() -> None:
    same = [i % 7 + i / 100 for i in range(_COUNT)]
    assert abs(rank_score(same, [value + 0.001 for value in same])) < 4
    assert rank_score([value + 9 for value in same], same) > 4
