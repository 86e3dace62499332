"""Write rows and their audit entry to SQLite: the time, beside that without a journal."""

import os
from pathlib import Path

from benchmarks.support.measuring import Cost, pairs, python, show
from benchmarks.support.measuring import run as run_process

COMMON = """
import random, sys, time
from pathlib import Path
count = int(sys.argv[3])
numbers = list(range(count))
random.Random(1).shuffle(numbers)
"""

OURS = """
from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings
from anyscale.server.core.batches.batch_state import new_batch
from anyscale.server.core.batches.chunks import new_users
from anyscale.server.core.audit.entries import root_of
from anyscale.server.store.user_ids import user_ids
from anyscale.server.core.batches.publish import publish
from anyscale.server.store.records.batches import ChunkRecord
from anyscale.server.store.records.users import NewUsers
from anyscale.domain.validation import CheckedUser
users = [
    CheckedUser(name=f"name{i}", email=f"user{i}@example.com", email_key=f"user{i}@example.com",
                lastname=f"lastname{i}", title=f"title{i}")
    for i in numbers
]
control_plane = ControlPlane(Settings(database=Path(sys.argv[1])))
size = control_plane.batches.policy.chunk_users
with control_plane.store.write() as tx:
    batch = tx.batches.add(new_batch(tx, "key", "fail", "local:bench"))
rows = list(new_users(user_ids(batch.batch_id, range(count)), users, None))
start = time.perf_counter()
for number, first in enumerate(range(0, count, size)):
    part = rows[first:first + size]
    root = root_of(row.user_id for row in part)
    with control_plane.store.write() as tx:
        new = NewUsers([row.email_key for row in part], part.__getitem__)
        assert not tx.users.insert(batch.id, new)
        tx.chunks.save(batch.id, ChunkRecord(number, bytes(32), root, len(part), 0, 0, 0), [])
        tx.batches.touch(batch.id, tx.now())
with control_plane.store.write() as tx:
    publish(tx, batch, count, "local:bench")
control_plane.close()
Path(sys.argv[2]).write_text(str(time.perf_counter() - start))
"""

BOUND = """
import sqlite3
from anyscale.server.control_plane import ControlPlane
from anyscale.server.settings import Settings
ControlPlane(Settings(database=Path(sys.argv[1]))).close()
rows = [
    (1, f"usr_0123456789abcdef01234567{at:08x}", f"user{i}@example.com", None, f"name{i}",
     f"name{i}", f"user{i}@example.com", f"lastname{i}", f"title{i}", 0, 0)
    for at, i in enumerate(numbers)
]
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("pragma journal_mode = off")
connection.execute("pragma synchronous = off")
connection.execute("pragma cache_size = -16384")
start = time.perf_counter()
connection.execute("begin")
connection.executemany(
    "insert into users (batch, user_id, email_key, email_folded, name, name_folded, email,"
    " lastname, title, is_sso_user, hash_due) values (?,?,?,?,?,?,?,?,?,?,?)", rows)
connection.execute("commit")
connection.close()
Path(sys.argv[2]).write_text(str(time.perf_counter() - start))
"""


def measure(folder: Path, users: int) -> None:
    count = users // 10
    database, result = folder / "rows.db", folder / "seconds"

    def timed(code: str) -> Cost:
        # The bound leaves its rows in the page cache; our sync would write them to disk as well.
        os.sync()
        run_process(python(COMMON + code, database, result, str(count)))
        database.unlink()  # frees the page cache: new memory of a VM is slow
        return Cost(float(result.read_text(encoding="utf-8")))

    found = pairs(lambda: timed(OURS), lambda: timed(BOUND))
    ours, bare = (costs[-1].wall / count * 1e6 for costs in found)
    show(
        "SQLite: rows with audit, WAL and synchronous=FULL / the same rows without a journal",
        found.ratio(lambda cost: cost.wall),
        1.6,
        note=f" ({ours:.1f} and {bare:.1f} us a row)",
    )
