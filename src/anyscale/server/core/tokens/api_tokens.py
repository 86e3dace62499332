"""API tokens: shown once, stored as hashes."""

import os
import zlib
from collections.abc import Sequence
from contextlib import suppress
from shlex import quote

from msgspec import structs

from anyscale.domain.characters import is_visible
from anyscale.errors import ConfigError, NotAuthenticated, NotFound, StoreUnavailable
from anyscale.server.core.audit.entries import Entry, append_entry
from anyscale.server.core.callers import (
    HOW_TO_REPLACE,
    Caller,
    SessionCaller,
    TokenCaller,
    live_token,
    refuse_without,
)
from anyscale.server.core.forms import FORM_USED
from anyscale.server.core.ids import new_id
from anyscale.server.core.mail.outbox import end_links
from anyscale.server.core.permissions import TOKEN_ROLES, Permission
from anyscale.server.core.secrets import hash_of
from anyscale.server.core.time_units import DAY_MS, MINUTE_MS
from anyscale.server.core.transactions import Transactions
from anyscale.server.store.records.tokens import TokenRecord
from anyscale.server.store.transaction import Transaction

#: Marks a token, so that scanners find it in a log, a repository or a chat.
PREFIX = "mrt_"


_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_OCTETS = 24
_SECRET_DIGITS = 33
_CHECK_DIGITS = 6

_NAME_LENGTH = 64

#: the longest life of a personal token
_MOST_DAYS = 3_650
#: the personal tokens of a user that are valid at once
_MOST_LIVE = 50
#: those that a user creates in a day: each is an entry of the audit log, which stays
_MOST_A_DAY = 200


class TokenService:
    """Creates, lists, revokes and authenticates tokens."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    def create(self, caller: Caller, name: str, role: str, days: int | None) -> str:
        """Create a token that belongs to no user; return the secret, which is shown this once.

        It expires after `days`; None for never.

        Raises:
            ConfigError: the name is not valid, or another token has it; or no token has the role.
            NotAuthenticated, NotPermitted: the caller has lost its permission.
        """
        _check_name(name)
        if role not in TOKEN_ROLES:
            raise ConfigError(f"a token with the role {role} could do nothing")
        token = _new_token()
        with self._transactions.write_for(caller, Permission.OPERATE) as (tx, _):
            if not _added(tx, _record(tx, token, name, role, days, caller.actor)):
                raise ConfigError(
                    f"there is a token named {name!r}: choose another name, or revoke it by "
                    f"`anyscale server revoke-token {quote(name)}`"
                )
        return token

    def create_personal(
        self,
        caller: SessionCaller,
        name: str,
        days: int | None,
        form_key: str | None = None,
        replaces: str = "",
    ) -> tuple[str, TokenRecord]:
        """Create a token of the signed-in user, who is an owner.

        A collaborator has none: if the user became an owner, it would have all permissions.

        It expires after `days`; None for never. The secret is shown this once.

        Args:
            caller: the user.
            name: of the token.
            days: see above.
            form_key: of a form: if it arrives twice, `of_form` returns what the first one created.
            replaces: the id of a token of the user that is revoked; empty for none.

        Raises:
            NotAuthenticated: the session was revoked, or the account was suspended or deleted.
            NotPermitted: the user is not an owner, or signed in more than 15 minutes ago.
            ConfigError: the name or the days are out of range, or the user has the name already, or
                50 tokens, or created 200 in the last 24 hours.
        """
        _check_name(name)
        if days is not None and not 1 <= days <= _MOST_DAYS:
            raise ConfigError(f"a token expires in 1 to {_MOST_DAYS} days, or never")
        token = _new_token()
        with self._transactions.write_own(caller, recent=True) as (tx, account):
            refuse_without(Permission.MANAGE_TOKENS, structs.replace(caller, account=account))
            if (old := tx.tokens.find(replaces)) and old.user_id == account.user_id:
                _revoke(tx, old, caller)
            _check_count(tx, account.user_id)
            record = _record(tx, token, name, account.permission_level, days, caller.actor)
            record = structs.replace(record, user_id=account.user_id, form_key=form_key)
            if not _added(tx, record):
                used = form_key and tx.tokens.of_form(form_key)
                in_use = f"you have a token named {name!r}: choose another name"
                raise ConfigError(FORM_USED if used else in_use)
            tx.accounts.mark_used(account.user_id, record.created_at)
        return token, record

    def of_form(self, form_key: str, name: str, caller: SessionCaller) -> TokenRecord | None:
        """Return the token with a name that a form of the user has created."""
        with self._transactions.read() as tx:
            found = tx.tokens.of_form(form_key)
        is_same = found and (found.name, found.user_id) == (name, caller.account.user_id)
        return found if is_same else None

    def all(self) -> Sequence[TokenRecord]:
        """Return all tokens, also revoked and expired ones."""
        with self._transactions.read() as tx:
            return tx.tokens.list()

    def any_exists(self) -> bool:
        """Whether any token was ever created."""
        with self._transactions.read() as tx:
            return tx.tokens.exists()

    def list_live(self, user_id: str) -> Sequence[TokenRecord]:
        """List a user's own tokens that are neither revoked nor expired, the latest first."""
        with self._transactions.read() as tx:
            return tx.tokens.list_live(user_id, tx.now())

    def revoke(self, caller: Caller, name: str) -> TokenRecord:
        """Revoke a token without an owner by its name, or any by its id.

        After this returns, calls with the token can no longer write.

        Raises:
            NotFound: there is no such token, or it is revoked.
            NotAuthenticated, NotPermitted: the caller has lost its permission.
        """
        with self._transactions.read() as tx:
            # Personal tokens of several users may have one name.
            token = tx.tokens.find_named(name) or tx.tokens.find(name)
        is_own = _is_own(token, caller)  # the account of the caller is locked in any case
        others = [token.user_id] if token and token.user_id and not is_own else []
        with self._transactions.write_for(
            caller, Permission.MANAGE_TOKENS, others, recent=not is_own
        ) as (tx, _):
            if token and (revoked := _revoke(tx, token, caller)):
                return revoked
        raise NotFound(
            f"no token named {name!r} is left to revoke: `anyscale server list-tokens` lists all "
            "tokens"
        )

    def revoke_personal(self, caller: SessionCaller, token_id: str) -> TokenRecord:
        """Revoke a token of the signed-in user.

        Raises:
            NotFound: the user has no such token, or it is revoked.
            NotAuthenticated: the session was revoked, or the account was suspended or deleted.
        """
        with self._transactions.write_own(caller) as (tx, account):
            token = tx.tokens.find(token_id)
            is_own = token is not None and token.user_id == account.user_id
            if token and is_own and (revoked := _revoke(tx, token, caller)):
                return revoked
        raise NotFound("you have no such token, or it is revoked already")

    def authenticate(self, token: str) -> TokenCaller:
        """Return the caller of a token, with the role that it has now.

        Raises:
            NotAuthenticated: it is not a token, or it is unknown, expired or revoked.
        """
        if not token.startswith(PREFIX):
            raise NotAuthenticated(
                f"this is not a musterroll token, which starts with {PREFIX}: {HOW_TO_REPLACE}"
            )
        if not _is_whole(token):
            raise NotAuthenticated(
                "the token was not copied whole, since some of it is missing or wrong: copy it "
                f"again. If it is lost, {HOW_TO_REPLACE}"
            )
        with self._transactions.read() as tx:
            caller = live_token(tx, hash_of(token))
            now = tx.now()
        if now - (caller.token.used_at or 0) >= MINUTE_MS:  # not a write for each request
            # A database that cannot be written at the moment can still be read.
            # For the same reason the write waits for no disk and no standby.
            with (
                suppress(StoreUnavailable),
                self._transactions.write_unattended("last use", durable=False) as tx,
            ):
                tx.tokens.touch(caller.token.token_id, now)
        return caller


