"""Whether a command of the operator was probably meant for the server at `ANYSCALE_HOST`."""

from collections.abc import Mapping

from anyscale.errors import StoreUnavailable
from anyscale.server.databases import database_exists
from anyscale.server.environment_values import default_database

#: A variable that is set chooses the database: the image of the container has the data directory.
_CHOICES = ("ANYSCALE_DATABASE_URL", "ANYSCALE_DATA_DIR")


def is_meant_for_other_host(environment: Mapping[str, str]) -> bool:
    """Return whether the environment names a server, chooses no database, and none exists here.

    Raises:
        ConfigError: the user has no home, where the database could be.
    """
    is_chosen = any(environment.get(name, "").strip() for name in _CHOICES)
    if is_chosen or environment.get("ANYSCALE_HOST", "") in ("", "embedded"):
        return False
    try:
        return not database_exists(default_database(environment))
    except StoreUnavailable:  # it exists, or may exist
        return False
