"""A home in which runs of one batch are repeated, each from the same state."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.faults.fault_injection import run_under_strace
from tests.support.users_files import write_users_file


class Plan(NamedTuple):
    """A batch, and the state of the data directory before it."""

    users: int
    passwords: int
    #: whether an earlier run was killed after its reservations and before its hashes
    reserved: bool = False
    #: whether strace follows only the main thread, which opens and publishes
    main_only: bool = False


@dataclass(frozen=True)
class PreparedHome:
    """A home at a path that is the same for all tests of a process, emptied for each."""

    home: Path

    @property
    def data(self) -> Path:
        return self.home / "data"

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let commands of this test use the home."""
        monkeypatch.setenv("HOME", str(self.home))
        monkeypatch.setenv("ANYSCALE_DATA_DIR", str(self.data))

    def file(self, plan: Plan) -> Path:
        """Give the users file, always the same one: a new one would be another batch."""
        path = self.home / f"{plan.users}.yaml"
        return path if path.exists() else write_users_file(path, plan.users, plan.passwords)

    def prepare(self, plan: Plan) -> None:
        """Create the state in which the plan starts."""
        shutil.rmtree(self.data, ignore_errors=True)
        if plan.reserved:
            shutil.copytree(self._reserved(plan), self.data)

    def _reserved(self, plan: Plan) -> Path:
        """Give the data directory of a run that was killed when it logged that it hashes."""
        copy = self.home / f"reserved-{plan.users}"
        if not copy.exists():
            kill = ["-f", "-e", "trace=write", "-e", "inject=write:signal=SIGKILL:when=5"]
            log = self.home / "log"
            run_under_strace([*kill, "-o", str(log)], "user", "batch-create", "-f", self.file(plan))
            assert "Hashing" in log.read_text()
            self.data.rename(copy)
        return copy
