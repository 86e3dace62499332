"""Databases that begin with the same accounts, which are created once for each process.

To create two accounts takes as long as all else that a new control plane needs.
"""

from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from tests.support.databases.empty_sqlite import cheap_control_plane, place_file

from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings

T = TypeVar("T")


def filled_control_plane(
    settings: Settings, fill: Callable[[ControlPlane], T]
) -> tuple[ControlPlane, T]:
    """Make a control plane on a new database that `fill` has filled.

    On SQLite it gets a copy of one with the default settings.

    Args:
        settings: of the control plane, which the caller closes.
        fill: the same function for all that want the same rows.

    Returns:
        The control plane, and what `fill` returned.
    """
    if isinstance(settings.database, Path):
        content, filled = _filled(fill)
        place_file(settings.database, content)
        return cheap_control_plane(settings), filled
    control_plane = cheap_control_plane(settings)
    return control_plane, fill(control_plane)


@cache
def _filled(fill: Callable[[ControlPlane], Any]) -> tuple[bytes, Any]:
    with TemporaryDirectory() as folder:
        database = Path(folder) / "filled.db"
        with closing(cheap_control_plane(Settings(database=database))) as control_plane:
            filled = fill(control_plane)
        return database.read_bytes(), filled
