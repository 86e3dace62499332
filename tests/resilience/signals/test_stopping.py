"""The look at a process that is stopped, while its threads end."""

import subprocess
from pathlib import Path

from tests.support.faults.stopping import are_stopped, stop_process


def test_a_thread_that_has_just_ended_is_no_error() -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            stop_process(process.pid)
            stopped = Path(f"/proc/{process.pid}/task/{process.pid}")
            assert are_stopped([stopped])
            assert not are_stopped([stopped, Path(f"/proc/{ended.pid}")])
        finally:
            process.kill()
