"""The control plane whose database is on this machine, or reached from it without a token."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager

import click

from anyscale.cli.console import log
from anyscale.server.control_plane import ControlPlane, database_name
from anyscale.server.other_host import is_meant_for_other_host
from anyscale.server.settings import Settings

__all__ = ["database_option", "open_local_control_plane"]

_OTHER_HOST = (
    "ANYSCALE_HOST is set, but this command uses the database of this machine, which does not "
    "exist yet: to work on that server, run it on the machine of the server"
)


def _use_database(_ctx: click.Context, _option: click.Parameter, url: str | None) -> None:
    # The processes that a server starts read the environment as well.
    if url is not None:
        os.environ["ANYSCALE_DATABASE_URL"] = url


database_option = click.option(
    "--database",
    metavar="URL",
    expose_value=False,
    callback=_use_database,
    help="sqlite:///path or postgresql://... Default: ANYSCALE_DATABASE_URL, which other users of "
    "this machine do not see, else anyscale.db in the data directory.",
)


@contextmanager
def open_local_control_plane(*, create: bool = True) -> Iterator[ControlPlane]:
    """Open the control plane that the environment names.

    Commands that only read or remove do not `create` a database that does not exist. The others
    name theirs in a log line: without the server's settings, it is a new one.

    Raises:
        ConfigError: a setting is wrong.
        StoreUnavailable: the database cannot be opened, or does not exist.
    """
    settings = Settings.from_environment(os.environ, served=True)
    if create:
        log(f"Using {database_name(settings.database)}")
    if is_meant_for_other_host(os.environ, settings.database):
        log(_OTHER_HOST)
    with closing(ControlPlane(settings, create=create)) as control_plane:
        control_plane.require_initialized()
        yield control_plane
