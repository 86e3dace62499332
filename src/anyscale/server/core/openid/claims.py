"""The claims about a user (OpenID Connect Core, 5.1), and about the sign-in (Core, 2)."""

from typing import Any

from anyscale.domain.names import full_name
from anyscale.server.core.openid.protocol import ACR_ONE_FACTOR, ACR_TWO_FACTORS, SCOPES
from anyscale.server.core.shown_methods import has_second_factor
from anyscale.server.store.records.users import AccountRecord


def sign_in_claims(methods: str) -> dict[str, Any]:
    """Return the level of a sign-in, and how the user proved to be the one (RFC 8176, 2).

    `methods` is as in `core.shown_methods`. Without any, as after SSO, there is no `amr`.
    """
    acr = ACR_TWO_FACTORS if has_second_factor(methods) else ACR_ONE_FACTOR
    return {"acr": acr, **({"amr": methods.split()} if methods else {})}


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
    return {"sub": account.sub, **claims}
