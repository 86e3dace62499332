"""Postfix and OpenSMTPD of Debian, which deliver all mails to one maildir.

Each runs in a root of its own, an overlay over the real one with the unpacked packages (`./dev`
unpacks them) and two more users. So no service of the system is touched, and what a relay writes is
in the folder of the test. Its network is that of this machine: it listens on loopback only.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Self

from tests.support.mail.delivered import Delivered
from tests.support.paths import ROOT
from tests.support.ports import free_port, is_free, is_listening
from tests.support.programs import installed, program
from tests.support.waiting import wait_until

#: what `./dev` has unpacked
_PACKAGES = ROOT / ".venv" / "relays" / "root"

_TEMPLATES = Path(__file__).parent / "debian"

# $1: an empty folder, $2: the packages, $3: more files, $4: the folder of the test; then a command.
_ENTER = """
here=$1; packages=$2; files=$3; kept=$4; shift 4
mount -t tmpfs -o mode=755 tmpfs "$here"
mkdir "$here/work" "$here/root"
cp -a "$packages" "$here/upper"
cp -a "$files/." "$here/upper"
mount -t overlay -o "lowerdir=/,upperdir=$here/upper,workdir=$here/work" overlay "$here/root"
cd "$here/root"
mkdir relay
mount --bind "$kept" relay
mount --rbind /dev dev
mount -t proc proc proc
exec chroot . "$@"
"""

_NEW_ROOT = ("unshare", "--mount", "--pid", "--fork", "sh", "-euc", _ENTER, "sh")

#: the users of the packages, and one of Debian that owns the mails
_POSTFIX, _POSTDROP, _OPENSMTPD, _OPENSMTPQ, _MAIL = 52_001, 52_002, 52_003, 52_004, 8
_USERS = {"postfix": _POSTFIX, "opensmtpd": _OPENSMTPD, "opensmtpq": _OPENSMTPQ}
_GROUPS = _USERS | {"postdrop": _POSTDROP}

_QUEUES = "active bounce corrupt defer deferred flush hold incoming maildrop private saved trace"


class DebianRelay:
    """A relay in a root of its own; it may be killed, and started again with its queue.

    Args:
        folder: for its files; empty or of the same relay.
        certificate: a file with the key, and the certificate of `localhost`.
    """

    #: how it is started in its root
    command: tuple[str, ...]

    def __init__(self, folder: Path, certificate: Path) -> None:
        self.port = free_port()
        self.log = folder / "relay.log"
        self._here, self._files = folder / "here", folder / "files"
        #: what stays when the relay is killed
        self._kept = folder / "kept"
        for path in (self._here, self._files / "etc", self._kept / "box"):
            path.mkdir(parents=True)
        self._files.chmod(0o755)
        self._kept.chmod(0o755)
        os.chown(self._kept / "box", _MAIL, _MAIL)
        self._process: subprocess.Popen[bytes] | None = None
        _add_users(self._files / "etc")
        # As Postfix wants it, the key comes first; smtpd requires that nobody else can read it.
        shutil.copy(certificate, self._files / "etc" / "relay.pem")
        (self._files / "etc" / "relay.pem").chmod(0o600)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        wait_until(lambda: is_free(self.port))
        paths = map(str, (self._here, installed(_PACKAGES), self._files, self._kept))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_NEW_ROOT, *paths, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        process = self._process
        wait_until(lambda: process.poll() is not None or is_listening(self.port))
        assert process.poll() is None, self.log.read_text()

    def kill(self) -> None:
        """Kill all of its processes."""
        if process := self._process:
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
            with suppress(OSError):
                # The first process of the namespace: the kernel kills the others with it.
                for pid in children.read_text("ascii").split():
                    os.kill(int(pid), signal.SIGKILL)
            process.wait(30)
            self._process = None

    @property
    def mails(self) -> list[Delivered]:
        """What it has delivered, in order."""
        paths = (self._kept / "box" / "new").glob("*")
        return [
            _delivered(path) for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns)
        ]

    def to(self, address: str) -> list[Delivered]:
        """Return what it has delivered to an address, in order."""
        return [mail for mail in self.mails if mail.recipient == address]

    def wait_for(self, count: int) -> list[Delivered]:
        """Wait until it has delivered so many mails."""
        wait_until(lambda: len(self.mails) >= count, interval=0.05)
        return self.mails

    def _write(self, template: str, path: str, **values: object) -> None:
        """Write a file of its root from a template."""
        text = (_TEMPLATES / template).read_text()
        for name, value in {"PORT": self.port, **values}.items():
            text = text.replace(f"@{name}@", str(value))
        file = self._files / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


class Postfix(DebianRelay):
    """Postfix with STARTTLS, which it requires.

    Args:
        policy_port: of a service that it asks about each recipient: see `policy_service`.
    """

    command = ("/usr/lib/postfix/sbin/master", "-i")

    def __init__(self, folder: Path, certificate: Path, policy_port: int) -> None:
        super().__init__(folder, certificate)
        self._write("main.cf", "etc/postfix/main.cf", POLICY_PORT=policy_port)
        self._write("master.cf", "etc/postfix/master.cf")
        spool = self._kept / "spool"
        for name in _QUEUES.split():
            _make(spool / name, 0o700, _POSTFIX)
        _make(spool / "public", 0o710, _POSTFIX, _POSTDROP)
        _make(spool / "pid", 0o755)
        _make(self._files / "var" / "lib" / "postfix", 0o700, _POSTFIX)
        # It uses the one that the package has otherwise.
        with (self._files / "etc" / "postfix" / "main.cf").open("a") as file:
            file.write("queue_directory = /relay/spool\n")


class OpenSmtpd(DebianRelay):
    """OpenSMTPD with TLS from the first octet on. It needs authentication, and has no SMTPUTF8.

    Args:
        user: who may send.
        password: of the user.
    """

    # With -d it stays in the foreground, and its log is the standard error: with -F it is syslog's.
    command = ("/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf")

    def __init__(self, folder: Path, certificate: Path, user: str, password: str) -> None:
        super().__init__(folder, certificate)
        self._write("smtpd.conf", "etc/smtpd.conf")
        hashed = subprocess.run(
            [program("openssl"), "passwd", "-6", "-stdin"],
            input=password,
            capture_output=True,
            text=True,
            check=True,
        )
        (self._files / "etc" / "relay-passwords").write_text(f"{user} {hashed.stdout}")
        for path in ("var/spool/smtpd", "var/lib/opensmtpd/empty"):
            _make(self._files / path, 0o711)


@contextmanager
def policy_service(answer: Callable[[str], str]) -> Iterator[int]:
    """Run a service that decides about recipients, as a greylist does; give its port.

    Args:
        answer: returns an action of access(5) for an address.
    """

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            request = {}
            for line in self.rfile:
                name, _, value = line.decode().strip().partition("=")
                request[name] = value
                if not name:
                    self.wfile.write(f"action={answer(request['recipient'])}\n\n".encode())

    class Server(ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def _add_users(etc: Path) -> None:
    users = "".join(f"{name}:x:{uid}:{uid}::/:/usr/sbin/nologin\n" for name, uid in _USERS.items())
    groups = "".join(f"{name}:x:{gid}:\n" for name, gid in _GROUPS.items())
    (etc / "passwd").write_text(_without("/etc/passwd", _USERS) + users)
    (etc / "group").write_text(_without("/etc/group", _GROUPS) + groups)


def _without(file: str, names: Mapping[str, int]) -> str:
    """Return a file of this machine without some users: it has them where a relay is installed."""
    lines = Path(file).read_text().splitlines(keepends=True)
    return "".join(line for line in lines if line.partition(":")[0] not in names)


def _make(path: Path, mode: int, uid: int = 0, gid: int = 0) -> None:
    path.mkdir(parents=True)
    path.chmod(mode)
    os.chown(path, uid, gid)


def _delivered(path: Path) -> Delivered:
    content = path.read_bytes()
    mail = Delivered("", content)
    mail.recipient = str(mail.message["Delivered-To"])
    return mail
