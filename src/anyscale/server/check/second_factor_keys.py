"""The keys that encrypt the seeds of one-time codes."""

from anyscale.errors import ConfigError
from anyscale.server.check.findings import Finding, fail, ok, warn
from anyscale.server.check.installation import Installation
from anyscale.server.core.second_factor.keys import HOW_TO_GET_ONE, SEED_KEYS
from anyscale.server.store.transaction import Transaction

_NAME = "ANYSCALE_SECOND_FACTOR_KEYS"
_COPY = "copy the missing files from the server that has them, or from a backup of them"


def check_keys(installation: Installation) -> Finding:
    """Check that a key is here for new seeds, and the key of each stored seed."""
    folder = installation.settings.second_factor_keys
    assert folder
    try:
        files = SEED_KEYS.read_all(folder)
    except ConfigError as error:
        return fail(_NAME, str(error), "let the server's user read it")
    own = {key.fingerprint for key in files.keys.values()}
    if missing := sorted(_used(installation) - own):
        found = f"{folder} does not have the key {', '.join(missing)}, which has encrypted seeds"
        return fail(_NAME, found, _COPY)
    if files.faults:
        return warn(_NAME, "; ".join(files.faults.values()), "correct or delete these files")
    if not own:
        return warn(_NAME, f"{folder} has no key", HOW_TO_GET_ONE)
    return ok(_NAME, f"{len(own)} here, and all that have encrypted seeds")


def _used(installation: Installation) -> frozenset[str]:
    def read(tx: Transaction) -> frozenset[str]:
        return tx.factors.seed_keys()

    _ = installation.database
    _, found = installation.inspect(read)
    return found or frozenset()  # without our schema nothing is encrypted
