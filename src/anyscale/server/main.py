"""Start and stop the server process: sockets, signals, uvicorn."""

import errno
import gc
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anyscale.errors import ConfigError
from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings

if TYPE_CHECKING:  # loaded by the server alone
    from uvicorn import Config

__all__ = ["asgi", "serve"]

_log = logging.getLogger("anyscale.server")

#: seconds that a stop waits for what was begun
_GRACE = 60

#: Seconds after which a thread that computes lets another one go on. By Python's own 5 ms, whoever
#: asks for the server's health waits that long while a page is checked.
_TURN = 0.0002


def asgi() -> Any:
    """Make the application of one server process, as the environment says."""
    from anyscale.server.http.app import application
    from anyscale.server.logging_config import configure_logging
    from anyscale.server.uvicorn_ext.workers import hear_interrupts

    hear_interrupts()
    configure_logging()
    sys.setswitchinterval(_TURN)
    settings = Settings.from_environment(os.environ, served=True)
    made = application(ControlPlane(settings, hash_in_processes=True))
    # What is there now stays: looking through it for what could go took 20 ms each time.
    gc.collect()
    gc.freeze()
    return made


def serve(host: str, port: int, workers: int) -> int:
    """Answer until a signal ends it; then finish what was begun.

    Args:
        host: the address to listen at.
        port: likewise; 0 for any that is free.
        workers: processes that answer.

    Returns:
        The exit status.

    Raises:
        ConfigError: a setting is wrong, or the address is not free.
        StoreUnavailable: the database cannot be opened.
    """
    from anyscale.server.logging_config import configure_logging

    configure_logging()
    _prepare()
    listening = _listening(host, port)
    noted = _noted()
    with tempfile.TemporaryDirectory() as figures:
        if workers > 1:
            os.environ["PROMETHEUS_MULTIPROC_DIR"] = figures
        address = f"{host}:{listening.getsockname()[1]}"
        _log.info("listening", extra={"address": address, "workers": workers})
        return _run(listening, workers, noted)


def _prepare() -> None:
    """Find out now what would else end each process, and bring the schema up."""
    plane = ControlPlane(Settings.from_environment(os.environ, served=True))
    try:
        if not plane.tokens.any_exists():
            _log.warning("no token yet: make one by `anyscale server create-token`")
        plane.audit_log.log_head()
    finally:
        plane.close()


def _listening(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(f"cannot listen at {host}:{port}: {_reason(error)}") from None
    # Each connection inherits it, whatever the event loop sets. Without it the body of an answer
    # waits until the client says that it has the headers: 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.set_inheritable(True)
    return listening


_REASONS = {
    errno.EADDRINUSE: "another program listens there: end it, or choose another --port",
    errno.EADDRNOTAVAIL: "it is no address of this machine: choose another --host",
    errno.EACCES: "this user may not take the port: choose a --port from 1024 on",
}


def _reason(error: OSError) -> str:
    # Python adds the address, which is said already.
    said = str(error.strerror).partition(" (while")[0]
    mend = _REASONS.get(error.errno or 0)
    return f"{said}: {mend}" if mend else said


def _noted() -> list[int]:
    """Note from now on each signal that asks for an end, and let none of them interrupt."""
    noted: list[int] = []
    _take_signals(noted.append)
    return noted


def _take_signals(take: Callable[[int], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: take(number))


def _run(listening: socket.socket, workers: int, noted: list[int]) -> int:
    # uvicorn has the signals while it runs. It raises those that it caught once more when it has
    # stopped, which is no failure.
    from uvicorn import Server

    from anyscale.server.uvicorn_ext.workers import Workers

    config = _config(workers)
    if workers > 1:
        supervisor = Workers(config, [listening])
        supervisor.signal_queue += noted
        supervisor.run()
        return 0
    server = Server(config)
    _take_signals(lambda _: setattr(server, "should_exit", True))
    if noted:
        server.should_exit = True
    server.run(sockets=[listening])
    return 0 if server.started else 1


def _config(workers: int) -> "Config":
    from uvicorn import Config

    from anyscale.server.uvicorn_ext.single_write_protocol import SingleWriteH11Protocol

    return Config(
        "anyscale.server.main:asgi",
        factory=True,
        # The reader of requests that bounds what stands before a body, and refuses what is unclear.
        http=SingleWriteH11Protocol,
        loop="uvloop",
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
