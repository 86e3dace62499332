"""Start and stop the server process: sockets, signals, uvicorn."""

import errno
import gc
import logging
import os
import re
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyscale.errors import ConfigError
from anyscale.malloc import return_large_blocks
from anyscale.server.control_plane import ControlPlane
from anyscale.server.other_host import is_meant_for_other_host
from anyscale.server.settings import Settings, unknown_variables

if TYPE_CHECKING:  # loaded only by the server
    from uvicorn import Config

_log = logging.getLogger("anyscale.server")

#: seconds that a shutdown waits for requests in progress
_GRACE_SECONDS = 60

#: Seconds after which a computing thread gives up the interpreter. With Python's 5 ms, a request
#: for the server's health waits that long while a chunk of users is checked.
_SWITCH_SECONDS = 0.0002


def asgi() -> Any:
    """Create the application of one server process from the environment."""
    from anyscale.server.logging_config import configure_logging

    configure_logging()
    return _create_application()


def worker_asgi() -> Any:
    """Create the application of one of several processes of a server."""
    from anyscale.server.logging_config import configure_logging
    from anyscale.server.uvicorn_ext.workers import set_up_worker

    configure_logging()  # first, because a thread that `set_up_worker` starts writes to the log
    set_up_worker()
    return _create_application()


def _create_application() -> Any:
    # Modules and routes never become garbage. Collections during the start took a tenth of its
    # processor time, and a later one that visited them took 20 ms.
    gc.disable()
    from anyscale.server.http.app import application

    sys.setswitchinterval(_SWITCH_SECONDS)
    return_large_blocks()
    # The memory has passwords and links, also of some that are freed.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    settings = Settings.from_environment(os.environ, served=True)
    app = application(ControlPlane(settings, hash_in_processes=True))
    gc.collect()
    gc.freeze()
    gc.enable()
    _notify_service_manager()
    return app


def _notify_service_manager() -> None:
    """Tell systemd, if it has started the server, that it listens and can use its database.

    Each worker does so, and the first one counts (sd_notify(3)).
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifications:
            # `@` stands for the abstract namespace.
            notifications.connect(re.sub("^@", "\0", address))
            notifications.send(b"READY=1")


def serve(host: str, port: int, workers: int) -> int:
    """Serve until a signal arrives, finish the requests in progress, and return the exit status.

    Port 0 stands for any free one.

    Raises:
        ConfigError: a setting is wrong, or the address is in use.
        StoreUnavailable: the database cannot be opened.
    """
    from anyscale.server.logging_config import configure_logging

    configure_logging()
    for unknown in unknown_variables(os.environ):
        _log.warning(unknown)
    settings = Settings.from_environment(os.environ, served=True)
    if is_meant_for_other_host(os.environ):
        _log.warning(
            "ANYSCALE_HOST is set, but this server creates a database of its own",
            extra={"database": str(settings.database)},
        )
    _prepare_database(settings)
    with _warn_of_second_server(settings.database):
        return _listen_and_run(host, port, workers)


def _listen_and_run(host: str, port: int, workers: int) -> int:
    listening = _listen(host, port)
    signals: list[int] = []  # They arrive before uvicorn handles signals.
    _handle_signals(signals.append)
    address = f"{host}:{listening.getsockname()[1]}"
    _log.info("listening", extra={"address": address, "workers": workers})
    return _run(listening, workers, signals)


def _prepare_database(settings: Settings) -> None:
    """Create or migrate the database before any worker starts, and log its state.

    What would stop each worker raises here, once.
    """
    control_plane = ControlPlane(settings)
    try:
        if not control_plane.tokens.any_exists():
            _log.warning("no token yet: create one by `anyscale server create-token`")
        control_plane.audit_log.log_head()
        control_plane.prepare_seed_keys()
        control_plane.sessions.prepare(settings.second_factor)
    finally:
        control_plane.close()


@contextmanager
def _warn_of_second_server(database: Path | str) -> Iterator[None]:
    """Warn if another server has the same SQLite file; during the block, others find this one."""
    if isinstance(database, str):  # PostgreSQL, for any number of servers
        yield
        return
    from anyscale.server.store.sqlite.server_lock import lock_for_server

    with lock_for_server(database) as is_only_one:
        if not is_only_one:
            _log.warning(
                "another server has this database: use PostgreSQL for several servers",
                extra={"database": str(database)},
            )
        yield


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise ConfigError(f"cannot listen at {host}:{port}: {_reason(error)}") from None
    # Accepted connections inherit it, whatever the event loop sets. Without it the kernel delays
    # the end of a response until the client acknowledges the start: 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.set_inheritable(True)
    return listening


_ADVICE = {
    errno.EADDRINUSE: "another program listens there: end it, or choose another --port",
    errno.EADDRNOTAVAIL: "it is not an address of this machine: choose another --host",
    errno.EACCES: "this user may not use the port: choose a --port from 1024 on",
}


def _reason(error: OSError) -> str:
    # Python adds the address, which the message has already.
    reason = str(error.strerror).partition(" (while")[0]
    advice = _ADVICE.get(error.errno or 0)
    return f"{reason}: {advice}" if advice else reason


def _handle_signals(handle: Callable[[int], object]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: handle(number))


def _run(listening: socket.socket, workers: int, signals: list[int]) -> int:
    # While uvicorn runs, its own handlers receive the signals. After its shutdown it restores the
    # handlers from before and raises the signals again: ours then change nothing.
    if workers > 1:
        return _run_workers(listening, workers, signals)
    from uvicorn import Server

    server = Server(_config(workers))
    _handle_signals(lambda _: setattr(server, "should_exit", True))
    if signals:
        server.should_exit = True
    server.run(sockets=[listening])
    return 0 if server.started else 1


def _run_workers(listening: socket.socket, workers: int, signals: list[int]) -> int:
    from anyscale.server.uvicorn_ext.workers import SupervisedWorkers

    with _folder_of_metrics() as metrics:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics
        supervisor = SupervisedWorkers(_config(workers), [listening])
        supervisor.signal_queue += signals
        supervisor.run()
    return 0


def _folder_of_metrics() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory()
    except OSError as error:
        reason = f"several workers need a temporary folder: {error.strerror}"
        raise ConfigError(f"{reason}: name one by TMPDIR") from None


def _config(workers: int) -> "Config":
    from uvicorn import Config

    from anyscale.server.uvicorn_ext.strict_protocol import StrictH11Protocol

    return Config(
        "anyscale.server.main:worker_asgi" if workers > 1 else "anyscale.server.main:asgi",
        factory=True,
        # Based on h11, which limits the size of headers, and refuses ambiguous requests.
        http=StrictH11Protocol,
        proxy_headers=False,  # the application applies them
        loop="uvloop",
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
