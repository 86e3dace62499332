"""Seeds as the database stores them: encrypted by a key that is not in the database.

XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): its nonce is long enough to be random.
"""

import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from anyscale.server.core.second_factor.keys import SeedKeys

__all__ = ["decrypt_seed", "encrypt_seed"]

_NONCE = 24


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
        CryptoError: the text was changed, or is of another account.
    """
    from nacl.bindings import crypto_aead_xchacha20poly1305_ietf_decrypt as decrypt

    fingerprint, _, encoded = text.partition(":")
    octets = urlsafe_b64decode(encoded)
    key = keys.find(fingerprint)
    return decrypt(octets[_NONCE:], user_id.encode(), octets[:_NONCE], key.secret)
