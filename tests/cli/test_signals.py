"""Ctrl-C, a second time, at any moment."""

import io
import os
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
