"""Where the user of a session continues after signing in again: signed, only for that session.

The secret of the session is the key of an HMAC, which shows that a server of ours wrote the path
for this session: no redirect follows an address that others wrote.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

__all__ = ["sign_path", "unsign_path"]

#: octets of the HMAC
_MAC = 32


def sign_path(session: str, path: str) -> str:
    """Return a text for the address of the page where the user signs in again.

    `session` is the secret of the session, of its cookie.
    """
    content = path.encode()
    return urlsafe_b64encode(content + _sign(session, content)).decode().rstrip("=")


def unsign_path(session: str, text: str, default: str) -> str:
    """Return the path of a signed text; `default` if it is not for this session."""
    try:
        octets = urlsafe_b64decode(f"{text}==")
    except ValueError:
        return default
    content, mac = octets[:-_MAC], octets[-_MAC:]
    return content.decode() if hmac.compare_digest(mac, _sign(session, content)) else default


def _sign(session: str, content: bytes) -> bytes:
    return hmac.digest(session.encode(), b"return path\0" + content, "sha256")
