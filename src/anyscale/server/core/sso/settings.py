"""The settings of an identity provider. A module of its own: reading settings imports no HTTP."""

from msgspec import Struct

__all__ = ["ProviderSettings"]


class ProviderSettings(Struct, frozen=True, kw_only=True):
    """An identity provider, and the client that it knows this control plane by."""

    #: The issuer identifier, exactly as in the provider's tokens.
    issuer: str
    client_id: str
    #: None for a public client, which has only PKCE.
    client_secret: str | None = None
    #: A-labels of the domains whose addresses may be linked to accounts; empty for any domain.
    domains: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"ProviderSettings({self.issuer!r})"
