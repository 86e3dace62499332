"""The table `server_keys`."""

from collections.abc import Sequence

from anyscale.server.store.sql.connection import Table


class ServerKeys(Table):
    """Random keys that all servers of the database share."""

    def get(self, name: str) -> bytes | None:
        """Return a key, or None before its first use."""
        keys = self._connection.column("select key from server_keys where name = ?", name)
        return bytes(keys[0]) if keys else None

    def add(self, name: str, key: bytes) -> None:
        """Store a key, unless there is one of this name."""
        sql = "insert into server_keys (name, key) values (?, ?) on conflict do nothing"
        self._connection.execute(sql, name, key)

    def names(self) -> Sequence[str]:
        return self._connection.column("select name from server_keys order by name")

    def replace(self, name: str, key: bytes) -> None:
        """Store another key in place of the one that there is."""
        self._connection.execute("update server_keys set key = ? where name = ?", key, name)
