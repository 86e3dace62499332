"""The secrets of one-time links, in a form that mail gateways leave as it is."""

import re
from urllib.parse import unquote

#: Marks a link's secret, so that scanners find it in a log, a repository or a chat.
PREFIX = "mrl_"

#: 43 of these have 256 random bits. Mail gateways use `-` and `_` as escapes.
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_LENGTH = 43

#: a secret inside what a mail gateway makes of a link; `-5F` is the `_` of Proofpoint's version 2
_SECRET = re.compile(rf"mrl(?:_|-5F)([A-Za-z0-9]{{{_LENGTH}}})")

#: of a secret in a text that may break it anywhere, and all that follows; `=5F` is the `_` of MIME
_BEGINNING = re.compile("mrl(?:_|-5F|=5F|%5F).*", re.DOTALL)


def secret_of(link: str) -> str:
    """Return the secret of a link, or of only its code; empty if there is none.

    Mail gateways wrap links, and encode the `#` once or twice; mail programs add punctuation.
    """
    found = _SECRET.search(unquote(unquote(link)))
    return PREFIX + found[1] if found else ""


def new_link_secret() -> str:
    """Return the secret of a new link, which no mail gateway changes."""
    import secrets  # with `random`, whose tables most commands need not compute

    return PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def without_secrets(text: str) -> str:
    """Return a text that ends where a secret begins: what follows may be a part of it."""
    return _BEGINNING.sub(f"{PREFIX}...", text)
