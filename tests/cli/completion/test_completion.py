"""Completion in the real shells, on a terminal."""

import fcntl
import json
import os
import pty
import re
import select
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.commands.command_of_shells import path_of_shells
from tests.support.commands.running import RunAnyscale
from tests.support.commands.shell import run_shell
from tests.support.paths import ROOT
from tests.support.programs import program
from tests.support.servers.fixed_responses import IDENTITY, http, serving_in_turn

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
#: what a shell runs first: it has no other completion, and shows a prompt without colors
SETUP = {
    "bash": "PS1='READY> '; bind 'set enable-bracketed-paste off'; . ./completion",
    "zsh": "PS1='READY> '; unsetopt zle_bracketed_paste; autoload -U compinit; compinit -D -u; "
    ". ./completion",
    "fish": "function fish_prompt; echo -n 'READY> '; end; source ./completion",
}
#: Ctrl-U
CLEAR_LINE = "\x15"

_escapes = re.compile(
    rb"\x1b(\[[0-9;?<>=]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\\\)|[=>()][0-9A-Z]?)"
)


def _visible(output: bytes) -> str:
    """Return the text without escape sequences, and without what was replaced by backspaces."""
    moved = re.sub(rb"\x1b\[(\d*)D", lambda left: b"\b" * int(left[1] or 1), output)
    text = _escapes.sub(b"", moved).decode(errors="replace")
    while (at := text.find("\b")) > 0:
        text = text[: at - 1] + text[at + 1 :]
    return text


class Shell:
    """An interactive shell with the completion of the command."""

    #: what was shown until it was ready
    before: str

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def shown(self, wanted: str, seconds: float = 60) -> str:
        """Read until a text is shown; return all of it as it is shown, without colors."""
        output, deadline = b"", time.monotonic() + seconds
        while wanted not in (text := _visible(output)):
            assert time.monotonic() < deadline, text
            if select.select([self._terminal], [], [], 0.1)[0]:
                piece = os.read(self._terminal, 65536)
                output += piece
                if b"\x1b[c" in piece or b"\x1b[0c" in piece:  # fish asks what the terminal is
                    os.write(self._terminal, b"\x1b[?62;c")
        return text


@contextmanager
def shell_with_completion(shell: str, folder: Path) -> Iterator[Shell]:
    script = run_shell(
        f"anyscale completion {shell}", folder, os.environ | {"PATH": path_of_shells()}
    )
    (folder / "completion").write_text(script, encoding="utf-8")
    with interactive_shell(SHELLS[shell], SETUP[shell], folder) as session:
        yield session


@contextmanager
def interactive_shell(command: list[str], setup: str, folder: Path) -> Iterator[Shell]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    path = path_of_shells()
    process = subprocess.Popen(
        ["setsid", "--ctty", program(command[0]), *command[1:]],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=os.environ | {"TERM": "xterm", "PATH": path, "COLUMNS": "200", "LANG": "C.UTF-8"},
    )
    os.close(theirs)
    try:
        session = Shell(ours)
        session.type(f"{setup}; echo LOAD''ED\r")
        session.before = session.shown("LOADED")
        session.type("\r")
        session.shown("READY> ")
        yield session
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shell]:
    """A shell in a folder with the file `personnel.yaml`."""
    (tmp_path / "personnel.yaml").touch()
    with shell_with_completion(request.param, tmp_path) as session:
        yield session


#: a line as it is typed, and what the shell adds to it
COMPLETED = {
    "anyscale user batch-create -f per": "sonnel.yaml",
    "anyscale user batch-create --users-file per": "sonnel.yaml",
    "anyscale user batch-create --users-file=per": "sonnel.yaml",
    "anyscale user verify -f per": "sonnel.yaml",
    "anyscale server create-token --name x --output-file per": "sonnel.yaml",
    "anyscale user batch-create --if-exists=sk": "ip",
}


