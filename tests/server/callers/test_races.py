"""Calls race with the end of their permission, at random moments.

`RACES=4400 ./dev test -rP tests/server/callers/test_races.py` runs 200 races of each call with each
way in which a permission ends, on each store, and prints how they ended.
"""

import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from tests.server.callers.calls import CALLS, ENDS, OWNER_CALLS, new_owner

from anyscale.errors import NotAuthenticated, NotPermitted
from anyscale.errors.second_factor import PasskeyRefused
from anyscale.server.control_plane import ControlPlane
from anyscale.server.store.transaction import Transaction

pytestmark = pytest.mark.both_stores

RACES = int(os.environ.get("RACES", "6"))

#: seconds for which each of the two calls waits at most, at random, before it starts
JITTER = 0.004


class Run:
    """A call in a thread of its own, with the moments of its transactions."""

    def __init__(self) -> None:
        self.commits: list[int] = []
        self.is_refused = False
        self.ended = 0


class Racecourse:
    """Runs races on a control control_plane, and notes the order of the transactions."""

    def __init__(self, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
        self._plane = control_plane
        self._moments = itertools.count(1)
        self._runs: dict[int, Run] = {}
        self._write = control_plane.store.write
        monkeypatch.setattr(control_plane.store, "write", self._noted)

    def race(self, name: str, way: str) -> str:
        """Run a call while its permission ends; return `done`, `refused` or `violation`."""
        end = ENDS[way]
        caller = end.caller(self._plane, new_owner(self._plane))
        call, end_permission = CALLS[name](self._plane, caller), end.prepare(self._plane, caller)
        start = threading.Barrier(2)
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(self._run, one, start) for one in (call, end_permission)]
        calling, ending = (future.result() for future in futures)
        if ending.is_refused:  # the call itself has signed the user out
            return "done"
        if self._is_violation(name, calling, ending):
            return "violation"
        return "refused" if calling.is_refused else "done"

    def _is_violation(self, name: str, call: Run, end: Run) -> bool:
        if name == "batches.drop":  # the later transactions delete the rows of a dropped batch
            del call.commits[1:]
        return any(commit > end.commits[-1] for commit in call.commits)

    def _run(self, call: Callable[[], object], start: threading.Barrier) -> Run:
        run = self._runs[threading.get_ident()] = Run()
        start.wait(30)
        time.sleep(random.uniform(0, JITTER))
        try:
            call()
        except (NotAuthenticated, NotPermitted, PasskeyRefused):  # which a deleted user has lost
            run.is_refused = True
        run.ended = next(self._moments)
        del self._runs[threading.get_ident()]
        return run

    @contextmanager
    def _noted(self, **options: Any) -> Iterator[Transaction]:
        run = self._runs.get(threading.get_ident(), Run())
        with self._write(**options) as tx:
            yield tx
            # Transactions that exclude each other are noted here in the order of their commits.
            run.commits.append(next(self._moments))


@pytest.mark.parametrize("way", ENDS)
def test_no_call_writes_after_its_permission_ended(
    shared_control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    course = Racecourse(shared_control_plane, monkeypatch)
    calls = [name for name in CALLS if name in OWNER_CALLS or "token" not in way]
    random.shuffle(calls)
    outcomes = Counter[str]()
    violations = Counter[str]()
    for name in itertools.islice(itertools.cycle(calls), RACES):
        outcome = course.race(name, way)
        outcomes[outcome] += 1
        violations[name] += outcome == "violation"
    print(f"{way}: {dict(outcomes)}")  # noqa: T201 - for runs of many races
    assert violations.total() == 0, violations
