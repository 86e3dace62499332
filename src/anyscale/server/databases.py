"""The database of a control plane: whether it exists, its name, and opening it."""

from pathlib import Path

from anyscale.domain.struct_types import examine_structs
from anyscale.errors import StoreUnavailable
from anyscale.server.settings import Settings
from anyscale.server.store.transaction import Store


def database_exists(path: Path) -> bool:
    """Return whether a SQLite database exists; create and change nothing.

    Raises:
        StoreUnavailable: it cannot be examined, or it is not this user's: see `check_path`.
    """
    from anyscale.server.store.sqlite.database_file import check_path

    try:
        return check_path(path)
    except OSError as error:  # a file that cannot be examined may contain users
        raise StoreUnavailable(f"{path}: {error.strerror}") from error


def database_name(database: Path | str) -> str:
    """Return the words for a database in messages: its place, never the password of its URL.

    Raises:
        StoreUnavailable: the URL cannot be parsed.
    """
    if isinstance(database, Path):
        return f"the database at {database}"
    from anyscale.server.store.postgres.errors import DatabaseAddress

    return str(DatabaseAddress(database))


def open_store(settings: Settings, *, create: bool) -> Store:
    """Open the database of settings.

    Raises:
        StoreUnavailable: it cannot be opened.
    """
    examine_structs()  # records: threads share the store
    if isinstance(settings.database, str):
        from anyscale.server.store.postgres.store import PostgresStore

        return PostgresStore(settings.database, create=create, has_provider=settings.has_provider)
    from anyscale.server.store.sqlite.store import SqliteStore

    return SqliteStore(settings.database, create=create, has_provider=settings.has_provider)
