"""Where the user of a session continues after signing in again: signed, only for that session.

The key comes from the secret of the session: no redirect follows an address that others wrote.
"""

from anyscale.server.core.signer import derive_key, sign, unsign


def sign_path(session: str, path: str) -> str:
    """Return a text for the address of the page where the user signs in again.

    `session` is the secret of the session, of its cookie.
    """
    return sign(_key(session), path.encode())


def unsign_path(session: str, text: str, default: str) -> str:
    """Return the path of a signed text; `default` if it is not for this session."""
    try:
        return unsign(_key(session), text).decode()
    except ValueError:
        return default


def _key(session: str) -> bytes:
    return derive_key(session, "return path")
