"""`python -m benchmarks.django_peer DATABASE COUNT [BATCH_SIZE]`: insert users, print the seconds.

The database has our schema and a batch, so columns and indexes are the same ones. Reading a file,
validation, an audit log and HTTP are not part of the time: the rows are in memory before it starts.
There is one transaction, and no signal has a receiver.
"""

import gc
import json
import sys
import time
from typing import Any

import django
from django.conf import settings
from django.db import connection, models
from psycopg.conninfo import conninfo_to_dict

from benchmarks.support.files import email_of, shuffled

#: The fastest of 500 to 20,000. SQLite gets at most the rows of 999 parameters anyway.
_BATCH_SIZE = 5_000

#: what our connection that writes sets: see src/anyscale/server/store/sqlite/store.py
_PRAGMAS = """
    pragma synchronous = full;
    pragma cache_size = -24576;
    pragma wal_autocheckpoint = 6144;
    pragma temp_store = memory;
    pragma foreign_keys = off
"""


def main() -> None:
    database, count = sys.argv[1], int(sys.argv[2])
    batch_size = int(sys.argv[3]) if len(sys.argv) > 3 else _BATCH_SIZE
    settings.configure(DATABASES={"default": _settings(database)}, USE_TZ=True)
    django.setup()
    model = _user_model()
    with connection.cursor() as cursor:
        cursor.execute("select id from batches")
        (batch,) = cursor.fetchone()
    users = [model(**_columns(batch, at, i)) for at, i in enumerate(shuffled(count))]
    # Python's garbage collector need not look at a million objects that stay.
    gc.collect()
    gc.freeze()
    start = time.perf_counter()
    model.objects.bulk_create(users, batch_size=batch_size)
    seconds = time.perf_counter() - start
    assert model.objects.count() == count
    print(json.dumps({"seconds": seconds, "django": django.get_version()}))


def _settings(database: str) -> dict[str, Any]:
    if not database.startswith("postgresql:"):
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": database,
            "OPTIONS": {"init_command": _PRAGMAS},
        }
    parts = conninfo_to_dict(database)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts["dbname"],
        "USER": parts["user"],
        "HOST": parts["host"],
    }


def _user_model() -> Any:
    """Return the model of the table `users`: the columns that have no default."""

    class User(models.Model):  # noqa: DJ008 - the benchmark never prints a user
        user_id = models.TextField(primary_key=True)
        batch = models.BigIntegerField()
        email_key = models.TextField(unique=True)
        email_folded = models.TextField(null=True)  # noqa: DJ001 - musterroll stores null for ASCII
        name = models.TextField()
        name_folded = models.TextField()
        email = models.TextField()
        lastname = models.TextField(null=True)  # noqa: DJ001 - musterroll stores null for none
        lastname_folded = models.TextField(null=True)  # noqa: DJ001 - as email_folded
        title = models.TextField(null=True)  # noqa: DJ001 - musterroll stores null for none
        is_sso_user = models.BooleanField()
        hash_due = models.BooleanField()

        class Meta:
            app_label = "django_peer"
            db_table = "users"
            managed = False

    return User


def _columns(batch: int, position: int, number: int) -> dict[str, Any]:
    email = email_of(number)
    return {
        "user_id": f"usr_{'0' * 24}{position:08x}",
        "batch": batch,
        "email_key": email,
        "email_folded": None,
        "name": f"name{number}",
        "name_folded": f"name{number}",
        "email": email,
        "lastname": f"lastname{number}",
        "lastname_folded": None,
        "title": f"title{number}",
        "is_sso_user": False,
        "hash_due": False,
    }


main()
