"""Random keys that all servers of a database share, and nobody can derive from other data."""

import os

from anyscale.server.core.transactions import Transactions


def server_key(transactions: Transactions, name: str) -> bytes:
    """Return the key of 256 random bits that has a name; the first use creates it."""
    with transactions.read() as tx:
        key = tx.server_keys.get(name)
    if key is None:
        with transactions.write_unattended("server key") as tx:
            tx.server_keys.add(name, os.urandom(32))
            # Another server may have created it.
            key = tx.server_keys.get(name)
    assert key is not None
    return key
