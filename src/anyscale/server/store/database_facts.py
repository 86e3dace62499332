"""The facts of a database: its version, schema, clock and connections."""

from msgspec import Struct


class ConnectionLimits(Struct, frozen=True):
    """The connections of a PostgreSQL server."""

    #: that it accepts from users who are not superusers
    accepted: int
    #: that programs other than control planes have open
    others: int
    #: that one process of a server has open at most
    per_process: int


class Encryption(Struct, frozen=True):
    """Whether others can read the connection to a PostgreSQL server."""

    #: by a socket, or from this machine to itself
    is_local: bool
    is_encrypted: bool
    #: `sslmode` of libpq: what is required
    mode: str


class DatabaseFacts(Struct, frozen=True, kw_only=True):
    """The facts of a database: its version, schema, clock and connections."""

    #: with its version, such as `PostgreSQL 15.6`
    product: str
    #: whether this program supports that version
    is_supported: bool = True
    #: the number of the last step of its schema; 0 for a blank database
    schema: int
    #: the schema that this program needs
    newest: int
    #: its time in milliseconds since 1970, UTC
    now: int
    #: whether SQLite uses a write-ahead log; None of PostgreSQL
    has_write_ahead_log: bool | None = None
    #: of PostgreSQL
    connections: ConnectionLimits | None = None
    #: of PostgreSQL
    encryption: Encryption | None = None
