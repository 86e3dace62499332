"""A client that creates a batch beside what is measured."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import wait_until

from benchmarks.support.measuring import anyscale


@contextmanager
def hashing(users: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Run a client whose passwords are hashed for the whole block."""
    with _creating(users, environment) as client:
        assert client.stderr is not None
        while b"Hashing" not in client.stderr.readline():
            assert client.poll() is None
        yield
        is_done = client.poll() is not None
        stderr = client.communicate()[1]
    if is_done or client.returncode:
        raise SystemExit(f"the batch was not hashed for the whole time:\n{stderr.decode()}")


@contextmanager
def inserting(
    users: Path, environment: Mapping[str, str], count_chunks: Callable[[], int]
) -> Iterator[None]:
    """Run a client whose users are inserted for the whole block, and end it without the batch."""
    before = count_chunks()
    with _creating(users, environment) as client:
        wait_until(lambda: count_chunks() != before or client.poll() is not None, 600)
        first = count_chunks()
        yield
        is_done = client.poll() is not None or count_chunks() == first
        client.terminate()
        stderr = client.communicate()[1]
    if is_done:
        raise SystemExit(f"users were not inserted for the whole time:\n{stderr.decode()}")


def _creating(users: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        anyscale("user", "batch-create", "-f", users),
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
