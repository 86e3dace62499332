"""Proofs that an operator's command and a server of the same database show each other.

A proof is an HMAC with a random key in the database, which no one else can read. It is valid for a
minute, once in each process. docs/decisions/README.md (14) has the reasons.
"""

import hmac

from anyscale.server.core.secrets import new_secret
from anyscale.server.core.server_keys import server_key
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.transaction import Transaction

#: the name of the key among those of the server
_KEY = "operator_proof"

#: how much the clock of the database may be after the time of a proof
_LIFETIME_MS = 60_000

#: characters
_MAX_LENGTH = 256


def get_operator_key(tx: Transaction) -> bytes | None:
    """Return the key of a database; None before a server has used the database."""
    return tx.server_keys.get(_KEY)


def new_proof(key: bytes, now: int) -> str:
    """Return a proof of the operator's command, at a time of the database's clock."""
    text = f"{now}.{new_secret()}"
    return f"{text}.{_sign(key, 'command', text)}"


def proof_of_server(key: bytes, proof: str) -> str:
    """Return the proof that a server sends in response to a command's proof."""
    return _sign(key, "server", proof)


class OperatorProofs:
    """Verifies the proofs that a server receives. The first server creates the key."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        server_key(transactions, _KEY)
        #: verified proofs, and their times
        self._used: dict[str, int] = {}

    def respond(self, proof: str) -> str | None:
        """Return the proof of this server; None if the caller is not the operator's command."""
        text, _, signature = proof.rpartition(".")
        created = text.partition(".")[0]
        if not (created.isascii() and created.isdigit() and len(proof) < _MAX_LENGTH):
            return None
        with self._transactions.read() as tx:
            key, now = get_operator_key(tx), tx.now()
        if not (key and 0 <= now - int(created) < _LIFETIME_MS):
            return None
        # As octets, because `compare_digest` takes texts only in ASCII.
        if not hmac.compare_digest(signature.encode(), _sign(key, "command", text).encode()):
            return None
        self._used = {old: at for old, at in self._used.items() if now - at < _LIFETIME_MS}
        if proof in self._used:
            return None
        self._used[proof] = int(created)
        return proof_of_server(key, proof)


def _sign(key: bytes, purpose: str, text: str) -> str:
    return hmac.new(key, f"{purpose} {text}".encode(), "sha256").hexdigest()
