"""The file that stores the state of a run, and its lock."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from anyscale.cli.user.resume_file import ResumeFile, is_abandoned


def test_an_abandoned_run_is_noticed_in_a_home_on_nfs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def lock_on_nfs(descriptor: int, operation: int) -> None:
        """As NFS since Linux 2.6.12: see flock(2)."""
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
        if operation & fcntl.LOCK_EX and mode == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        lock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", lock_on_nfs)
    folder = tmp_path / "runs"
    run = ResumeFile(folder, "https://a.example.com", "users.yaml")
    run.start_new((1, 1), "fail")
    run.store_batch("bat_1")
    with is_abandoned(folder, "bat_1") as abandoned:
        assert not abandoned
    run.close()
    with is_abandoned(folder, "bat_1") as abandoned:
        assert abandoned
