"""The database: whether it can be read, and has the schema and the room that a server needs."""

import shutil
import time

from anyscale.errors import StoreUnavailable
from anyscale.server.check.findings import Finding, NotTried, fail, judge_clock, ok, warn
from anyscale.server.check.installation import Installation
from anyscale.server.other_host import is_meant_for_other_host
from anyscale.server.store.database_facts import Encryption
from anyscale.server.store.schema_versions import OTHER_FIRST_STEP

_GIB = 1 << 30
#: Octets that have to be free. A million accounts take 0.5 GiB, and while they are published the
#: write-ahead log takes as much again.
_LEAST, _ENOUGH = _GIB // 4, 2 * _GIB


def check_reachable(installation: Installation) -> Finding:
    """Check that the database can be read."""
    started = time.monotonic()
    try:
        installation.inspect(lambda _: None)
    except (StoreUnavailable, TimeoutError) as error:
        fix = _fix_of_unreadable(installation, str(error))
        if is_meant_for_other_host(installation.environment):
            fix += "; to check the server at ANYSCALE_HOST, run this on its machine"
        return fail("the database", str(error), fix)
    return ok(_name(installation), f"it was read in {(time.monotonic() - started) * 1000:.0f} ms")


def _fix_of_unreadable(installation: Installation, found: str) -> str:
    path = installation.settings.database
    if OTHER_FIRST_STEP in found:
        return "install the commit that created it, or carry its users over as the page says"
    if not isinstance(path, str) and path.exists():  # `found` says what is wrong with it
        return "do so, or name another one in ANYSCALE_DATABASE_URL"
    return "create it or make it available, or name another one in ANYSCALE_DATABASE_URL"


def check_version(installation: Installation) -> Finding:
    """Check that this program supports the version of the database."""
    facts = installation.database
    if not facts.is_supported:
        return fail(facts.product, "it is too old", "upgrade to PostgreSQL 14 or later")
    return ok(facts.product, "it is supported")


def check_schema(installation: Installation) -> Finding:
    """Check that the database has the schema of this program."""
    facts = installation.database
    looked_at = f"the schema of {_name(installation)}"
    found = f"it is {facts.schema}, and this program needs {facts.newest}"
    if facts.schema > facts.newest:
        return fail(looked_at, found, "install the version of musterroll that created it, or newer")
    if facts.schema < facts.newest:
        return fail(looked_at, found, "run `anyscale server migrate`, or restart the server")
    return ok(looked_at, f"it is {facts.schema}, as this program needs it")


def check_tokens(installation: Installation) -> Finding:
    """Check that there is a token of the operator's, which creates the first accounts."""
    count = installation.read(lambda tx: len(tx.tokens.list_live("", tx.now())))
    found = f"valid ones of `anyscale server create-token`: {count}"
    if not count:
        return warn("the tokens", found, "run `anyscale server create-token --name NAME`")
    return ok("the tokens", found)


def check_imported_hashes(installation: Installation) -> Finding:
    """Tell how many accounts still have the hash of another system."""
    count = installation.read(lambda tx: tx.accounts.count_imported())
    found = f"accounts with one, whose users have not signed in yet: {count}"
    return ok("hashes of other systems", found)


def check_journal(installation: Installation) -> Finding:
    """Check that SQLite uses a write-ahead log, so that readers do not wait for a writer."""
    has_log = installation.database.has_write_ahead_log
    if has_log is None:
        raise NotTried("the database is PostgreSQL")
    looked_at = f"the journal of {_name(installation)}"
    if not has_log:
        found = "it is not in write-ahead mode (WAL): reads wait for writes"
        return warn(looked_at, found, "restart the server, which changes it")
    return ok(looked_at, "it is a write-ahead log (WAL)")


def check_free_space(installation: Installation) -> Finding:
    """Check the free space of the disk of a SQLite database."""
    path = installation.settings.database
    if isinstance(path, str):
        raise NotTried("the database is PostgreSQL: look at the disk of its machine")
    folder = path.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise NotTried(f"{folder}: {error.strerror}") from None
    found, fix = f"{free / _GIB:.1f} GiB are free", "free some space, or move the database"
    looked_at = f"the disk of {folder}"
    if free < _LEAST:
        return fail(looked_at, found, fix)
    return warn(looked_at, found, fix) if free < _ENOUGH else ok(looked_at, found)


def check_connections(installation: Installation) -> Finding:
    """Check that PostgreSQL accepts the connections of all workers."""
    limits = installation.database.connections
    if limits is None:
        raise NotTried("the database is SQLite")
    room = max(limits.accepted - limits.others, 0) // limits.per_process
    workers = installation.workers
    found = (
        f"it accepts {limits.accepted} connections, and other programs use {limits.others}: room "
        f"for {room} workers of {limits.per_process} connections, on all servers together; "
        f"this one has {workers}"
    )
    if workers > room:
        return warn("PostgreSQL", found, "raise max_connections, or start fewer workers")
    return ok("PostgreSQL", found)


def check_encryption(installation: Installation) -> Finding:
    """Check that nobody in between can read what is sent to PostgreSQL."""
    encryption = installation.database.encryption
    if encryption is None:
        raise NotTried("the database is SQLite")
    return judge_encryption(encryption)


def judge_encryption(encryption: Encryption) -> Finding:
    """Return the finding for a connection."""
    looked_at = "the connection to PostgreSQL"
    if encryption.is_local:
        return ok(looked_at, "it does not leave this machine")
    fix = "add `sslmode=verify-full` to ANYSCALE_DATABASE_URL, and `sslrootcert=` for your own CA"
    if not encryption.is_encrypted:
        return fail(looked_at, "it is not encrypted: the network can read and change it", fix)
    if encryption.mode not in ("verify-ca", "verify-full"):
        found = f"it is encrypted, but another server may pose as it (sslmode={encryption.mode})"
        return warn(looked_at, found, fix)
    return ok(looked_at, f"it is encrypted (sslmode={encryption.mode})")


def check_clock(installation: Installation) -> Finding:
    """Compare the clock of PostgreSQL, which ends sessions and links, with this machine's."""
    if installation.database.connections is None:
        raise NotTried("the database is SQLite, which has this machine's clock")
    before = time.time()
    facts, _ = installation.inspect(lambda _: None)
    skew = facts.now / 1000 - (before + time.time()) / 2
    return judge_clock("the clock of PostgreSQL", skew)


def _name(installation: Installation) -> str:
    database = installation.settings.database
    # Without its URL, which may contain a password.
    return "the PostgreSQL database" if isinstance(database, str) else str(database)
