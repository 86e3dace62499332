"""The applications that require a second factor."""

from anyscale.server.check.findings import Finding, NotTried, fail, ok
from anyscale.server.check.installation import Installation
from anyscale.server.store.transaction import Transaction

__all__ = ["check_applications"]


def check_applications(installation: Installation) -> Finding:
    """Check that the server asks for a second factor if an application requires one."""
    name = "the applications"
    _ = installation.database
    facts, requiring = installation.inspect(_names)
    if requiring is None:
        raise NotTried(f"the schema is {facts.schema}, and not that of this program")
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


def _names(tx: Transaction) -> list[str]:
    return [one.name for one in tx.applications.list() if one.requires_second_factor]
