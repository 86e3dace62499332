"""ID tokens that applications send back to name their user (Core, 3.1.2.1; Logout 1.0, 2)."""

from typing import Any

from anyscale.server.core.openid.signing_keys import SigningKeys


class IdTokenHints:
    """Reads the ID tokens of this provider, also expired ones."""

    def __init__(self, keys: SigningKeys, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer

    def claims(self, hint: str) -> dict[str, Any]:
        """Return the claims of an ID token of this issuer for one application; else none."""
        claims = self._keys.verify(hint) or {}
        is_ours = claims.get("iss") == self._issuer and isinstance(claims.get("aud"), str)
        return claims if is_ours else {}
