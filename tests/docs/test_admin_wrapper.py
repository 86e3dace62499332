"""`deploy/musterroll-admin`: runs the command as the server runs."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.support.commands.terminal import on_a_terminal
from tests.support.faults.permissions import NOBODY
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

WRAPPER = ROOT / "deploy" / "musterroll-admin"

#: file -> its variables, as `load_env_file` of systemd 257 reads it
FILES = {
    "A='$x `y` \"z\" \\'": {"A": '$x `y` "z" \\'},
    'A="a\\"b\\\\c\\$d\\`e\\fg"': {"A": 'a"b\\c$d`e\\fg'},
    "A=a$b`c`#d;e  ": {"A": "a$b`c`#d;e"},
    "A= a b 'c' ": {"A": "a b 'c'"},
    "A='a'\"b\"c": {"A": "abc"},
    "A=a\\\nb\\ \nB=c\\\\ ": {"A": "ab ", "B": "c\\"},
    "A='two\nlines'\nB=1": {"A": "two\nlines", "B": "1"},
    "# A=1\n;B=2\n\n  C = 3\nD\nE=": {"C": "3", "E": ""},
    "export A=1\nA-B=2\n2A=3\nA=4\nA=5": {"A": "5"},
    "A='open": {"A": "open"},
}


@pytest.fixture(scope="module")
def wrapper() -> ModuleType:
    """The wrapper as a module."""
    spec = spec_from_loader("musterroll_admin", SourceFileLoader("musterroll_admin", str(WRAPPER)))
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    spec.loader.exec_module(module)
    sys.dont_write_bytecode = writes
    return module


@pytest.mark.parametrize("text", FILES)
def test_an_environment_file_is_read_as_systemd_reads_it(text: str, wrapper: ModuleType) -> None:
    assert wrapper.settings_in(text) == FILES[text]


def test_a_line_that_systemd_ignores_is_named_without_its_text(
    wrapper: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wrapper.settings_in("\N{ZERO WIDTH NO-BREAK SPACE}A=secret\n; B\nB=2\nexport C=3") == {
        "B": "2"
    }

    first, second = capsys.readouterr().err.splitlines()
    assert "environment:1: systemd and this command ignore this line" in first
    assert "environment:4: " in second
    assert "without a byte order mark" in first
    assert "secret" not in first


def documented_settings() -> list[str]:
    """Give the lines of all environment files that the pages show."""
    pages = (ROOT / "docs" / "operations").glob("*.md")
    text = "".join(page.read_text(encoding="utf-8") for page in sorted(pages))
    return re.findall(r"^(?:ANYSCALE_\w+|FORWARDED_ALLOW_IPS|PGPASSFILE)=.*$", text, re.MULTILINE)


def test_a_shell_and_systemd_read_the_documented_settings_alike(
    wrapper: ModuleType, tmp_path: Path
) -> None:
    file = tmp_path / "environment"
    urls: list[str] = []
    for line in documented_settings():
        file.write_text(line, encoding="utf-8")
        command = ["env", "-i", "sh", "-euc", f"set -a; . {file}; env -0"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        settings = wrapper.settings_in(line)
        assert (
            settings.items()
            <= dict(pair.split("=", 1) for pair in shown.split("\0") if pair).items()
        )
        urls += settings.values() if "DATABASE_URL" in line else []

    (password,) = {conninfo_to_dict(url).get("password") for url in urls if "post" in url} - {None}
    assert password == "pa$$w`rd", "the example has characters that shells expand"


class Installation:
    """A copy of the wrapper with other paths, and a command that prints how it was run.

    Args:
        folder: that all users can read.
        user: a system user.
    """

    def __init__(self, folder: Path, user: str) -> None:
        self.folder = folder
        self.settings = folder / "environment"
        self.settings.write_text("SECRET='pa$word`id`'\nANYSCALE_DATA_DIR=/nowhere\n")
        self.data = folder / "data"
        self.data.mkdir()
        self.program = folder / "anyscale"
        self.program.write_text(
            '#!/bin/sh\nid -un; id -G; pwd; umask; printf \'%s\\n\' "$SECRET" "$HOME"\n'
            'echo "host=${ANYSCALE_HOST-} admin=${MUSTERROLL_ADMIN-}"\n'
            "printf '<%s>' \"$@\"; cat; exit 7\n"
        )
        self.program.chmod(0o755)
        text = WRAPPER.read_text(encoding="utf-8")
        for old, new in (
            ('"musterroll"', f'"{user}"'),
            ('"/etc/musterroll/environment"', f'"{self.settings}"'),
            ('"/var/lib/musterroll"', f'"{self.data}"'),
            ('"/opt/musterroll/bin/anyscale"', f'"{self.program}"'),
        ):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self.wrapper = folder / "musterroll-admin"
        self.wrapper.write_text(text, encoding="utf-8")

    def use(self, program: str) -> None:
        """Run a program of Python as the command."""
        self.program.write_text(f"#!/usr/bin/python3 -I\n{program}", encoding="utf-8")

    def start(self, **options: Any) -> "subprocess.Popen[str]":
        """Start the wrapper; the command has written its first line."""
        command = ["/usr/bin/python3", "-I", str(self.wrapper)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        return process

    def run(
        self, *arguments: str, user: int | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/usr/bin/python3", "-I", self.wrapper, *arguments],
            env=environment,
            input="from standard input",
            capture_output=True,
            text=True,
            check=False,
            user=user,
        )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that all users can read, unlike those of pytest."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.fixture
def installation(folder: Path) -> Installation:
    """An installation whose system user is `nobody`."""
    return Installation(folder, "nobody")


def test_the_command_runs_as_the_system_user_with_its_settings_in_its_folder(
    installation: Installation,
) -> None:
    host = "https://elsewhere.example.com"

    done = installation.run("server", "create-token", "--name", "a b$c", ANYSCALE_HOST=host)

    user, groups, folder, umask, secret, home, host, rest = done.stdout.split("\n")
    assert (user, groups) == ("nobody", "65534")
    assert folder == home == str(installation.data)
    assert umask == "0077"
    assert secret == "pa$word`id`"
    assert host == "host= admin=1"
    assert rest == "<server><create-token><--name><a b$c>from standard input"
    assert done.returncode == 7


def test_each_setting_of_the_shell_that_the_command_does_not_get_is_named(
    installation: Installation,
) -> None:
    warned = installation.run(
        *("audit", "verify"),
        ANYSCALE_DATABASE_URL="sqlite:///restored/anyscale.db",
        ANYSCALE_DATA_DIR="/nowhere",  # as in the file
        SSL_CERT_FILE="/etc/ssl/authority.pem",
        LANG="C.UTF-8",
    ).stderr

    names = ("ANYSCALE_DATABASE_URL", "SSL_CERT_FILE")
    assert warned.splitlines() == [
        f"musterroll-admin: {name} of your shell is not used: see {installation.settings}"
        for name in names
    ]


def test_another_user_than_root_and_the_system_user_is_refused(installation: Installation) -> None:
    refused = installation.run("server", "list-tokens", user=1)

    assert refused.returncode == 1
    assert refused.stderr == (
        "musterroll-admin: run it as root: it becomes the system user nobody\n"
    )
    assert installation.run(user=NOBODY).stdout.startswith("nobody\n")


@pytest.mark.parametrize("missing", ["settings", "data", "program"])
def test_a_missing_part_of_the_installation_is_named(
    missing: str, installation: Installation
) -> None:
    path: Path = getattr(installation, missing)
    path.rmdir() if missing == "data" else path.unlink()

    done = installation.run("server", "list-tokens")

    assert done.returncode == 1
    assert done.stderr == (
        f"musterroll-admin: {path}: No such file or directory: is the server installed?\n"
    )


def test_a_missing_system_user_is_named(folder: Path) -> None:
    done = Installation(folder, "no-such-user").run("server", "list-tokens")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "musterroll-admin: there is no system user no-such-user: is the server installed?\n"
    )


#: What a program of the system user does in the command, after it took control of it by ptrace: it
#: pushes keys into the terminal at each descriptor, and opens the terminal that controls it.
ATTACK = """
import errno, fcntl, json, os, sys, termios

