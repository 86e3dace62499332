"""The control plane whose database is on this machine, or reached from it without a token."""

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyscale.server.control_plane import ControlPlane

__all__ = ["database_option", "open_local_control_plane"]


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
def open_local_control_plane(*, create: bool = True) -> "Iterator[ControlPlane]":
    """Open the control plane that the environment names.

    Args:
        create: whether to create the database if it does not exist. Commands that only read or
            remove do not.

    Raises:
        ConfigError: a setting is wrong.
        StoreUnavailable: the database cannot be opened, or does not exist.
    """
    from anyscale.server.control_plane import ControlPlane
    from anyscale.server.settings import Settings

    control_plane = ControlPlane(Settings.from_environment(os.environ, served=True), create=create)
    try:
        control_plane.require_initialized()
        yield control_plane
    finally:
        control_plane.close()
