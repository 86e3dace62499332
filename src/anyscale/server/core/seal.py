"""Texts that leave the server and come back: an HMAC shows that a server of ours wrote them."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from msgspec import Struct

from anyscale.server.core.server_keys import server_key
from anyscale.server.store.transaction import Store

__all__ = ["Seal"]

#: octets of the HMAC
_MAC = 32


class Seal(Struct, frozen=True):
    """Seals texts of one purpose, by the server key of this name.

    All servers of a database accept what one of them has sealed. The content is not a secret.
    """

    store: Store
    name: str

    def seal(self, content: bytes) -> str:
        """Return a text for a cookie or an address, in base64url, that has the content."""
        return urlsafe_b64encode(content + self.sign(content)).decode().rstrip("=")

    def unseal(self, text: str) -> bytes:
        """Return the content of a sealed text. Raise `ValueError` for any other text."""
        octets = urlsafe_b64decode(f"{text}==")
        content, mac = octets[:-_MAC], octets[-_MAC:]
        if not hmac.compare_digest(mac, self.sign(content)):
            raise ValueError("no server of this database has sealed this text")
        return content

    def sign(self, content: bytes) -> bytes:
        """Return the HMAC of a content."""
        return hmac.digest(server_key(self.store, self.name), content, "sha256")
