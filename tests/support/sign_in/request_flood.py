"""A flood of requests of an application, each of which needs a sign-in, in a process of its own."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvloop

#: more than the server has places for
_CONNECTIONS = 80

#: seconds between a refusal because of too many requests, and the next request
_PAUSE = 0.02

#: responses before the test continues
_WARM = 500


@contextmanager
def request_flood(port: int, path: str) -> Iterator[None]:
    """Flood a server of this machine, half of it from one address, until the block ends."""
    command = [sys.executable, "-m", __name__, str(port), path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "flooding\n"
        try:
            yield
        finally:
            process.terminate()


async def _flood(port: int, path: str) -> None:
    is_warm = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as group:
        for number in range(_CONNECTIONS):
            group.create_task(_send(port, path, is_warm, is_one_address=number % 2 == 0))
        for _ in range(_WARM):
            await is_warm.acquire()
        os.write(1, b"flooding\n")


async def _send(port: int, path: str, is_warm: asyncio.Semaphore, *, is_one_address: bool) -> None:
    """Send requests without a cookie on one connection, without an end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        address = "203.0.113.9" if is_one_address else f"2001:db8:{random.randrange(1 << 16):x}::1"
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {address}\r\n"
            "Accept: text/html\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0]))
        is_warm.release()
        if " 429 " in head.partition("\r")[0]:
            await asyncio.sleep(_PAUSE)


if __name__ == "__main__":
    os.nice(19)  # the flood should come from other machines, which take none of the server's cores
    uvloop.run(_flood(int(sys.argv[1]), sys.argv[2]))
