"""A flood of sign-ins with wrong passwords, from made-up addresses, in a process of its own."""

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvloop

#: source -> gives the address of one request, and how many connections send them
SOURCES: dict[str, tuple[Callable[[], str], int]] = {
    "one IPv6 site": (lambda: f"2001:db8:1:{random.randrange(1 << 16):x}::1", 150),
    "all of IPv6": (lambda: f"2001:{random.randrange(1 << 32):x}"[:-4] + ":1::1", 150),
    "one address": (lambda: "203.0.113.9", 100),
}

#: Seconds between a refusal because of too many requests, and the next request: those that have a
#: place keep it, and more requests would only keep the event loop of the server busy.
_PAUSE = 0.25


@contextmanager
def login_flood(port: int, *sources: str) -> Iterator[None]:
    """Flood a server of this machine from some of `SOURCES`, until the block ends."""
    command = [sys.executable, "-m", __name__, str(port), *sources]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "flooding\n"
        try:
            yield
        finally:
            process.terminate()


async def _flood(port: int, sources: list[str]) -> None:
    is_refused = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for source in sources:
            address, connections = SOURCES[source]
            for _ in range(connections):
                group.create_task(_guess(port, address, is_refused))
        await is_refused.wait()  # the server has all that it takes
        os.write(1, b"flooding\n")


async def _guess(port: int, address: Callable[[], str], is_refused: asyncio.Event) -> None:
    """Send wrong passwords for random accounts on one connection, without an end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        email = f"{random.randbytes(6).hex()}@example.com"
        body = json.dumps({"email": email, "password": "wrong password"})
        writer.write(
            f"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: {address()}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        await reader.readexactly(int(head.partition("content-length: ")[2].partition("\r")[0]))
        status = int(head.split(" ", 2)[1])
        if status == 429:
            is_refused.set()
            await asyncio.sleep(_PAUSE)


if __name__ == "__main__":
    os.nice(19)  # the flood should come from other machines, which take none of the server's cores
    uvloop.run(_flood(int(sys.argv[1]), sys.argv[2:]))
