"""Copies the whole control plane into an empty database, for the operator.

Ids, passwords, sessions, tokens, open batches and the audit log stay the same. The entry about the
copy is in both databases; docs/decisions/0032-copy.md has the reasons.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from anyscale.server.core.audit.entries import append_entry
from anyscale.server.core.callers import SystemCaller
from anyscale.server.core.permissions import Permission
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.copying import copy_tables, new_database, without_server

COPIED: Final = "database.copied"


def copy_database(
    transactions: Transactions,
    source: Path | str,
    target: Path | str,
    caller: SystemCaller,
    report: Callable[[int, int], None],
) -> Mapping[str, int]:
    """Copy all tables; return the number of rows by table.

    Nothing else writes during the copy. The new database is complete or blank at any moment; if
    this process is killed after the new one is complete, only the entry is missing in the old one.

    Args:
        transactions: of the source.
        source: the address of the database.
        target: the address of the new one.
        caller: the operator.
        report: receives the number of rows that are copied, and of all.

    Raises:
        StoreUnavailable: a server has the source, the target is not empty, or one of them fails.
    """
    with without_server(source), transactions.write_for(caller, Permission.OPERATE) as (tx, _):
        tx.connection.hold_tables()
        kind = "PostgreSQL" if isinstance(target, str) else "SQLite"
        append_entry(tx, caller.actor, COPIED, "", {"to": kind})
        # It commits before the source does.
        with new_database(target) as filled:
            return copy_tables(tx, filled, report)