def _check_name(name: str) -> None:
    if len(name) > _NAME_LENGTH or not is_visible(name):
        raise ConfigError(f"a token's name has 1 to {_NAME_LENGTH} visible characters")


def _check_count(tx: Transaction, user_id: str) -> None:
    now = tx.now()
    if len(tx.tokens.list_live(user_id, now)) >= _MOST_LIVE:
        raise ConfigError(f"you have {_MOST_LIVE} tokens: revoke one that you do not need")
    if tx.tokens.count_created(user_id, now - DAY_MS) >= _MOST_A_DAY:
        raise ConfigError(f"you created {_MOST_A_DAY} tokens in the last 24 hours: wait for a day")


def _record(
    tx: Transaction, token: str, name: str, role: str, days: int | None, by: str
) -> TokenRecord:
    now = tx.now()
    return TokenRecord(
        token_id=new_id("tok_", now),
        name=name,
        role=role,
        hash=hash_of(token),
        created_by=by,
        created_at=now,
        expires_at=None if days is None else now + days * DAY_MS,
    )


def _added(tx: Transaction, token: TokenRecord) -> bool:
    """Insert a token with its audit entry; return False if its name is in use."""
    if not tx.tokens.add(token):
        return False
    data = _named(token) | {"role": token.role, "expires_at": token.expires_at}
    append_entry(tx, token.created_by, "token.created", token.token_id, data)
    return True


def revoke_all(tx: Transaction, user_id: str, caller: Caller) -> list[Entry]:
    """Revoke the personal tokens of an account, which is locked; return the entries to append.

    No token is locked: a call by a personal token locks the account.
    """
    now = tx.now()
    tokens = tx.tokens.list_live(user_id, now)
    for token in tokens:
        tx.tokens.revoke(token.token_id, caller.actor, now)
    return [Entry(caller.actor, "token.revoked", token.token_id, _named(token)) for token in tokens]


def _is_own(token: TokenRecord | None, caller: Caller) -> bool:
    return (
        token is not None
        and isinstance(caller, SessionCaller)
        and token.user_id == caller.account.user_id
    )


def _revoke(tx: Transaction, token: TokenRecord, caller: Caller) -> TokenRecord | None:
    """Revoke a token, whose account is locked; return None if it was revoked before."""
    tx.tokens.lock(token.hash, exclusive=True)  # it waits for the calls that use the token
    current = tx.tokens.get(token.hash)
    if current is None or current.revoked_at is not None:
        return None
    tx.tokens.revoke(token.token_id, caller.actor, tx.now())
    if token.user_id is None:  # links by a personal token are the user's, who may still create them
        end_links(tx, by=f"token:{token.name}")
    append_entry(tx, caller.actor, "token.revoked", token.token_id, _named(token))
    return token


def _named(token: TokenRecord) -> dict[str, str | int | None]:
    # The name of a personal token is personal data, which the audit log never contains.
    return {"user_id": token.user_id} if token.user_id else {"name": token.name}


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
