"""The mark `alone`, of a test that measures time, or floods a server: no other test runs beside it.

Such tests come last. The others of a run, in its other processes, wait for them.
"""

import fcntl
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

#: A test locks the file while it runs. It first locks the folder, so that those which share the
#: file do not overtake the one that waits to have it alone.
_FILE, _FOLDER = Path(__file__), Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line("markers", "alone: no other test runs beside it")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests with the mark last."""
    items.sort(key=_is_alone)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test while no test with the mark runs in another process, or no test at all."""
    with _locked(_FOLDER, fcntl.LOCK_EX) as folder, _locked(_FILE, _lock_of(item)):
        fcntl.flock(folder, fcntl.LOCK_UN)
        return (yield)


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


def _lock_of(item: pytest.Item) -> int:
    return fcntl.LOCK_EX if _is_alone(item) else fcntl.LOCK_SH


@contextmanager
def _locked(path: Path, lock: int) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, lock)
        yield descriptor
        # A process that a test has forked still has the descriptor.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
