"""Files with our schema and no users, for SQLite.

Each is a copy of one that the store made in this process: the steps of the schema take ten times as
long as a copy, and tests/store runs them on empty files.
"""

import os
import secrets
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from anyscale.server.control_plane import ControlPlane
from anyscale.server.core.hashing.pool import CHEAPEST
from anyscale.server.settings import Settings
from anyscale.server.store.schema_versions import steps_of
from anyscale.server.store.sqlite.store import SqliteStore


def cheap_control_plane(settings: Settings) -> ControlPlane:
    """Make a control plane with the cheapest hashing profile; the caller closes it."""
    if isinstance(settings.database, Path):
        place_empty_file(settings.database)
    return ControlPlane(settings, profile=CHEAPEST)


def place_empty_file(path: Path) -> None:
    """Create the file and its folder, both for this user only, where there is no file."""
    if not path.exists():
        place_file(path, _content(max(steps_of("sqlite"))))


def place_file(path: Path, content: bytes) -> None:
    """Create a file with a content and its folder, unless another thread has created it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    with suppress(FileExistsError):
        os.link(new, path)  # whole at once, and never over a file that another thread made
    new.unlink()


@cache
def _content(schema: int) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        with closing(SqliteStore(path)) as store:
            assert store.schema() == schema
        return path.read_bytes()
