"""Ctrl-C, a second time, at any moment."""

import io
import os
import subprocess
import sys

import pytest

from anyscale.cli import signals


class Exited(BaseException):
    """Stands for the end of the process."""


def leave(status: int) -> None:
    raise Exited(status)


class Busy(io.StringIO):
    """A standard error inside whose write the signal came."""

    def write(self, _text: str) -> int:
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")


@pytest.mark.parametrize("stream", [None, Busy()], ids=["between writes", "inside a write"])
def test_a_second_interrupt_is_confirmed_and_exits_with_130(
    stream: Busy | None, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "_exit", leave)
    if stream:
        monkeypatch.setattr(sys, "stderr", stream)

    with pytest.raises(Exited) as exited:
        signals._exit_at_once()

    assert exited.value.args == (130,)
    assert capfd.readouterr().err.startswith("interrupted")


CALLBACK = """
import os, signal, sys, time, weakref
from anyscale.cli.signals import handle_signals
from anyscale.cli.root import _exit_status_of

class Lock:
    pass

def interrupted(_):  # as the callbacks of the import system
    os.kill(os.getpid(), signal.SIGINT)

handle_signals()
try:
    lock = Lock()
    reference = weakref.ref(lock, interrupted)
    del lock
    signal.pause()
except KeyboardInterrupt as error:
    sys.exit(_exit_status_of(error))
"""


def test_an_interrupt_inside_a_callback_of_the_import_system_is_not_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CALLBACK], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


HALF_CREATED = """
import os, signal, sys
from anyscale.cli.signals import handle_signals
from anyscale.cli.root import _exit_status_of

class Response:  # as that of http.client
    def __init__(self):
        os.kill(os.getpid(), signal.SIGINT)
        self.file = None

    def __del__(self):
        self.file

handle_signals()
try:
    Response()
except KeyboardInterrupt as error:
    status = _exit_status_of(error)
sys.exit(status)
"""


def test_an_interrupt_while_an_object_is_created_prints_no_fault_of_that_object() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HALF_CREATED],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_an_interrupt_before_the_command_begins_ends_with_130() -> None:
    parse = "anyscale.cli.lazy_group.LazyGroup.parse_args"
    begin = f"""
import os, signal
from unittest import mock
from anyscale.cli import main

def interrupt(*_):
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()

with mock.patch("{parse}", interrupt):
    main()
"""
    done = subprocess.run(
        [sys.executable, "-c", begin], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (130, "")
