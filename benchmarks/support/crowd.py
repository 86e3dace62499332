"""Browsers that sign in on several connections, again and again.

As a process of its own: `python -m benchmarks.support.crowd HOST:PORT`, which stops on SIGTERM.
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import uvloop

from benchmarks.support.files import credentials_of

#: the accounts of `write_users` that sign in: an account has 60 sign-ins a minute, and a core
#: hashes fewer than 60 a second
ACCOUNTS = 64 * (os.cpu_count() or 1)

#: Sign-ins in progress: enough that each core has the next one when it has finished one.
_CONNECTIONS = 8 * (os.cpu_count() or 1)


class Browser:
    """One connection, which stays open, and its cookies.

    Args:
        address: host and port of the server.
    """

    def __init__(self, address: str) -> None:
        self._host, _, port = address.partition(":")
        self._port = int(port)
        self._cookies = ""

    async def open(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)

    async def close(self) -> None:
        self._writer.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def sign_in(self, number: int) -> int:
        """Sign in to one of the accounts; return the status."""
        return await self.request("POST", "/v1/sessions", credentials_of(number % ACCOUNTS))

    async def request(self, method: str, path: str, body: str = "") -> int:
        """Send a request, and keep the cookies of the response; return the status."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n"
        kind = "Content-Type: application/json\r\n" if body else ""
        cookies = f"Cookie: {self._cookies}\r\n" if self._cookies else ""
        self._writer.write(f"{head}{kind}{cookies}\r\n{body}".encode())
        response = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"content-length: (\d+)", response, re.IGNORECASE)
        await self._reader.readexactly(int(length[1]) if length else 0)
        if set_cookies := re.findall(r"set-cookie: ([^;\r]+)", response, re.IGNORECASE):
            self._cookies = "; ".join(set_cookies)
        return int(response.split(" ", 2)[1])


class Crowd:
    """Browsers that sign in until `stop`.

    Args:
        address: host and port of the server.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._is_stopped = False
        self._warm = 0
        #: sign-ins that are done
        self.sign_ins = 0
        #: set when each browser has signed in once: the server is as busy as it will be
        self.is_warm = asyncio.Event()

    async def run(self) -> None:
        await asyncio.gather(*map(self._run_one, range(_CONNECTIONS)))

    async def run_until_terminated(self) -> None:
        """Run until SIGTERM, and write a line when the server is busy."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stop)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.run())
            await self.is_warm.wait()
            print("warm", flush=True)

    def stop(self) -> None:
        """Let each browser finish its sign-in."""
        self._is_stopped = True

    async def _run_one(self, number: int) -> None:
        async with Browser(self._address) as browser:
            await self._sign_in(browser, number)
            self._warm += 1
            if self._warm == _CONNECTIONS:
                self.is_warm.set()
            while not self._is_stopped:
                number += _CONNECTIONS
                await self._sign_in(browser, number)

    async def _sign_in(self, browser: Browser, number: int) -> None:
        assert await browser.sign_in(number) == 200
        self.sign_ins += 1


@contextmanager
def crowd_process(address: str) -> Iterator[None]:
    """Run a crowd in a process of its own: the process that measures does none of its work."""
    command = [sys.executable, "-m", "benchmarks.support.crowd", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline(), "no sign-in succeeded"
        try:
            yield
        finally:
            process.terminate()
    assert process.returncode == 0, "a sign-in failed"


if __name__ == "__main__":
    uvloop.run(Crowd(sys.argv[1]).run_until_terminated())
