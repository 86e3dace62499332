"""Whether a command of the operator was probably meant for the server at `ANYSCALE_HOST`."""

from collections.abc import Mapping
from pathlib import Path

from anyscale.errors import StoreUnavailable
from anyscale.server.control_plane import database_exists

__all__ = ["is_meant_for_other_host"]


def is_meant_for_other_host(environment: Mapping[str, str], database: Path | str) -> bool:
    """Return whether the environment names a server, and no database, and there is none here.

    Args:
        environment: the variables.
        database: the one that they name, or the default one.
    """
    names_database = bool(environment.get("ANYSCALE_DATABASE_URL", "").strip())
    if not environment.get("ANYSCALE_HOST") or names_database or isinstance(database, str):
        return False
    try:
        return not database_exists(database)
    except StoreUnavailable:  # it exists, or may exist
        return False
