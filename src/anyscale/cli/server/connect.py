"""The control plane of a database that this machine can open, without a token."""

import os
from contextlib import closing, contextmanager
from shlex import quote
from typing import TYPE_CHECKING, Final

import click

from anyscale.cli.options import not_empty
from anyscale.cli.terminal import log
from anyscale.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyscale.server.control_plane import ControlPlane

_OTHER_HOST = (
    "ANYSCALE_HOST is set, but this command uses the database of this machine, which does not "
    "exist yet: to work on that server, run it on the machine of the server"
)

_NO_SECOND_DATABASE = (
    "ANYSCALE_HOST is set, and this command would create {}: to work on that server, run it on the "
    "machine of the server; to create a control plane here, unset ANYSCALE_HOST or pass "
    "--database {}"
)


def _use_database(ctx: click.Context, option: click.Parameter, url: str | None) -> None:
    url = not_empty(ctx, option, url)
    if url is not None:
        # The processes that a server starts read the environment as well.
        os.environ["ANYSCALE_DATABASE_URL"] = url


database_option: Final = click.option(
    "--database",
    metavar="URL",
    expose_value=False,
    callback=_use_database,
    help="sqlite:///path or postgresql://... Default: ANYSCALE_DATABASE_URL, which other users of "
    "this machine do not see, else anyscale.db in the data directory.",
)


@contextmanager
def open_local_control_plane(*, create: bool = True) -> "Iterator[ControlPlane]":
    """Open the control plane that the environment names.

    Commands that only read or remove do not `create` a database that does not exist. The others log
    its name: without the server's settings, it is a new database.

    Raises:
        ConfigError: a setting is wrong, or the command would create a database although it was
            probably meant for the server at `ANYSCALE_HOST`.
        StoreUnavailable: the database cannot be opened, or does not exist.
    """
    # Imported on use: the help of a command needs none of it.
    from anyscale.server.control_plane import ControlPlane
    from anyscale.server.databases import database_name
    from anyscale.server.other_host import is_meant_for_other_host
    from anyscale.server.settings import Settings

    settings = Settings.from_environment(os.environ, served=True)
    if is_meant_for_other_host(os.environ):
        if create:
            url = quote(f"sqlite:///{settings.database}")
            raise ConfigError(_NO_SECOND_DATABASE.format(settings.database, url))
        log(_OTHER_HOST)
    if create:
        log(f"Using {database_name(settings.database)}")
    with closing(ControlPlane(settings, create=create)) as control_plane:
        control_plane.require_initialized()
        yield control_plane
