"""The settings of an identity provider. A module of its own: reading settings imports no HTTP."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from msgspec import Struct


class ProviderFactor(Struct, frozen=True):
    """What in an ID token says that the user has shown two factors to the provider."""

    #: `amr`, a list of methods (RFC 8176), or `acr`, a level that the provider defines (Core, 2)
    claim: str
    #: one of them suffices
    values: frozenset[str]

    def is_shown(self, claims: Mapping[str, Any]) -> bool:
        """Whether the claims of a valid ID token have one of the values."""
        value = claims.get(self.claim)
        found = value if self.claim == "amr" and isinstance(value, list) else [value]
        return any(isinstance(one, str) and one in self.values for one in found)


class ProviderSettings(Struct, frozen=True, kw_only=True):
    """An identity provider, and the client that it knows this control plane by."""

    #: The issuer identifier, exactly as in the provider's tokens.
    issuer: str
    client_id: str
    #: None for a public client, which has only PKCE.
    client_secret: str | None = None
    #: A-labels of the domains whose addresses may be linked to accounts; empty for any domain.
    domains: frozenset[str] = frozenset()
    #: None if its sign-ins count as one factor
    factor: ProviderFactor | None = None

    def __repr__(self) -> str:
        return f"ProviderSettings({self.issuer!r})"

    def refused(self, domains: AbstractSet[str]) -> list[str]:
        """Return those of some domains, as A-labels, whose users it does not sign in, sorted."""
        return sorted(domains - self.domains) if self.domains else []
