"""Ctrl-C while an embedded run writes: the process continues, and can close and open the store."""

import contextlib
import threading
from contextlib import closing
from pathlib import Path

from tests.store.contract.steps import batch_row
from tests.support.faults.interrupts import Interrupt

from anyscale.server.store.sqlite import store as sqlite_store
from anyscale.server.store.sqlite import writer_lock
from anyscale.server.store.sqlite.store import SqliteStore

#: the files whose lines run between `with store.write()` and the end of the block
FILES = sqlite_store.__file__, writer_lock.__file__, contextlib.__file__


def test_after_an_interrupt_at_any_line_of_a_transaction_the_file_can_be_used(
    tmp_path: Path,
) -> None:
    path, lines = tmp_path / "anyscale.db", 0
    while _is_interrupted(path, lines):
        with closing(SqliteStore(path)) as store:
            with store.write(patience=0) as tx:
                tx.batches.add(batch_row(lines))
            with store.read() as tx:
                assert tx.batches.get(batch_row(lines).batch_id)
        lines += 1
    assert lines > 40


def _is_interrupted(path: Path, number: int) -> bool:
    """Interrupt a transaction at a line, and close its store, in a thread that may hang."""
    interrupts: list[Interrupt] = []

    def run() -> None:
        with contextlib.suppress(KeyboardInterrupt), closing(SqliteStore(path)) as store:
            interrupts.append(Interrupt(number, *FILES))
            with interrupts[0], store.write() as tx:
                tx.batches.add(batch_row(1_000))

    running = threading.Thread(target=run, daemon=True)
    running.start()
    running.join(30)
    assert not running.is_alive(), f"the store hangs after an interrupt at line {number}"
    return interrupts[0].is_raised
