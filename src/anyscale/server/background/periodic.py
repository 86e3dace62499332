"""Work that a server repeats: the clean-up, and the index of words."""

import asyncio
from collections.abc import Callable
from functools import partial

from anyscale.server.background.failures import log_failure
from anyscale.server.control_plane import ControlPlane

#: seconds between two runs
_CLEAN_UP_SECONDS = 60
_INDEXING_SECONDS = 2


def start_periodic_work(
    control_plane: ControlPlane, are_busy: Callable[[], bool]
) -> list[asyncio.Task[None]]:
    """Start tasks that repeat work in threads until they are cancelled.

    Args:
        control_plane: of the server.
        are_busy: whether requests wait for a thread: the index is filled later.
    """
    fill_index = partial(control_plane.search_index.fill, is_busy=are_busy)
    return [
        asyncio.create_task(
            _repeat("clean-up", partial(_clean_up, control_plane), _CLEAN_UP_SECONDS)
        ),
        asyncio.create_task(_repeat("indexing", fill_index, _INDEXING_SECONDS)),
    ]


async def _repeat(name: str, work: Callable[[], None], seconds: float) -> None:
    """Repeat work in a thread, with pauses of some seconds, even if it fails."""
    while True:
        try:
            await asyncio.to_thread(work)
        except Exception as error:  # noqa: BLE001 - neither a bug nor the database may end it
            log_failure(name, error)
        await asyncio.sleep(seconds)


def _clean_up(control_plane: ControlPlane) -> None:
    """Delete what has expired, and log the head of the audit log."""
    control_plane.clean_up()
    control_plane.audit_log.log_head()
