"""What PostgreSQL says, for people, and never with the password of its URL."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from anyscale.errors import StoreUnavailable

__all__ = ["DatabaseAddress", "translated"]

_REASONS = {
    "53100": "the disk is full: make room, then run the same command again",
    "53200": "it is out of memory: try again later",
    "53300": "it has too many connections: try again later, or raise its max_connections",
    "53400": "it is at one of its limits: try again later",
    "55P03": "another transaction has been holding the same rows for too long: try again later",
    "57014": "a statement took too long: try again later",
    "57P01": "it is being shut down: try again when it is back",
    "57P02": "it is being shut down: try again when it is back",
    "57P03": "it is starting or being shut down: try again when it is back",
    "25006": "it is read-only: give the URL of the primary",
    "25P03": "this program was stopped for too long in the middle of a transaction",
    "42P01": "it is not set up: start a server, which does so",
}

_MALFORMED = (
    "the database's URL cannot be read: it must be postgresql://user:password@host:port/name, "
    "and special characters of the password are written as in %40 for @"
)


class DatabaseAddress:
    """A database as a URL names it.

    Args:
        url: `postgresql://...`, as libpq takes it.

    Raises:
        StoreUnavailable: it cannot be read.
    """

    def __init__(self, url: str) -> None:
        #: as libpq takes them, by name
        self.parts: dict[str, Any] = {}
        with suppress(psycopg.Error):
            self.parts = dict(conninfo_to_dict(url))
        if not _is_plain(self.parts):
            # Neither libpq's message nor its cause: they cite what they could not read.
            raise StoreUnavailable(_MALFORMED)

    def __str__(self) -> str:
        parts = self.parts
        host = parts.get("host") or parts.get("hostaddr") or "this machine"
        port = f":{parts['port']}" if parts.get("port") else ""
        return f"the database {parts.get('dbname') or ''} at {host}{port}".replace("  ", " ")

    def message(self, error: psycopg.Error) -> str:
        """Say what is wrong, and where."""
        said = " ".join(str(error).split()) or type(error).__name__
        if password := self.parts.get("password"):
            said = said.replace(str(password), "***")
        return f"{self}: {_REASONS.get(error.sqlstate or '') or said}"


@contextmanager
def translated(place: DatabaseAddress, *, begun: bool = False) -> Iterator[None]:
    """Turn what PostgreSQL and its driver say into our error."""
    try:
        yield
    except psycopg.Error as error:
        raise StoreUnavailable(place.message(error), outcome_unknown=begun) from error


def _is_plain(parts: dict[str, Any]) -> bool:
    """Whether a URL was read as it was meant.

    Of a password with a / or a second @ a part becomes the host, the port or the name, which
    messages cite.
    """
    ports = str(parts.get("port") or "").replace(",", "")
    cited = f"{parts.get('host', '')}{parts.get('dbname', '')}"
    return bool(parts) and (not ports or ports.isdecimal()) and "@" not in cited
