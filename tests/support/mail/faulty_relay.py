"""A relay with faults: it hangs, cuts the connection, or says something else in any of its replies.

It keeps what it accepts. A test may set its faults at any time, and they hold for all connections.
"""

import socket
import ssl
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Condition, Event, Thread
from typing import Final

from tests.support.mail.delivered import Delivered
from tests.support.ports import free_port

#: the replies of a mail on a connection of its own, in order
REPLIES = (
    "greeting",
    "EHLO",
    "STARTTLS",
    "AUTH",
    "MAIL",
    "RCPT",
    "DATA",
    "end of data",
    "QUIT",
)

#: instead of a reply
HANG, CUT = "hang", "cut"


class _Cut(Exception):
    """The connection is to be cut."""


class FaultyRelay:
    """What a relay does and has accepted.

    Args:
        user: who may send, in STARTTLS only; empty for anybody.
        password: of the user.
    """

    def __init__(self, user: str, password: str) -> None:
        self.port: Final = free_port()
        #: the file with the key and the certificate of the next connections
        self.certificate = ""
        #: what it does in place of a reply: `HANG`, `CUT`, or other words
        self.faults: dict[str, str] = {}
        self.extensions = ["8BITMIME", "SMTPUTF8"]
        self.accepted: list[Delivered] = []
        #: the commands that it got, with the number of their connection
        self.commands: list[tuple[int, str]] = []
        self.connections = 0
        #: set while it hangs
        self.hangs = Event()
        self._released = Event()
        self.is_open = not user
        self._login = f"\0{user}\0{password}".encode()
        self._changed = Condition()

    def release(self) -> None:
        """Cut the connections that hang, and have no faults any more."""
        self.faults = {}
        self._released.set()
        self._released = Event()
        self.hangs.clear()

    def wait_for(self, count: int, seconds: float = 30) -> None:
        """Wait until it has accepted so many mails."""
        with self._changed:
            is_there = self._changed.wait_for(lambda: len(self.accepted) >= count, seconds)
        assert is_there, f"{len(self.accepted)} of {count} mails arrived"

    def accept(self, recipient: str, octets: bytes) -> None:
        """Keep a mail."""
        with self._changed:
            self.accepted.append(Delivered(recipient, octets))
            self._changed.notify_all()

    def reply(self, at: str, words: str) -> str:
        """Return the reply at a place, or do what is to be done in place of it."""
        words = self.faults.get(at, words)
        if words == HANG:
            released = self._released
            self.hangs.set()
            released.wait(120)
        if words in (HANG, CUT):
            raise _Cut
        return words

    def ehlo(self, *, is_encrypted: bool) -> str:
        lines = ["relay", *self.extensions, "AUTH PLAIN" if is_encrypted else "STARTTLS"]
        return "\r\n".join(f"250-{line}" for line in lines[:-1]) + f"\r\n250 {lines[-1]}"

    def is_login(self, argument: str) -> bool:
        return b64decode(argument) == self._login


class _Connection:
    """One connection to a relay."""

    def __init__(self, relay: FaultyRelay, sock: socket.socket) -> None:
        self._relay = relay
        self._sock = sock
        self._file = sock.makefile("rwb")
        self._is_encrypted = False
        self._is_known = relay.is_open
        self._recipients: list[str] = []
        relay.connections += 1
        self._number = relay.connections

    def serve(self) -> None:
        self._say("greeting", "220 relay")
        while line := self._file.readline():
            command, _, argument = line.decode().strip().partition(" ")
            self._relay.commands.append((self._number, line.decode().strip()))
            self._answer(command.upper(), argument)
            if command.upper() == "QUIT":
                return

    def close(self) -> None:
        for closed in (self._file, self._sock):
            with suppress(OSError):
                closed.close()

    def _say(self, at: str, words: str) -> None:
        self._file.write(f"{self._relay.reply(at, words)}\r\n".encode())
        self._file.flush()

    def _answer(self, command: str, argument: str) -> None:
        if command == "EHLO":
            self._say("EHLO", self._relay.ehlo(is_encrypted=self._is_encrypted))
        elif command == "STARTTLS":
            self._say("STARTTLS", "220 begin")
            self._encrypt()
        elif command == "AUTH":
            self._is_known = self._relay.is_login(argument.partition(" ")[2])
            self._say("AUTH", "235 welcome" if self._is_known else "535 5.7.8 not known")
        elif command == "MAIL" and not self._is_known:
            self._say("MAIL", "530 5.7.0 authenticate first")
        elif command == "RCPT":
            self._recipients = [argument.partition("<")[2].partition(">")[0]]
            self._say("RCPT", "250 OK")
        elif command == "DATA":
            self._say("DATA", "354 begin")
            self._take_data()
        else:
            self._say(command, "221 bye" if command == "QUIT" else "250 OK")

    def _take_data(self) -> None:
        lines = []
        while (line := self._file.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        if not line:
            raise _Cut
        words = "250 OK"
        if self._relay.faults.get("end of data", "").startswith(("4", "5")):
            self._say("end of data", words)
            return
        # Before the reply: who does not get it cannot know that the mail was accepted.
        for recipient in self._recipients:
            self._relay.accept(recipient, b"".join(lines))
        self._say("end of data", words)

    def _encrypt(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._relay.certificate)
        self._file.close()
        self._sock = context.wrap_socket(self._sock, server_side=True)
        self._file = self._sock.makefile("rwb")
        self._is_encrypted = True


@contextmanager
def faulty_relay(user: str = "", password: str = "") -> Iterator[FaultyRelay]:
    """Run a relay with STARTTLS and authentication until the block ends."""
    relay = FaultyRelay(user, password)

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            connection = _Connection(relay, self.request)
            with suppress(_Cut, OSError):
                connection.serve()
            connection.close()

    class Server(ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", relay.port), Handler) as server:
        Thread(target=server.serve_forever, args=(0.05,)).start()
        try:
            yield relay
        finally:
            relay.release()
            server.shutdown()
