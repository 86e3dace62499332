"""The numbered steps of a schema, and which of them a database may have taken."""

from pathlib import Path

from anyscale.errors import StoreUnavailable

__all__ = ["NOTHING_YET", "refuse_newer", "require_current", "steps_of"]

#: What is said to who only looks where nothing was ever set up.
NOTHING_YET = (
    "there is no control plane yet: `anyscale server create-token` or `anyscale server start` "
    "makes one"
)


def steps_of(database: str) -> dict[int, str]:
    """Read the steps.

    Args:
        database: the name of their folder, `sqlite` or `postgres`.
    """
    # Not importlib.resources, which takes 6 ms to load: wheels are unpacked.
    folder = Path(__file__).parent / "migrations" / database
    return {
        int(file.name.partition("_")[0]): file.read_text(encoding="utf-8")
        for file in folder.glob("*.sql")
    }


def refuse_newer(found: int, newest: int) -> None:
    """Leave a database alone that has taken more steps than this version knows.

    Raises:
        StoreUnavailable: it has.
    """
    if found > newest:
        raise StoreUnavailable(
            f"the database has schema {found}, and this version knows {newest}: "
            "use the version of musterroll that made it, or a newer one"
        )


def require_current(found: int, newest: int) -> None:
    """Make sure that a database has taken exactly the steps that this version knows.

    Raises:
        StoreUnavailable: it has taken more, or fewer.
    """
    refuse_newer(found, newest)
    if found < newest:
        raise StoreUnavailable(
            f"the database has schema {found}, and this version needs {newest}: "
            "start a server of this version, which brings it up"
        )
