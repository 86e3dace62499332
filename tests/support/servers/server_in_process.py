"""A server in a thread of this process."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from tests.support.servers.reused_routes import give_back_routes, take_routes

from anyscale.server.control_plane import ControlPlane
from anyscale.server.http.app import application
from anyscale.server.uvicorn_ext.strict_protocol import StrictH11Protocol


@contextmanager
def serve_in_process(control_plane: ControlPlane, port: int = 0) -> Iterator[str]:
    """Serve a control plane over HTTP until the block ends, and then close it; give the URL."""
    config = uvicorn.Config(
        application(control_plane, take_routes),
        port=port,
        http=StrictH11Protocol,
        proxy_headers=False,
        loop="uvloop",
        log_config=None,
        lifespan="on",
    )
    server = _Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.stop()
        thread.join(30)
        assert not thread.is_alive(), "the server did not end"
        give_back_routes(control_plane)


class _Server(uvicorn.Server):
    """uvicorn without the pauses of its shutdown, which take 0.2 seconds."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        await super().startup(sockets)

    def stop(self) -> None:
        """Let it shut down; may be called in any thread."""
        self.should_exit = True
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._stopped.set)

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002 - uvicorn's signature
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - they are sets of uvicorn
            await asyncio.sleep(0.005)
        for server in self.servers:
            await server.wait_closed()
        await self.lifespan.shutdown()
