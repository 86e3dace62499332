"""Decide about entries whose emails others have: skip them, wait for them, or refuse the batch.

An email is taken by an account, by another entry of the batch, or by another open batch that has
reserved it. Only the last of these can end while the run waits.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from itertools import islice

from anyscale.batch_run.run_calls import BatchCalls
from anyscale.domain.conflicts import is_skipped
from anyscale.domain.models.batches import Batch, Conflict
from anyscale.domain.times import TIME
from anyscale.errors import AnyscaleError, BatchGone

#: Returns a context manager: it gives whether no process works on an open batch, and keeps other
#: processes from resuming the batch until it is left.
IsAbandoned = Callable[[str], AbstractContextManager[bool]]

# A control plane does not report the end of a batch, so a run polls for it. Of two batches that
# meet, one continues within a chunk: to poll more often would only slow it down.
_POLL_SECONDS = 0.2

#: batches that are described when a batch is refused; each problem names its own
_MOST_LOGGED = 5


class EmailConflicts:
    """The rules for taken emails, and what one run has done about them so far."""

    def __init__(
        self,
        batches: BatchCalls,
        if_exists: str,
        is_abandoned: IsAbandoned,
        log: Callable[[str], None],
        wait_seconds: float,
        drop_command: Callable[[str], str],
    ) -> None:
        self._batches = batches
        self._if_exists = if_exists
        self._is_abandoned = is_abandoned
        self._log = log
        self._drop_command = drop_command
        self._wait_seconds = wait_seconds
        self._announced: set[str] = set()

    @cached_property
    def _deadline(self) -> float:
        """When the time to wait is up, which begins with the first conflict.

        To read a large file up to that conflict may take longer than the run waits.
        """
        return time.monotonic() + self._wait_seconds

    def not_skipped(self, conflicts: Iterable[Conflict]) -> list[Conflict]:
        return [one for one in conflicts if not is_skipped(one, self._if_exists)]

    def blocking(self, conflicts: Iterable[Conflict]) -> list[Conflict]:
        """Return the conflicts for which a batch is refused.

        These are neither entries that are skipped, nor emails reserved by an abandoned batch.
        """
        remaining = self.not_skipped(conflicts)
        # Once for each batch: it may have reserved a million emails.
        abandoned = {batch_id for batch_id in _holders(remaining) if self._abandoned(batch_id)}
        return [conflict for conflict in remaining if conflict.holder not in abandoned]

    def log_holders(self, blocking: Iterable[Conflict]) -> None:
        """Log the first open batches for which a batch is refused, and how to free their emails."""
        with suppress(AnyscaleError):  # the problems are what counts
            for batch in self._show(islice(_holders(blocking), _MOST_LOGGED)):
                if batch.state == "open":  # it may have another state by now
                    self._log(self._describe(batch))

    def _describe(self, batch: Batch) -> str:
        way_out = f"Ask {batch.opened_by}"
        if batch.opened_by_caller:
            way_out = "You opened it: run that file again"
        return (
            f"Batch {batch.batch_id} has reserved some of these emails, and was last active at "
            f"{batch.touched_at:{TIME}}. {way_out}, or drop it by "
            f"{self._drop_command(batch.batch_id)}."
        )

    def are_final(self, conflicts: Iterable[Conflict]) -> bool:
        """Return True if waiting cannot help: the email has an account, or the time is up."""
        return any(c.kind != "reserved" for c in conflicts) or self._deadline <= time.monotonic()

    def wait(self, conflicts: Iterable[Conflict], own: Batch | None = None) -> None:
        """Drop the abandoned batches that have reserved emails, and wait for the others.

        Of two batches that have reserved emails of each other, the later one releases its own and
        waits for the end of the other, so one of them always gets through.
        """
        others = {batch_id for batch_id in sorted(_holders(conflicts)) if not self._drop(batch_id)}
        if not others:
            return
        if own:
            opened = own.opened_at, own.batch_id
            if any((other.opened_at, other.batch_id) < opened for other in self._show(others)):
                self._batches.release(own.batch_id)
        self._announce(conflicts, others)
        while time.monotonic() <= self._deadline:
            if not any(other.state == "open" and other.users for other in self._show(others)):
                return
            time.sleep(_POLL_SECONDS)

    def _announce(self, conflicts: Iterable[Conflict], batch_ids: set[str]) -> None:
        """Log which batches the run waits for, each of them once, and for how long at most."""
        seconds = max(0, math.ceil(self._deadline - time.monotonic()))
        for conflict in conflicts:
            if conflict.holder in batch_ids - self._announced:
                self._announced.add(conflict.holder)
                self._log(
                    f"Waiting at most {seconds} s for batch {conflict.holder}, opened by "
                    f"{conflict.reserved_by}, which has reserved some of these emails..."
                )

    def _show(self, batch_ids: Iterable[str]) -> Iterator[Batch]:
        return map(self._batches.show, batch_ids)

    def _abandoned(self, batch_id: str) -> bool:
        with self._is_abandoned(batch_id) as is_abandoned:
            return is_abandoned

    def _drop(self, batch_id: str) -> bool:
        with self._is_abandoned(batch_id) as is_abandoned:  # and no process resumes it
            if is_abandoned:
                with suppress(BatchGone):  # a run in another home has resumed and published it
                    self._batches.drop(batch_id)
                    self._log(
                        f"Dropped the unfinished batch {batch_id}, which had reserved some of "
                        "these emails."
                    )
            return is_abandoned


def _holders(conflicts: Iterable[Conflict]) -> list[str]:
    """Return the batches that have reserved the emails, each once, in the order of the entries."""
    return list(dict.fromkeys(conflict.holder for conflict in conflicts if conflict.holder))
