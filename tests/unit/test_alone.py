"""The mark `alone` keeps every other test away."""

import fcntl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support import alone
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def _other_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lock other files than this test itself does."""
    for name in ("_FILE", "_FOLDER"):
        (tmp_path / name).touch()
        monkeypatch.setattr(alone, name, tmp_path / name)


@contextmanager
def running(*, is_alone: bool = False) -> Iterator[None]:
    """Run a test, until the block ends."""
    item: Any = SimpleNamespace(get_closest_marker=lambda _: is_alone or None)
    run = alone.pytest_runtest_protocol(item)
    next(run)
    yield
    with pytest.raises(StopIteration):
        run.send(None)


def test_a_test_that_is_alone_waits_for_those_that_run_and_no_other_one_begins() -> None:
    events: list[str] = []
    ends = Event()

    def run(*, is_alone: bool) -> None:
        with running(is_alone=is_alone):
            events.append("alone" if is_alone else "other")
            ends.wait(20 if is_alone else 0)

    with ThreadPoolExecutor(2) as pool:
        with running(), running():
            first = pool.submit(run, is_alone=True)
            wait_until(lambda: is_locked(alone._FOLDER))
            later = pool.submit(run, is_alone=False)
            assert events == []
        wait_until(lambda: events == ["alone"])
        assert not later.done()
        ends.set()
        first.result(30)
        later.result(30)
    assert events == ["alone", "other"]


def is_locked(path: Path) -> bool:
    """Whether a test that waits has locked a file."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
