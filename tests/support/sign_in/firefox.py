"""Debian's Firefox by WebDriver BiDi (W3C), which Playwright cannot drive in it.

The client speaks WebSocket itself (RFC 6455), as far as Firefox needs it: no package for it is
among those of the tests.
"""

import base64
import json
import os
import re
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.support.waiting import wait_until

#: for a page to load, on a loaded machine
_SECONDS = 30.0

_LARGE, _HUGE, _CLOSE, _PING = 126, 127, 8, 9

#: the element that a user would name so: a field by its label, a button or link by its text
_FIND = """(name) => {
  const text = (one) => one.textContent.replace(/\\s+/g, " ").trim();
  const label = [...document.querySelectorAll("label")].find((one) => text(one) === name);
  const main = document.querySelector("main") ?? document.body;
  const named = [...main.querySelectorAll("button, a")].find((one) => text(one) === name);
  return label ? document.getElementById(label.htmlFor) : named;
}"""


class FirefoxError(Exception):
    """Firefox refused a command, or a script failed, as while a page is left."""


class _WebSocket:
    """The client's end of a WebSocket for text."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_SECONDS)
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET /session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._file = self._socket.makefile("rb")
        assert b" 101 " in self._file.readline()
        while self._file.readline() != b"\r\n":
            pass

    def send(self, text: str, opcode: int = 1) -> None:
        data, mask = text.encode(), os.urandom(4)
        size = len(data)
        if size < _LARGE:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | _LARGE, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | _HUGE, size)
        masked = bytes(octet ^ mask[at % 4] for at, octet in enumerate(data))
        self._socket.sendall(head + mask + masked)

    def receive(self) -> str:
        """Return the next message, of all its frames."""
        message = b""
        while True:
            first, size = self._file.read(2)
            if size == _LARGE:
                (size,) = struct.unpack("!H", self._file.read(2))
            elif size == _HUGE:
                (size,) = struct.unpack("!Q", self._file.read(8))
            data = self._file.read(size)
            match first & 0x0F:
                case opcode if opcode == _PING:
                    self.send(data.decode(), opcode=10)
                case opcode if opcode == _CLOSE:
                    raise FirefoxError("Firefox has closed the connection")
                case _:
                    message += data
                    if first & 0x80:
                        return message.decode()

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class Firefox:
    """A running Firefox."""

    def __init__(self, port: int) -> None:
        self._socket: Final = _WebSocket(port)
        self._last = 0
        self.send("session.new", capabilities={"alwaysMatch": {}})

    def send(self, method: str, **parameters: Any) -> Any:
        """Send a command; give its result."""
        self._last += 1
        command = {"id": self._last, "method": method, "params": parameters}
        self._socket.send(json.dumps(command))
        while (response := json.loads(self._socket.receive())).get("id") != self._last:
            pass  # an event
        if response["type"] == "error":
            raise FirefoxError(response["message"])
        return response["result"]

    def new_page(self) -> "FirefoxPage":
        """Open a page that has no cookies."""
        context = self.send("browser.createUserContext")["userContext"]
        page = self.send("browsingContext.create", type="tab", userContext=context)
        return FirefoxPage(self, page["context"])

    def close(self) -> None:
        """End the session and the browser."""
        self.send("browser.close")
        self._socket.close()


class FirefoxPage:
    """A page, with a history of its own."""

    def __init__(self, firefox: Firefox, context: str) -> None:
        self._firefox = firefox
        self._context = context

    def evaluate(self, function: str, *arguments: str) -> Any:
        """Call a function of JavaScript with texts; give the text, number or boolean it returns."""
        result = self._firefox.send(
            "script.callFunction",
            functionDeclaration=function,
            arguments=[{"type": "string", "value": text} for text in arguments],
            target={"context": self._context},
            awaitPromise=False,
        )
        if result["type"] == "exception":
            raise FirefoxError(result["exceptionDetails"]["text"])
        return result["result"].get("value")

    @property
    def url(self) -> str:
        """The address of the page."""
        return str(self.evaluate("() => location.href"))

    @property
    def text(self) -> str:
        """What a user reads."""
        return str(self.evaluate("() => document.body?.innerText ?? ''"))

    def goto(self, url: str) -> None:
        """Open an address, until its page or the one that follows it is loaded."""
        # Firefox never answers a command that waits for a page which another one replaces at once.
        self.evaluate("() => { window.isLeft = true; }")
        self._firefox.send("browsingContext.navigate", context=self._context, url=url, wait="none")
        self.wait_for("() => !window.isLeft && document.readyState === 'complete'")

    def back(self) -> None:
        """Go one page back."""
        self._firefox.send("browsingContext.traverseHistory", context=self._context, delta=-1)

    def fill(self, label: str, text: str) -> None:
        """Type a text into a field."""
        self.wait_for(f"(name) => ({_FIND})(name) instanceof HTMLInputElement", label)
        self.evaluate(f"(name, text) => {{ ({_FIND})(name).value = text; }}", label, text)

    def click(self, name: str) -> None:
        """Click on a button or a link of the main part."""
        self.wait_for(f"(name) => Boolean(({_FIND})(name))", name)
        self.evaluate(f"(name) => {{ ({_FIND})(name).click(); }}", name)

    def wait_for(self, function: str, *arguments: str) -> None:
        """Wait until a function is true for the page, whichever page that is by then."""

        def is_true() -> bool:
            try:
                return bool(self.evaluate(function, *arguments))
            except FirefoxError:  # between two pages
                return False

        try:
            wait_until(is_true, _SECONDS, interval=0.05)
        except AssertionError:
            raise AssertionError(f"{function}{arguments} at {self.url}: {self.text}") from None

    def wait_for_text(self, text: str) -> None:
        """Wait for a page with a text."""
        self.wait_for("(text) => document.body.innerText.includes(text)", text)


@contextmanager
def run_firefox(folder: Path) -> Iterator[Firefox]:
    """Run Debian's Firefox without a window, with a profile of its own, until the block ends."""
    profile, log = folder / "profile", folder / "firefox.log"
    profile.mkdir()
    # It fetches nothing of its own, and does not ask for anything at its start.
    (profile / "user.js").write_text(
        "".join(
            f"user_pref({json.dumps(name)}, {json.dumps(value)});\n"
            for name, value in {
                "app.normandy.enabled": False,
                "app.update.enabled": False,
                "browser.shell.checkDefaultBrowser": False,
                "datareporting.policy.dataSubmissionEnabled": False,
                "extensions.update.enabled": False,
                "network.captive-portal-service.enabled": False,
                "network.connectivity-service.enabled": False,
                "services.settings.server": "data:,",
                "toolkit.telemetry.enabled": False,
            }.items()
        )
    )
    command = ["firefox-esr", "--headless", "--no-remote", "--profile", str(profile)]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*command, "--remote-debugging-port", "0"],
            stdout=output,
            stderr=output,
            env=os.environ | {"HOME": str(folder)},
        ) as process,
    ):
        try:
            listening = re.compile(r"BiDi listening on ws://127\.0\.0\.1:(\d+)")
            wait_until(lambda: listening.search(log.read_text()), _SECONDS, interval=0.05)
            (port,) = listening.findall(log.read_text())
            firefox = Firefox(int(port))
            yield firefox
            firefox.close()
        finally:
            process.terminate()
