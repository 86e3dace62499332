"""A server in a thread of this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from anyscale.server.control_plane import ControlPlane
from anyscale.server.http.app import application
from anyscale.server.uvicorn_ext.single_write_protocol import SingleWriteH11Protocol

__all__ = ["serve_in_process"]


@contextmanager
def serve_in_process(control_plane: ControlPlane, port: int = 0) -> Iterator[str]:
    """Serve a control plane over HTTP until the block ends, and then close it; give the URL."""
    config = uvicorn.Config(
        application(control_plane),
        port=port,
        http=SingleWriteH11Protocol,
        proxy_headers=False,
        loop="uvloop",
        log_config=None,
        lifespan="on",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
