"""The SDK's calls about batches: `anyscale.batch` and `Anyscale(...).batch`."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing

from anyscale.batch.undo_batch import undo_batch
from anyscale.call_report import LOGGER
from anyscale.config import Target, resolve
from anyscale.domain.models.base import check_type
from anyscale.domain.models.batches import Batch, UndoneBatch
from anyscale.errors import ConfigError, NotFound
from anyscale.keyword_hints import keyword_hints
from anyscale.transport import open_transport
from anyscale.transport.base import Transport

#: batches per request
_PAGE = 500


class BatchCalls:
    """The calls about batches.

    Args:
        resolve_target: finds the control plane for each call, since the environment may change.
    """

    def __init__(self, resolve_target: Callable[[], Target]) -> None:
        self._resolve_target = resolve_target

    @keyword_hints
    def list(self, *, open_only: bool = False, max_items: int | None = None) -> Iterator[Batch]:
        """List batches, the latest first.

        Args:
            open_only: Only unfinished batches: those in the states `open` and `undoing`.
            max_items: At most this many.

        Raises:
            ConfigError: an argument is wrong. As with all errors, at the first iteration.
        """
        check_type("max_items", max_items, int, type(None))
        if max_items is not None and max_items < 0:
            raise ConfigError("max_items must be 0 or more")
        with closing(self._open()) as transport:
            yield from list_batches(transport, open_only=open_only, max_items=max_items)

    @keyword_hints
    def show(self, batch_id: str) -> Batch:
        """Show one batch: its state, its counts, the actor that opened it and when.

        Args:
            batch_id: `bat_...`

        Raises:
            NotFound: there is no such batch.
        """
        _check_id(batch_id)
        with closing(self._open()) as transport:
            return transport.batches.show(batch_id)

    @keyword_hints
    def drop(self, batch_id: str) -> Batch:
        """Drop an unfinished batch: nobody is created, and its emails are free again.

        Args:
            batch_id: `bat_...`

        Raises:
            NotFound: there is no such batch.
            BatchGone: the batch is published.
        """
        _check_id(batch_id)
        with closing(self._open()) as transport:
            return transport.batches.drop(batch_id)

    @keyword_hints
    def undo(self, batch_id: str, *, force: bool = False, dry_run: bool = False) -> UndoneBatch:
        """Delete the accounts that a batch created. If it fails half-way, the same call continues.

        Accounts that were used since are kept, unless forced. The last owner and the caller's own
        account are always kept.

        Args:
            batch_id: `bat_...`
            force: Delete also accounts that were used since, with their sessions and tokens.
            dry_run: Only return what would be deleted and kept.

        Raises:
            NotFound: there is no such batch.
            BatchGone: it is open, or was never published.
            BatchUnfinished: a call failed after accounts were deleted, or may have been.
        """
        _check_id(batch_id)
        check_type("force", force, bool)
        check_type("dry_run", dry_run, bool)
        with closing(self._open()) as transport:
            batch = transport.batches.show(batch_id)
            return undo_batch(transport, batch, force=force, dry_run=dry_run)

    def _open(self) -> Transport:
        return open_transport(self._resolve_target(), on_notice=LOGGER.warning)


def _check_id(batch_id: str) -> None:
    check_type("batch_id", batch_id, str)
    if not batch_id.isascii():  # a database refuses a lone surrogate
        raise NotFound(f"there is no batch {batch_id!a}")


def list_batches(
    transport: Transport, *, open_only: bool, max_items: int | None
) -> Iterator[Batch]:
    """Iterate over batches, the latest first, page by page."""
    before, remaining = "", sys.maxsize if max_items is None else max_items
    while remaining > 0:
        page = transport.batches.list(
            open_only=open_only, before=before, limit=min(_PAGE, remaining)
        )
        if not page:
            return
        yield from page
        remaining -= len(page)
        before = page[-1].batch_id


#: The calls on the control plane that the environment names at the time of each call.
default_calls: BatchCalls = BatchCalls(lambda: resolve(None, None))
