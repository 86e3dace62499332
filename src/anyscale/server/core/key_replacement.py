"""Replacing the keys that a database has, after a copy of it was stolen."""

import os
from collections.abc import Mapping, Sequence
from typing import Final

from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.transactions import Transactions

#: what ends with each key when it is replaced, for the operator
WHAT_ENDS: Final[Mapping[str, str]] = {
    "authorization_requests": "users on their way to an application open the application again",
    "operator_proof": "an `anyscale server check` that runs now is to be run again",
    "passkey_challenges": "pages that wait for a passkey are to be loaded again",
    "password_resets": "requests for links by mail are counted anew",
    "sso_cookie": "users at the identity provider begin their sign-in again",
}


def what_ends(transactions: Transactions) -> Sequence[str]:
    """Return the names of the keys that a database has, each with what ends with it."""
    with transactions.read() as tx:
        names = tx.server_keys.names()
    return [f"{name}: {WHAT_ENDS.get(name, 'a key of another version')}" for name in names]


def replace_server_keys(transactions: Transactions, actor: str) -> int:
    """Replace each key that a database has, and count them. The audit log records the actor.

    A running server uses the former keys until it is restarted.
    """
    with transactions.write_unattended("server key") as tx:
        names = tx.server_keys.names()
        for name in names:
            tx.server_keys.replace(name, os.urandom(32))
        append_entry(tx, actor, "server_keys.replaced", "", {"names": list(names)})
    return len(names)
