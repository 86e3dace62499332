"""Seeds as the database stores them: encrypted by a key that is not in the database.

XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): its nonce is long enough to be random.
"""

import logging
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from anyscale.errors import SeedKeyMissing
from anyscale.server.core.second_factor.keys import SeedKeys

_NONCE = 24

_log = logging.getLogger("anyscale.server")


class SeedDamaged(SeedKeyMissing):
    """A seed cannot be decrypted, although its key is there."""


def encrypt_seed(keys: SeedKeys, seed: bytes, user_id: str) -> str:
    """Return the fingerprint of the current key, and the seed encrypted by it for an account.

    Raises:
        SeedKeyMissing: this server has no key.
    """
    from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_encrypt as encrypt

    key, nonce = keys.current(), os.urandom(_NONCE)
    encrypted = encrypt(seed, user_id.encode(), nonce, key.secret)
    return f"{key.fingerprint}:{urlsafe_b64encode(nonce + encrypted).decode()}"


def decrypt_seed(keys: SeedKeys, text: str, user_id: str) -> bytes:
    """Return the seed of an account.

    Raises:
        SeedKeyMissing: this server does not have the key.
        SeedDamaged: the text was changed, or is of another account.
    """
    from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as decrypt
    from nacl.exceptions import CryptoError

    fingerprint, _, encoded = text.partition(":")
    key = keys.find(fingerprint)
    try:
        octets = urlsafe_b64decode(encoded)
        return decrypt(octets[_NONCE:], user_id.encode(), octets[:_NONCE], key.secret)
    except (CryptoError, ValueError):
        _log.error("a seed is damaged", extra={"user_id": user_id})
        raise SeedDamaged(
            "the one-time codes of your app cannot be checked any more: sign in by a passkey or a "
            "recovery code, and add the app again"
        ) from None
