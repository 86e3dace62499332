"""Tokens: keys of administrators, shown once and kept as hashes."""

import hashlib
import os
import zlib
from contextlib import suppress

from anyscale.errors import ConfigError, NotAuthenticated, NotFound, StoreUnavailable
from anyscale.server.core import audit
from anyscale.server.core.access import Caller, live_token
from anyscale.server.store.base import Store, TokenRow

__all__ = ["PREFIX", "ROLES", "Tokens", "hash_of"]

#: By which a token is known where it should not be: in a log, a repository, a chat.
PREFIX = "mrt_"

ROLES = ("owner", "collaborator")

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_OCTETS = 24
_SECRET_DIGITS = 33
_CHECK_DIGITS = 6

_DAY = 24 * 60 * 60 * 1000

#: Milliseconds between two notes of a token's use, which would else be a write for each call.
_USE_EVERY = 60_000

_NAME_LENGTH = 64


class Tokens:
    """What can be done with tokens."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, name: str, role: str, days: int | None, by: str) -> str:
        """Make a token, and show it: the control plane keeps its hash only.

        Args:
            name: by which the trail and other administrators know its holder.
            role: `owner` or `collaborator`.
            days: until it expires; None for never.
            by: who makes it.

        Raises:
            ConfigError: the name is not fit, or another token has it.
        """
        if not (0 < len(name) <= _NAME_LENGTH and name.isprintable() and name == name.strip()):
            raise ConfigError(f"a token's name has 1 to {_NAME_LENGTH} visible characters")
        token = _new_token()
        with self._store.write() as rows:
            now = rows.now()
            row = TokenRow(
                token_id=f"tok_{now:012x}{os.urandom(6).hex()}",
                name=name,
                role=role,
                hash=hash_of(token),
                created_by=by,
                created_at=now,
                expires_at=None if days is None else now + days * _DAY,
            )
            if not rows.add_token(row):
                raise ConfigError(
                    f"there is a token named {name!r}: choose another name, or revoke it by "
                    f"`anyscale server revoke-token {name}`"
                )
            told = {"name": name, "role": role, "expires_at": row.expires_at}
            audit.append(rows, by, "token.created", row.token_id, told)
        return token

    def all(self) -> list[TokenRow]:
        """List all tokens, those that have ended too."""
        with self._store.read() as rows:
            return list(rows.tokens())

    def revoke(self, name: str, by: str) -> TokenRow:
        """End a token, from the next call on.

        Args:
            name: of the token, or its id.
            by: who does it.

        Raises:
            NotFound: no token that has not been revoked has this name or id.
        """
        with self._store.write() as rows:
            live = [token for token in rows.tokens() if token.revoked_at is None]
            found = next((token for token in live if name in (token.name, token.token_id)), None)
            if found is None:
                raise NotFound(f"there is no token {name!r} that is not revoked")
            rows.revoke_token(found.token_id, by, rows.now())
            audit.append(rows, by, "token.revoked", found.token_id, {"name": found.name})
        return found

    def authenticate(self, token: str) -> tuple[Caller, str]:
        """Say who holds a token, and what role it has.

        Raises:
            NotAuthenticated: it is no token, or it is unknown, expired or revoked.
        """
        if not token.startswith(PREFIX):
            raise NotAuthenticated(f"this is no token of a control plane: they begin with {PREFIX}")
        if not _is_whole(token):
            raise NotAuthenticated("the token was not copied whole: some of it is missing or wrong")
        with self._store.read() as rows:
            row = live_token(rows, hash_of(token))
            now = rows.now()
        if now - (row.used_at or 0) >= _USE_EVERY:
            # Also a database that cannot be written now may be read.
            with suppress(StoreUnavailable), self._store.write() as writing:
                writing.use_token(row.token_id, now)
        return Caller(f"token:{row.name}", row.hash), row.role


def hash_of(token: str) -> bytes:
    """Give what is kept of a token. Plain SHA-256: nobody guesses 192 random bits."""
    return hashlib.sha256(token.encode()).digest()


def _new_token() -> str:
    secret = _in_digits(int.from_bytes(os.urandom(_SECRET_OCTETS)), _SECRET_DIGITS)
    return f"{PREFIX}{secret}{_check(secret)}"


def _is_whole(token: str) -> bool:
    secret = token[len(PREFIX) : -_CHECK_DIGITS]
    return (
        token.isascii()
        and token.startswith(PREFIX)
        and len(secret) == _SECRET_DIGITS
        and token.endswith(_check(secret))
    )


def _check(secret: str) -> str:
    return _in_digits(zlib.crc32(secret.encode()), _CHECK_DIGITS)


def _in_digits(number: int, count: int) -> str:
    digits = []
    for _ in range(count):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