def test_files_and_values_are_completed_after_the_option_and_in_its_word(shell: Shell) -> None:
    for line, rest in COMPLETED.items():
        shell.type(f"{line}\t")
        shell.shown(line + rest)
        shell.type(CLEAR_LINE)


def test_the_descriptions_of_fish_have_their_commas(tmp_path: Path) -> None:
    with shell_with_completion("fish", tmp_path) as session:
        session.type("anyscale batch \t")
        session.shown("Show one batch: its state, its counts")


def test_the_ids_of_batches_are_completed(shell: Shell, anyscale: RunAnyscale) -> None:
    """Of those that the command can work on: `undo` takes a published one, `drop` an open one."""
    created = anyscale(
        *("user", "batch-create", "-f", "-"),
        stdin="create_users: [{name: Jane, email: jane@example.com}]",
    )
    assert created.returncode == 0, created.stderr
    batch = json.loads(anyscale("batch", "list", "-o", "json").stdout)[0]["batch_id"]
    for command in ("show", "undo"):
        shell.type(f"anyscale batch {command} bat\t")
        shell.shown(f"anyscale batch {command} {batch}")
        shell.type(CLEAR_LINE)
    assert completions("anyscale batch drop ", anyscale) == ""


def completions(line: str, anyscale: RunAnyscale, shell: str = "bash", **variables: str) -> str:
    """Return what bash, or another shell, receives for the end of a line."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
    env = words | {"_ANYSCALE_COMPLETE": f"{shell}_complete"} | variables
    done = anyscale(env=env, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


@pytest.mark.parametrize(("shell", "lines"), [("bash", 1), ("zsh", 3)])
def test_a_server_completes_no_text_that_a_shell_would_run(
    shell: str, lines: int, anyscale: RunAnyscale
) -> None:
    """bash inserts it without quotes, and a line end in a description begins another completion."""
    names = ("opened_by", "state", "if_exists"), ("opened_at", "touched_at")
    batch = dict.fromkeys(names[0], "x") | dict.fromkeys(names[1], "2026-11-28T12:00:00Z")
    label = "a\nplain\n$(reboot)\n_\x1b]0;"
    ids = ["bat_1", "bat_$(reboot)", "bat_2\nplain,`reboot`"]
    body = json.dumps({"batches": [batch | {"batch_id": one, "label": label} for one in ids]})
    with serving_in_turn(http("200 OK", IDENTITY, body=body)) as host:
        env = {"ANYSCALE_HOST": host, "ANYSCALE_CLI_TOKEN": "mrt_x"}
        shown = completions("anyscale batch show ", anyscale, shell, **env)
    assert shown.splitlines()[0] == {"bash": "plain,bat_1", "zsh": "plain"}[shell]
    assert (len(shown.splitlines()), "\x1b" in shown) == (lines, False)


def test_a_server_that_does_not_respond_completes_nothing_and_does_not_block(
    anyscale: RunAnyscale, home: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = {"ANYSCALE_HOST": url, "ANYSCALE_CLI_TOKEN": "mrt_x"}
        assert completions("anyscale batch undo ", anyscale, **env) == ""
    assert completions("anyscale batch undo ", anyscale, **env) == "", "a refused connection"
    assert completions("anyscale batch undo ", anyscale) == "", "no control plane yet"
    assert list(home.iterdir()) == []


def test_the_documented_line_is_enough_for_a_new_account_of_zsh(home: Path) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^anyscale completion zsh .*$", page, re.MULTILINE)
    run_shell(line, home, os.environ | {"PATH": path_of_shells()})
    (home / "personnel.yaml").touch()

    setup = "PS1='READY> '; unsetopt zle_bracketed_paste"
    with interactive_shell(["zsh", "--no-global-rcs", "-i"], setup, home) as shell:
        assert "not found" not in shell.before
        shell.type("anyscale user batch-create -f per\t")
        shell.shown("personnel.yaml")
