"""`anyscale server start` and `anyscale server migrate`."""

import os

import click

from anyscale.cli.options import WholeNumber, not_empty
from anyscale.cli.server.connect import database_option, open_local_control_plane
from anyscale.cli.terminal import log
from anyscale.server.settings import ListenSettings


@click.command("start")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    callback=not_empty,  # an empty address would be all of this machine's
    help="The address to listen at.",
)
@click.option(
    "--port",
    type=WholeNumber(0, 65535),
    help="The port to listen at; 0 for any free one, which the log names. Default: ANYSCALE_PORT, "
    "else 8000.",
)
@click.option(
    "--workers",
    type=WholeNumber(1, 256),
    help="Processes that handle requests. Default: ANYSCALE_WORKERS, else 1.",
)
@database_option
def start(host: str, port: int | None, workers: int | None) -> None:
    """Start the server; a signal stops it, after the requests in progress.

    It is ready when GET /readyz responds with 200. It speaks plain HTTP: put a proxy with TLS in
    front. Environment variables are its settings; `anyscale server check` examines them.

    \b
    Example:
      anyscale server start --port 8000
    """
    from anyscale.server.main import serve

    listen = ListenSettings.from_environment(os.environ, port=port, workers=workers)
    click.get_current_context().exit(serve(host, listen.port, listen.workers))


@click.command("migrate")
@database_option
def migrate() -> None:
    """Upgrade the schema of the database to this version, as `server start` does.

    \b
    Example:
      anyscale server migrate --database postgresql:///anyscale
    """
    with open_local_control_plane() as control_plane:
        store = control_plane.store
        log(_migrated(store.found_schema, store.schema()))


def _migrated(before: int, now: int) -> str:
    if before == now:
        return f"The database has the schema of this version ({now})."
    if not before:
        return f"The tables of a new control plane are created, with schema {now}."
    return f"The schema was {before} and is now {now}."