def error_of(step):
    try:
        step()
    except OSError as error:
        return errno.errorcode[error.errno]

def push(descriptor):
    for key in b"touch $PWNED\\n":
        fcntl.ioctl(descriptor, termios.TIOCSTI, bytes([key]))

descriptors = [number for number in range(64) if not error_of(lambda: os.fstat(number))]
results = [error_of(lambda: push(descriptor)) for descriptor in descriptors[:3]]
results.append(error_of(lambda: os.open("/dev/tty", os.O_RDWR)))
print(json.dumps([os.isatty(0), descriptors, results]))
"""


def test_the_system_user_cannot_push_keys_into_the_terminal_of_root(
    installation: Installation,
) -> None:
    installation.use(ATTACK)
    pushed = installation.folder / "pushed"
    # A shell of root, which would run what is pushed, and has a secret file open.
    shell = f"exec 5</etc/shadow; /usr/bin/python3 -I {installation.wrapper} 5<&5; echo end"

    shell += '; read -t 1 line; eval "$line"'
    shown = on_a_terminal("-ic", shell, command="/bin/bash", env={"PWNED": str(pushed)})[1]

    assert not pushed.exists(), "the shell of root has run it"
    is_terminal, descriptors, results = json.loads(shown.split("end")[0].splitlines()[-1])
    assert is_terminal, "prompts work"
    assert descriptors == [0, 1, 2]
    assert set(results[:3]) <= {"EPERM", "EIO"}, "EIO: this kernel pushes no keys for anybody"
    assert results[3] == "ENXIO", "no terminal controls the command"


WAITING = """
import signal, sys
signals = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print("ready", flush=True)
print(signal.sigwait(signals).name)
sys.exit(9)
"""


@pytest.mark.parametrize("name", ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"])
def test_a_signal_to_the_wrapper_reaches_the_command(name: str, installation: Installation) -> None:
    installation.use(WAITING)
    process = installation.start()

    process.send_signal(signal.Signals[name])

    assert process.communicate(timeout=30)[0] == f"{name}\n"
    assert process.returncode == 9


def test_the_status_says_which_signal_ended_the_command(installation: Installation) -> None:
    installation.use("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")

    assert installation.run().returncode == 128 + signal.SIGTERM


def state_of(process_id: int) -> str:
    return Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8").rpartition(") ")[2][0]


def test_ctrl_z_stops_the_command_until_it_is_continued(installation: Installation) -> None:
    installation.use(WAITING)
    process = installation.start(process_group=0)
    (command,) = map(
        int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    )

    process.send_signal(signal.SIGTSTP)
    wait_until(lambda: state_of(process.pid) == state_of(command) == "T")
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: state_of(command) == "S")

    process.terminate()
    assert process.communicate(timeout=30)[0] == "SIGTERM\n"


def test_each_documented_runuser_creates_a_terminal_of_its_own() -> None:
    pages = (ROOT / "docs").rglob("*.md")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)

    options = re.findall(r"runuser (\S+) -u", text)
    assert set(options) == {"--pty"}
    assert text.count("runuser ") == len(options)
