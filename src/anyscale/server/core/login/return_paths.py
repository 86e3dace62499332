"""Where the user of a session goes on after signing in again: sealed, for that session alone."""

import msgspec
from msgspec import Struct

from anyscale.server.core.seal import Seal
from anyscale.server.store.transaction import Store

__all__ = ["ReturnPaths"]


class _Content(Struct, frozen=True):
    session_id: str
    path: str


class ReturnPaths:
    """Seals the paths of our pages, so that no redirect follows an address that others wrote."""

    def __init__(self, store: Store) -> None:
        self._seal = Seal(store, "return_path")

    def seal(self, session_id: str, path: str) -> str:
        """Return a text for the address of the page on which the user signs in again."""
        return self._seal.seal(msgspec.json.encode(_Content(session_id, path)))

    def unseal(self, session_id: str, text: str, default: str) -> str:
        """Return the path of a sealed text; `default` if it is not for this session."""
        try:
            content = msgspec.json.decode(self._seal.unseal(text), type=_Content)
        except (msgspec.MsgspecError, ValueError):
            return default
        return content.path if content.session_id == session_id else default
