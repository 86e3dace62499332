"""Texts that leave the server and come back: an HMAC shows that a server of ours wrote them."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cached_property

from msgspec import Struct

from anyscale.server.core.server_keys import server_key
from anyscale.server.core.transactions import Transactions

#: octets of the HMAC
_MAC = 32


def derive_key(secret: str, purpose: str) -> bytes:
    """Return the key of one purpose for texts that are only for the browser with this secret."""
    return hmac.digest(secret.encode(), purpose.encode(), "sha256")


def sign(key: bytes, content: bytes) -> str:
    """Return a text for a cookie or an address, in base64url, that has the content."""
    return urlsafe_b64encode(content + _signature(key, content)).decode().rstrip("=")


def unsign(key: bytes, text: str) -> bytes:
    """Return the content of a signed text. Raise `ValueError` for any other text."""
    octets = urlsafe_b64decode(f"{text}==")
    content, mac = octets[:-_MAC], octets[-_MAC:]
    if not hmac.compare_digest(mac, _signature(key, content)):
        raise ValueError("no server of this database has signed this text")
    return content


def _signature(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, "sha256")


class Signer(Struct, frozen=True, dict=True):
    """Signs texts of one purpose, by the server key of this name.

    All servers of a database accept what one of them has signed. The content is not a secret.
    """

    transactions: Transactions
    name: str

    def sign(self, content: bytes) -> str:
        return sign(self._key, content)

    def unsign(self, text: str) -> bytes:
        """Return the content of a signed text. Raise `ValueError` for any other text."""
        return unsign(self._key, text)

    def signature(self, content: bytes) -> bytes:
        """Return the HMAC of a content."""
        return _signature(self._key, content)

    @cached_property
    def _key(self) -> bytes:
        """The key, which stays the same as long as its database."""
        return server_key(self.transactions, self.name)
