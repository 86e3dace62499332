"""A client that creates a batch, whose passwords the server hashes, beside what is measured."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.support.measuring import anyscale

__all__ = ["hashing"]


@contextmanager
def hashing(users: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Run a client whose passwords are hashed for the whole block."""
    command = anyscale("user", "batch-create", "-f", users)
    with subprocess.Popen(
        command, env=os.environ | environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as client:
        assert client.stderr is not None
        while b"Hashing" not in client.stderr.readline():
            assert client.poll() is None
        yield
        is_done = client.poll() is not None
        stderr = client.communicate()[1]
    if is_done or client.returncode:
        raise SystemExit(f"the batch was not hashed for the whole time:\n{stderr.decode()}")
