"""What a call may have written."""

from tests.support.databases.stored_data import execute_sql

from anyscale.server.control_plane import ControlPlane

TABLES = (
    *("batches", "chunks", "users", "sessions", "half_sign_ins", "devices", "links", "tokens"),
    *("factors", "recovery_codes", "factor_states"),
    *("applications", "grants", "outbox", "mailings", "syncs", "sync_answers", "audit"),
)


def rows(control_plane: ControlPlane) -> dict[str, list[str]]:
    """Return the rows of each table that a call may write to."""
    with control_plane.store.read() as tx:
        return {
            table: sorted(map(repr, execute_sql(tx, f"select * from {table}").fetchall()))
            for table in TABLES
        }
