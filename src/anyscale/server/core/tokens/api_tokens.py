"""Tokens: keys of administrators, shown once and kept as hashes."""

import os
import zlib
from contextlib import suppress

from msgspec import structs

from anyscale.errors import ConfigError, NotAuthenticated, NotFound, StoreUnavailable
from anyscale.server.core.audit import log as audit
from anyscale.server.core.authorization import Principal, holder_of, live_token
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.users.lifecycle import known_account
from anyscale.server.store.interface import Store, TokenRecord, Transaction

__all__ = ["PREFIX", "ROLES", "TokenService"]

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

#: for which a person's own token may be good
_MOST_DAYS = 3_650


class TokenService:
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
        _check_name(name)
        token = _new_token()
        with self._store.write() as rows:
            if not _added(rows, _row(rows, token, name, role, days, by)):
                raise ConfigError(
                    f"there is a token named {name!r}: choose another name, or revoke it by "
                    f"`anyscale server revoke-token {name}`"
                )
        return token

    def create_personal(self, user_id: str, name: str, days: int | None) -> tuple[str, TokenRecord]:
        """Create a user's own token, which has the user's role at each call.

        Args:
            user_id: of the user.
            name: for the user; tokens of other users may have the same one.
            days: until it expires; None for never.

        Returns:
            The secret, which is shown this once, and the token.

        Raises:
            NotFound: there is no such account, or it is suspended.
            ConfigError: the name or the days are out of range, or another token of the user has
                the name.
        """
        _check_name(name)
        if days is not None and not 1 <= days <= _MOST_DAYS:
            raise ConfigError(f"a token expires in 1 to {_MOST_DAYS} days, or never")
        token = _new_token()
        with self._store.write() as rows:
            account = known_account(rows, user_id)
            if account.suspended_at is not None:
                raise NotFound(f"the account {user_id} is suspended")
            row = _row(rows, token, name, account.permission_level, days, f"user:{user_id}")
            record = structs.replace(row, user_id=user_id)
            if not _added(rows, record):
                raise ConfigError(f"you have a token named {name!r}: choose another name")
        return token, record

    def all(self) -> list[TokenRecord]:
        """List all tokens, those that have ended too; a person's own with the person's role."""
        with self._store.read() as rows:
            return [_with_role(rows, token) for token in rows.tokens()]

    def list_live(self, user_id: str) -> list[TokenRecord]:
        """List a user's own tokens that are neither revoked nor expired, the latest first."""
        with self._store.read() as rows:
            now = rows.now()
            live = [
                _with_role(rows, token)
                for token in rows.tokens()
                if token.user_id == user_id and is_live(token, now)
            ]
        return live[::-1]

    def revoke(self, name: str, by: str) -> TokenRecord:
        """End a token, from the next call on.

        Args:
            name: of a token that is nobody's own, or the id of any.
            by: who does it.

        Raises:
            NotFound: no token that has not been revoked has this name or id.
        """
        with self._store.write() as rows:
            for token in rows.tokens():
                # Several persons' own ones may have one name.
                named = token.user_id is None and token.name == name
                if token.revoked_at is None and (named or token.token_id == name):
                    return _revoked(rows, token, by)
        raise NotFound(f"there is no token {name!r} that is not revoked")

    def revoke_personal(self, user_id: str, token_id: str) -> TokenRecord:
        """End one of a person's own tokens, from the next call on.

        Raises:
            NotFound: the person has no token with this id that is not revoked.
        """
        with self._store.write() as rows:
            for token in rows.tokens():
                mine = (token.user_id, token.token_id) == (user_id, token_id)
                if token.revoked_at is None and mine:
                    return _revoked(rows, token, f"user:{user_id}")
        raise NotFound("you have no such token that is not revoked")

    def authenticate(self, token: str) -> tuple[Principal, str]:
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
        return Principal(holder_of(row), row.hash), row.role


def is_live(token: TokenRecord, now: int) -> bool:
    """Whether a token is neither revoked nor expired at a time (milliseconds since 1970)."""
    return token.revoked_at is None and (token.expires_at is None or token.expires_at > now)


def _check_name(name: str) -> None:
    if not (0 < len(name) <= _NAME_LENGTH and name.isprintable() and name == name.strip()):
        raise ConfigError(f"a token's name has 1 to {_NAME_LENGTH} visible characters")


def _row(
    rows: Transaction, token: str, name: str, role: str, days: int | None, by: str
) -> TokenRecord:
    now = rows.now()
    return TokenRecord(
        token_id=f"tok_{now:012x}{os.urandom(6).hex()}",
        name=name,
        role=role,
        hash=hash_of(token),
        created_by=by,
        created_at=now,
        expires_at=None if days is None else now + days * _DAY,
    )


def _added(rows: Transaction, row: TokenRecord) -> bool:
    """Insert a token, with its entry in the trail; say whether its name was free."""
    if not rows.add_token(row):
        return False
    told = _named(row) | {"role": row.role, "expires_at": row.expires_at}
    audit.append(rows, row.created_by, "token.created", row.token_id, told)
    return True


def _revoked(rows: Transaction, token: TokenRecord, by: str) -> TokenRecord:
    rows.revoke_token(token.token_id, by, rows.now())
    if token.user_id is None:  # what a person's token did the person did, and may still
        rows.remove_links(by=f"token:{token.name}")
    audit.append(rows, by, "token.revoked", token.token_id, _named(token))
    return token


def _named(token: TokenRecord) -> dict[str, str | int | None]:
    # What people call their own tokens may tell of them, and the trail is never erased.
    return {} if token.user_id else {"name": token.name}


def _with_role(rows: Transaction, token: TokenRecord) -> TokenRecord:
    account = rows.account(user_id=token.user_id) if token.user_id else None
    return structs.replace(token, role=account.permission_level) if account else token


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
