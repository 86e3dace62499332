"""Run Django on a new database with our schema."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from anyscale.server.core.batches.batch_state import new_batch
from benchmarks.support.databases import Databases

#: of the environment that has Django and matplotlib
PYTHON = Path(sys.executable).parent.parent / "bench" / "bin" / "python"


def bulk_create_seconds(databases: Databases, count: int) -> float:
    """Return the seconds of `bulk_create` in a new database."""
    with databases.new() as database:
        with closing(database.open_store()) as store, store.write() as tx:
            tx.batches.add(new_batch(tx, "key", "fail", "local:bench"))
        name = str(database.sqlite_path or database.url)
        command = [str(PYTHON), "-m", "benchmarks.django_peer", name, str(count)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds: float = json.loads(done.stdout)["seconds"]
    return seconds
