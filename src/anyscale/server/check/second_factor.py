"""Second factors: the keys of seeds, the applications that require one, owners without one."""

from anyscale.errors import ConfigError
from anyscale.server.check.findings import Finding, fail, ok, warn
from anyscale.server.check.installation import Installation
from anyscale.server.core.second_factor.keys import HOW_TO_GET_ONE, SEED_KEYS
from anyscale.server.store.transaction import Transaction

_KEYS = "ANYSCALE_SECOND_FACTOR_KEYS"
_COPY = "copy the missing files from the server that has them, or from a backup of them"


def check_keys(installation: Installation) -> Finding:
    """Check that a key is here for new seeds, and the key of each stored seed."""
    folder = installation.settings.second_factor_keys
    assert folder
    try:
        files = SEED_KEYS.read_all(folder)
    except ConfigError as error:
        return fail(_KEYS, str(error), "let the server's user read it")
    own = {key.fingerprint for key in files.keys.values()}
    if missing := sorted(_used_keys(installation) - own):
        found = f"{folder} does not have the key {', '.join(missing)}, which has encrypted seeds"
        return fail(_KEYS, found, _COPY)
    if files.faults:
        return warn(_KEYS, "; ".join(files.faults.values()), "correct or delete these files")
    if not own:
        return warn(_KEYS, f"{folder} has no key", HOW_TO_GET_ONE)
    return ok(_KEYS, f"{len(own)} here, and all that have encrypted seeds")


def check_applications(installation: Installation) -> Finding:
    """Check that the server asks for a second factor if an application requires one."""
    name = "the applications"
    requiring = installation.read(_names)
    if not requiring:
        return ok(name, "none requires a second factor")
    if not installation.settings.second_factor.is_on:
        found = (
            "ANYSCALE_SECOND_FACTOR is off, and these sign in nobody without a second factor: "
            + ", ".join(requiring)
        )
        fix = (
            "set ANYSCALE_SECOND_FACTOR=optional, or run `anyscale application update CLIENT_ID "
            "--no-require-second-factor`"
        )
        return fail(name, found, fix)
    return ok(name, f"those that require a second factor: {len(requiring)}")


def check_owners(installation: Installation) -> Finding:
    """Count the owners without a second factor: one stolen password makes a thief an owner."""
    name, policy = "the owners", installation.settings.second_factor
    if not policy.is_on:
        return ok(name, "ANYSCALE_SECOND_FACTOR is off: nobody has a second factor")
    count = installation.read(lambda tx: tx.factors.count_owners_without())
    if not count:
        return ok(name, "each has a second factor")
    found = f"{count} {'has' if count == 1 else 'have'} no second factor"
    if policy.mode == "optional":
        return ok(name, f"{found}, and none is required")
    fix = "let them add one: the overview of the console lists them"
    return warn(name, f"{found}, and ANYSCALE_SECOND_FACTOR requires one", fix)


def _names(tx: Transaction) -> list[str]:
    return [one.name for one in tx.applications.list() if one.requires_second_factor]


def _used_keys(installation: Installation) -> frozenset[str]:
    def read(tx: Transaction) -> frozenset[str]:
        return tx.factors.seed_keys()

    _ = installation.database
    _, found = installation.inspect(read)
    return found or frozenset()  # without our schema nothing is encrypted
