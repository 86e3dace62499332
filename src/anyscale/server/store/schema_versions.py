"""The numbered steps of the schema, and which schema versions can be used."""

from collections.abc import Callable, Mapping
from pathlib import Path

from anyscale.errors import StoreUnavailable
from anyscale.server.store.migrations.folded_lastnames import fold_lastnames
from anyscale.server.store.migrations.folded_texts import fold_texts
from anyscale.server.store.sql.connection import Connection

__all__ = ["NOTHING_YET", "PYTHON_STEPS", "refuse_newer", "require_current", "steps_of"]

#: Run after the SQL of a step, in the same transaction.
PYTHON_STEPS: Mapping[int, Callable[[Connection], None]] = {4: fold_texts, 5: fold_lastnames}

#: The error of a command that only reads, in a database without a schema.
NOTHING_YET = (
    "there is no control plane yet: `anyscale server create-token` or `anyscale server start` "
    "makes one"
)


def steps_of(database: str) -> dict[int, str]:
    """Return the SQL of each step by its number, for `sqlite` or `postgres`."""
    # `importlib.resources` takes 6 ms to load, and is not needed: wheels are unpacked.
    folder = Path(__file__).parent / "migrations" / database
    return {
        int(file.name.partition("_")[0]): file.read_text(encoding="utf-8")
        for file in folder.glob("*.sql")
    }


def refuse_newer(found: int, newest: int) -> None:
    """Raise `StoreUnavailable` for a database that a newer version has migrated."""
    if found < 0:
        raise StoreUnavailable(f"the database is damaged, with schema {found}: restore a backup")
    if found > newest:
        raise StoreUnavailable(
            f"the database has schema {found}, and this version knows {newest}: "
            "use the version of musterroll that created it, or a newer one"
        )


def require_current(found: int, newest: int) -> None:
    """Raise `StoreUnavailable` unless a database has exactly the schema of this version."""
    refuse_newer(found, newest)
    if found < newest:
        raise StoreUnavailable(
            f"the database has schema {found}, and this version needs {newest}: "
            "start a server of this version, which brings it up"
        )
