"""Messages for errors of PostgreSQL, never with the password of its URL."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from anyscale.errors import StoreUnavailable

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
    """The address of a database, from its URL as libpq takes it.

    Raises:
        StoreUnavailable: the URL cannot be parsed.
    """

    def __init__(self, url: str) -> None:
        #: the parameters of libpq, by name
        self.parts: dict[str, Any] = {}
        with suppress(psycopg.Error):
            self.parts = dict(conninfo_to_dict(url))
        if not _is_plain(self.parts):
            # The message and the cause of libpq are left out: they cite the part that could not be
            # parsed.
            raise StoreUnavailable(_MALFORMED)

    def __str__(self) -> str:
        parts = self.parts
        host = parts.get("host") or parts.get("hostaddr") or "this machine"
        port = f":{parts['port']}" if parts.get("port") else ""
        return f"the database {parts.get('dbname') or ''} at {host}{port}".replace("  ", " ")

    def message(self, error: psycopg.Error) -> str:
        """Return a message with the database, the error and what to do."""
        # The details of PostgreSQL are left out: they may cite a row.
        text = error.diag.message_primary or str(error)
        # libpq begins a line with its question "Is the server running ...?"
        text = " ".join(text.replace("\n\tIs ", ": is ").split()) or type(error).__name__
        if password := self.parts.get("password"):
            text = text.replace(str(password), "***")
        return f"{self}: {_REASONS.get(error.sqlstate or '') or text}"


@contextmanager
def translated(address: DatabaseAddress, *, outcome_unknown: bool = False) -> Iterator[None]:
    """Raise errors of PostgreSQL and of its driver as `StoreUnavailable`."""
    try:
        yield
    except psycopg.Error as error:
        raise StoreUnavailable(address.message(error), outcome_unknown=outcome_unknown) from error


def _is_plain(parts: dict[str, Any]) -> bool:
    """Whether a URL was parsed as it was meant.

    A password with an unescaped `/` or `@` is parsed as host, port or database name, and would leak
    into messages.
    """
    ports = str(parts.get("port") or "").replace(",", "")
    cited = f"{parts.get('host', '')}{parts.get('dbname', '')}"
    return bool(parts) and (not ports or ports.isdecimal()) and "@" not in cited
