"""The claims about a user (OpenID Connect Core, 5.1)."""

from typing import Any

from anyscale.domain.names import full_name
from anyscale.server.core.openid.protocol import SCOPES
from anyscale.server.store.records.users import AccountRecord

__all__ = ["user_claims"]


def user_claims(account: AccountRecord, scope: str) -> dict[str, Any]:
    """Return the claims of an account that a scope allows, with `sub`; none without a value."""
    values = {
        "name": full_name(account.name, account.lastname),
        "given_name": account.name,
        "family_name": account.lastname,
        "preferred_username": account.email,
        "email": account.email,
        # An administrator entered it, and vouches for it.
        "email_verified": True,
        "groups": [f"{account.permission_level}s"],
    }
    names = [name for part in scope.split() for name in SCOPES.get(part, ())]
    claims = {name: values[name] for name in names if values[name] not in (None, "")}
    return {"sub": account.user_id, **claims}
