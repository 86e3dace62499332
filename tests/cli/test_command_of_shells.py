"""The `anyscale` of the shells of tests runs the command, with its signals and its status."""

import pytest
from tests.support.commands.command_of_shells import path_of_shells
from tests.support.commands.terminal import on_a_terminal


@pytest.mark.parametrize(
    ("key", "status"),
    [
        pytest.param(b"\x03", 130, id="Ctrl-C, which the command handles"),
        pytest.param(b"\x1c", 131, id="Ctrl-\\, which kills it"),
    ],
)
def test_a_signal_reaches_the_command_and_its_status_the_shell(key: bytes, status: int) -> None:
    lines = "trap : INT QUIT; anyscale user batch-create -f -; echo status $?"

    shown = on_a_terminal(*("-c", lines), command="sh", env={"PATH": path_of_shells()}, typed=key)[
        1
    ]

    assert shown.splitlines()[-1] == f"status {status}", shown
    assert ("interrupted" in shown) == (status == 130)
