"""Passkeys: whether the public address can have them, and whether it still has those of users."""

from anyscale.server.check.findings import Finding, NotTried, ok, warn
from anyscale.server.check.installation import Installation
from anyscale.server.core.passkeys.relying_party import relying_party, why_no_passkeys

_LOST = "a new public address loses all passkeys"


def check_passkeys(installation: Installation) -> Finding:
    """Check that passkeys can be used at the public URL, also those of former ones."""
    if not installation.settings.second_factor.is_on:
        raise NotTried("ANYSCALE_SECOND_FACTOR is off")
    url = installation.public_url
    reason, rp = why_no_passkeys(url), relying_party(url)
    _ = installation.database
    counts = installation.inspect(lambda tx: tx.factors.count_passkeys())[1] or {}
    working = counts.pop(rp.rp_id, 0) if rp else 0
    if counts:
        lost = ", ".join(f"{_number(counts[host])} of {host}" for host in sorted(counts))
        fix = (
            "set ANYSCALE_PUBLIC_URL to the former address, or let their users sign in another way "
            "and add new ones"
        )
        return warn(url, f"{lost} cannot be used: {_LOST}", fix)
    if reason:
        return warn(url, f"no passkeys are offered: {reason}", "use a host name")
    return ok(url, f"{_number(working)}; {_LOST}")


def _number(count: int) -> str:
    return "1 passkey" if count == 1 else f"{count} passkeys"
