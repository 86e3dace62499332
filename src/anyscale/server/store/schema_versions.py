"""The numbered steps of the schema, and which schemas this version can use."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from anyscale.errors import StoreUnavailable

#: The error of a command that only reads, in a database without a schema.
NOTHING_YET = (
    "there is no control plane yet: `anyscale server create-token` or `anyscale server start` "
    "creates one"
)

#: The error for a database whose tables another first step created. Until 0.1.0 the step is edited.
OTHER_FIRST_STEP = (
    "the database was created by another commit from before the first release, and this version "
    "cannot open it: docs/operations/upgrade.md says how to carry its users over"
)


@cache
def steps_of(database: str) -> Mapping[int, str]:
    """Return the SQL of each step by its number, for `sqlite` or `postgres`."""
    # `importlib.resources` takes 6 ms to load, and is not needed: wheels are unpacked.
    folder = Path(__file__).parent / "migrations" / database
    return {
        int(file.name.partition("_")[0]): file.read_text(encoding="utf-8")
        for file in folder.glob("*.sql")
    }


def checksum_of(steps: Mapping[int, str]) -> str:
    """Return the SHA-256 of the first step, which a database stores."""
    return hashlib.sha256(steps[1].encode()).hexdigest()


def require_first_step(checksum: str | None, steps: Mapping[int, str]) -> None:
    """Raise `StoreUnavailable` unless a database was created by the first step of this version."""
    if checksum != checksum_of(steps):
        raise StoreUnavailable(OTHER_FIRST_STEP)


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
