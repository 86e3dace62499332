"""Permissions: of a system user of the control plane's own machine, or of an owner's token."""

import os
import pwd
from collections.abc import Collection, Mapping

from msgspec import Struct, structs

from anyscale.errors import NotAuthenticated, NotPermitted
from anyscale.server.store.records.tokens import TokenRecord
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

__all__ = [
    "Principal",
    "actor_of",
    "live_token",
    "local_actor",
    "refuse_unless_owner",
    "require_owner",
    "user_actor",
]


class Principal(Struct, frozen=True):
    """The caller of a request."""

    #: The name in the audit log: `local:jane` for a system user of this machine, `user:usr_...` for
    #: the owner of a personal token, `token:NAME` for any other token.
    actor: str
    #: None for a system user, who can write to the database anyway.
    token_hash: bytes | None = None
    #: The email of a collaborator with a personal token, for a message to that user alone.
    email: str = ""

    def __repr__(self) -> str:
        return f"Principal({self.actor!r})"


def local_actor() -> str:
    """Return the actor for the system user of this process."""
    try:
        return f"local:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # a container may run as a user without a name
        return f"local:{os.getuid()}"


def user_actor(user_id: str) -> str:
    """Return the actor for a user: the id alone."""
    return f"user:{user_id}"


def actor_of(token: TokenRecord) -> str:
    """Return the actor for a token: its owner, or its name if it has none."""
    return user_actor(token.user_id) if token.user_id else f"token:{token.name}"


def live_token(tx: Transaction, token_hash: bytes) -> TokenRecord:
    """Return a token that is neither expired nor revoked, with the role that it has now.

    Raises:
        NotAuthenticated: the token is unknown, expired or revoked, or the account of its owner is
            suspended or deleted.
    """
    token = tx.tokens.get(token_hash)
    if token is None:
        raise NotAuthenticated("the token is unknown here: is it of another control plane?")
    actor = actor_of(token)
    if token.revoked_at is not None:
        raise NotAuthenticated(f"the token {token.name!r} was revoked: ask for a new one", actor)
    if token.expires_at is not None and token.expires_at <= tx.now():
        raise NotAuthenticated(f"the token {token.name!r} has expired: ask for a new one", actor)
    return _with_role_of_owner(tx, token) if token.user_id else token


def _with_role_of_owner(tx: Transaction, token: TokenRecord) -> TokenRecord:
    account = tx.accounts.get(token.user_id or "")
    if account is None:
        raise NotAuthenticated(f"the account of the token {token.name!r} does not exist any more")
    if account.suspended_at is not None:
        raise NotAuthenticated(
            f"the account of the token {token.name!r} is suspended: ask an administrator",
            actor_of(token),
        )
    return structs.replace(token, role=account.permission_level)


def require_owner(
    tx: Transaction, caller: Principal, user_ids: Collection[str] = ()
) -> Mapping[str, AccountRecord]:
    """Check in a write transaction that its caller is still an owner; lock and return accounts.

    The account of a personal token is locked with the accounts of `user_ids`, by one call, since
    two transactions that lock accounts one by one can deadlock. It is in the result too. Raises
    `NotAuthenticated` if the token is not valid any more, and `NotPermitted` if its role is not
    `owner`.
    """
    token = tx.tokens.get(caller.token_hash) if caller.token_hash else None
    own = {token.user_id} if token and token.user_id else set()
    to_lock = own.union(user_ids)
    locked = tx.accounts.lock(to_lock) if to_lock else {}
    if caller.token_hash is not None:
        refuse_unless_owner(caller, live_token(tx, caller.token_hash).role)
    return locked


def refuse_unless_owner(caller: Principal, role: str) -> None:
    """Raise `NotPermitted` if the role of a caller is not `owner`."""
    if role != "owner":
        name = caller.email or caller.actor
        raise NotPermitted(f"{name} is a {role}: this takes an owner's token")
