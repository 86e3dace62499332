"""A transaction of a store: one class a subject, over one connection."""

from anyscale.server.store.batch_interface import Users
from anyscale.server.store.sql.accounts import SqlAccounts
from anyscale.server.store.sql.audit import SqlAudit
from anyscale.server.store.sql.batches import SqlBatches, SqlChunks
from anyscale.server.store.sql.connection import Connection
from anyscale.server.store.sql.credentials import SqlIdentities, SqlLinks
from anyscale.server.store.sql.sessions import SqlDevices, SqlSessions
from anyscale.server.store.sql.tokens import SqlTokens

__all__ = ["SqlTransaction"]


class SqlTransaction:
    """See `interface.Transaction`.

    Args:
        connection: in a transaction.
        users: the database's own way to insert them.
    """

    def __init__(self, connection: Connection, users: Users) -> None:
        self.connection = connection
        self.now = connection.now
        self.batches = SqlBatches(connection)
        self.chunks = SqlChunks(connection)
        self.users = users
        self.accounts = SqlAccounts(connection)
        self.sessions = SqlSessions(connection)
        self.devices = SqlDevices(connection)
        self.links = SqlLinks(connection)
        self.identities = SqlIdentities(connection)
        self.tokens = SqlTokens(connection)
        self.audit = SqlAudit(connection)
