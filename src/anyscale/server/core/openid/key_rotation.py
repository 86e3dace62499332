"""Creating the next signing key, and revoking the keys before it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec import Struct

from anyscale.errors import ConfigError
from anyscale.server.core.audit.entries import Entry, append_entries
from anyscale.server.core.key_folders import DELAY, delete_on_failure
from anyscale.server.core.openid.key_files import SIGNING_KEYS, SigningKey, create_key
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.transaction import Transaction


class NewKey(Struct, frozen=True):
    """The file of a new key, and whether it signs at once."""

    path: Path
    signs_now: bool


def rotate_keys(
    transactions: Transactions, folder: Path, actor: str, *, revokes_others: bool = False
) -> NewKey:
    """Create the next signing key, and record it with its actor in the audit log.

    It signs after an hour; at once if it is the first key of the control plane, or if it
    `revokes_others`, whose files are then deleted. When this returns, no server signs with a
    revoked key any more.

    Raises:
        ConfigError: the key cannot be created; or files of other keys cannot be deleted, which are
            revoked anyway.
    """
    signs_now = revokes_others or _has_no_key(transactions, folder)
    path = create_key(folder, datetime.now(UTC) + (timedelta() if signs_now else DELAY))
    with delete_on_failure(path), transactions.write_unattended("server key") as tx:
        _record(tx, SIGNING_KEYS.read(path), actor, revokes_others=revokes_others)
    if revokes_others:
        _delete_others(path)
    return NewKey(path, signs_now)


def _has_no_key(transactions: Transactions, folder: Path) -> bool:
    with transactions.read() as tx:
        known = [key for key in tx.public_keys.list() if key.revoked_at is None]
    return not known and not SIGNING_KEYS.read_all(folder).keys


def _record(tx: Transaction, new: SigningKey, actor: str, *, revokes_others: bool) -> None:
    data = {"signs_from": new.signs_from}
    entries = [Entry(actor, "signing_key.created", new.kid, data)]
    tx.public_keys.add(new.public)
    if revokes_others:
        entries += [
            Entry(actor, "signing_key.revoked", key.kid, {})
            for key in tx.public_keys.list()
            if key.revoked_at is None and key.kid != new.kid
        ]
        tx.public_keys.revoke_others(new.kid, tx.now())
    append_entries(tx, entries)


def _delete_others(path: Path) -> None:
    faults = []
    for other in sorted(path.parent.glob("*.pem")):
        if other != path:
            try:
                other.unlink()
            except OSError as error:  # the other files have secrets too
                faults.append(f"cannot delete {other}: {error.strerror}")
    if faults:
        raise ConfigError("; ".join(faults))
