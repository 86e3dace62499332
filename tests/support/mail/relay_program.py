"""A relay as a program: `relay_program.py PORT FILE DEFER`, which may be killed at any moment.

It adds each mail to the file, as a line of JSON, before it says that it has accepted it. It defers
each mail that is the DEFERth one. It imports the standard library only: it starts in no time.
"""

import json
import os
import sys
import time
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Lock

_lock = Lock()
_seen = 0


def keep(file: int, defer: int, mail: dict[str, object]) -> str:
    """Keep a mail, and return the reply."""
    global _seen  # noqa: PLW0603 - the program has one count
    line = f"{json.dumps(mail)}\n".encode()
    with _lock:
        _seen += 1
        if defer and _seen % defer == 0:
            return "451 4.3.0 later"
        os.write(file, line)
        os.fsync(file)
    return "250 OK"


class Connection(StreamRequestHandler):
    """One connection. Its server has the file."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        self.say("220 relay")
        recipient, started = "", 0.0
        for line in self.rfile:
            command = line[:4].upper()
            if command == b"MAIL":
                started = time.monotonic()
            elif command == b"RCPT":
                recipient = line.partition(b"<")[2].partition(b">")[0].decode()
            elif command == b"DATA":
                self.say("354 begin")
                octets = self.read_data()
                mail = {"recipient": recipient, "started": started, "octets": octets}
                self.say(keep(self.server.file, self.server.defer, mail))  # type: ignore[attr-defined]  # of `Relay`
                continue
            self.say("221 bye" if command == b"QUIT" else "250 OK")

    def read_data(self) -> str:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                raise ConnectionAbortedError
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        return b"".join(lines).decode("latin-1")

    def say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


class Relay(ThreadingTCPServer):
    """The program's server."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, file: int, defer: int) -> None:
        super().__init__(("127.0.0.1", port), Connection)
        self.file, self.defer = file, defer

    def handle_error(self, *_: object) -> None:
        """A server that is killed cuts its connections."""


if __name__ == "__main__":
    file = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    Relay(int(sys.argv[1]), file, int(sys.argv[3])).serve_forever()
