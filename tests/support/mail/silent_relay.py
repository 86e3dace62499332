"""A relay that hangs."""

import socket
import threading
from contextlib import suppress


class SilentRelay:
    """A relay that says nothing after some lines, and notes that somebody waits for it."""

    def __init__(self, lines: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.is_silent = threading.Event()
        self._lines = lines
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        self._connection, _ = self._listening.accept()
        file = self._connection.makefile("rwb")
        replies = [b"220 hello\r\n", b"250 hello\r\n", *[b"250 OK\r\n"] * 2, b"354 go on\r\n"]
        with suppress(OSError), file:
            for reply in replies[: self._lines]:
                file.write(reply)
                file.flush()
                file.readline()
            self.is_silent.set()
            while file.readline():
                pass

    def close(self) -> None:
        for sock in (self._listening, self._connection):
            if sock:
                with suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()
        self._thread.join(30)
