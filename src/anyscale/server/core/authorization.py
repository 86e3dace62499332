"""Who may: a system user of the control plane's own machine, or the token of an owner."""

import os
import pwd
from collections.abc import Collection

from msgspec import Struct, field, structs

from anyscale.errors import NotAuthenticated, NotPermitted
from anyscale.server.store.interface import TokenRecord, Transaction

__all__ = ["Principal", "holder_of", "live_token", "local_actor", "require_owner", "require_role"]


class Principal(Struct, frozen=True):
    """Who makes a call, as the trail names it."""

    #: `local:jane` for a system user of this machine, `token:NAME` for who holds a token that is
    #: nobody's own, `user:usr_...` for a person
    actor: str
    #: None for a system user, who could read the database as well.
    token_hash: bytes | None = field(default=None)

    def __repr__(self) -> str:
        return f"Caller({self.actor!r})"


def local_actor() -> str:
    """Name the system user of this process."""
    try:
        return f"local:{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:  # a container may run as a user without a name
        return f"local:{os.getuid()}"


def holder_of(token: TokenRecord) -> str:
    """Name who holds a token: the person whose own it is, or else the name that it was given."""
    return f"user:{token.user_id}" if token.user_id else f"token:{token.name}"


def live_token(rows: Transaction, token_hash: bytes) -> TokenRecord:
    """Give a token that is neither expired nor revoked, with the role that it has now.

    Raises:
        NotAuthenticated: it is, or the account that it belongs to is suspended or gone.
    """
    token = rows.token(token_hash)
    if token is None:
        raise NotAuthenticated("the token is unknown here: is it of another control plane?")
    actor = holder_of(token)
    if token.revoked_at is not None:
        raise NotAuthenticated(f"the token {token.name!r} was revoked: ask for a new one", actor)
    if token.expires_at is not None and token.expires_at <= rows.now():
        raise NotAuthenticated(f"the token {token.name!r} has expired: ask for a new one", actor)
    return _with_its_persons_role(rows, token) if token.user_id else token


def _with_its_persons_role(rows: Transaction, token: TokenRecord) -> TokenRecord:
    account = rows.account(user_id=token.user_id or "")
    if account is None:
        raise NotAuthenticated(f"the account of the token {token.name!r} does not exist any more")
    if account.suspended_at is not None:
        raise NotAuthenticated(
            f"the account of the token {token.name!r} is suspended: ask an administrator",
            holder_of(token),
        )
    return structs.replace(token, role=account.permission_level)


def require_owner(rows: Transaction, caller: Principal, about: Collection[str] = ()) -> None:
    """Check in a transaction that its caller may still write.

    Args:
        rows: the transaction.
        caller: whose it is.
        about: ids of accounts to hold. Who has a personal token holds the own account as well: all
            of them are taken together, by their ids, as whoever holds several accounts does.

    Raises:
        NotAuthenticated: the token is not valid any more.
        NotPermitted: it is not an owner's.
    """
    if about:
        token = rows.token(caller.token_hash) if caller.token_hash else None
        rows.hold_accounts({*about, token.user_id} if token and token.user_id else set(about))
    if caller.token_hash is None:
        return
    require_role(caller, live_token(rows, caller.token_hash).role)


def require_role(caller: Principal, role: str) -> None:
    """Check that somebody's role allows what owners may.

    Raises:
        NotPermitted: it does not.
    """
    if role != "owner":
        raise NotPermitted(f"{caller.actor} is a {role}: this takes an owner's token")
