"""A signal between the creation of the users and the last instruction of the process.

`--signal-tries 200` makes a longer run.
"""

import itertools
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.support.commands.running import RunAnyscale
from tests.support.paths import ANYSCALE
from tests.support.users_files import write_flow_users_file

#: seconds from "users created." to the end of the process, and a little more
LAST = 0.06

SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


def signalled_after_creation(users: Path, number: int, delay: float) -> tuple[int, str]:
    """Run the installed command, whose interpreter ends as in production."""
    with subprocess.Popen(
        [ANYSCALE, "user", "batch-create", "-f", str(users)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        log = list(itertools.takewhile(lambda line: "created." not in line, process.stderr))
        time.sleep(delay)  # the moment of the signal is what the test tries
        process.send_signal(number)
        return process.wait(60), "".join([*log, *process.stderr])


def test_the_exit_status_is_true_and_so_is_the_same_command_afterwards(
    anyscale: RunAnyscale, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    wrong = []
    moments = random.Random(7)
    tries = pytestconfig.getoption("signal_tries")
    for at, number in zip(range(tries), itertools.cycle(SIGNALS), strict=False):
        users = write_flow_users_file(tmp_path / f"{at}.yaml", range(at, at + 1))
        delay = LAST * moments.uniform(at, at + 1) / tries  # few tries cover all of the time
        status, log = signalled_after_creation(users, number, delay)
        again = anyscale("user", "batch-create", "-f", users)
        # After 0 the run is over, and its user exists; after 130 the same command reports the end.
        expected = {0: (1, "has an account already"), 130: (0, "They were already created")}
        code, words = expected.get(status, (None, ""))
        if again.returncode != code or words not in again.stderr:
            wrong.append((number.name, f"{delay:.3f}", status, log, again.stderr))
    assert not wrong, f"{len(wrong)} of {tries}: {wrong}"
