"""Callers: the operator on this machine, a token, or a browser session; and their permissions.

A service receives the caller that `server.http.authentication` or the operator's command has
identified, and checks it again in each transaction that writes, since permissions may have ended.
"""

import os
import pwd
from collections.abc import Collection, Mapping
from typing import Final, assert_never

from msgspec import Struct, structs

from anyscale.errors import NotAuthenticated, NotFound, NotPermitted
from anyscale.server.core.permissions import TOKEN_ROLES, USER_ROLES, Permission, Roles
from anyscale.server.core.session_lifetime import is_live
from anyscale.server.core.shown_methods import has_second_factor
from anyscale.server.core.steps import Step, pending_step
from anyscale.server.core.time_units import MINUTE_MS
from anyscale.server.store.records.login import SessionRecord
from anyscale.server.store.records.tokens import TokenRecord
from anyscale.server.store.records.users import AccountRecord
from anyscale.server.store.transaction import Transaction

#: milliseconds that a new session may change the initial password without typing it again
_FRESH = 10 * MINUTE_MS

#: milliseconds after a sign-in while an owner may do what cannot be undone
RECENT = 15 * MINUTE_MS

#: the mend for a token that is refused
HOW_TO_REPLACE: Final = (
    "an owner creates a new one in the console, under Tokens, or the operator by `anyscale server "
    "create-token`"
)

_NOT_SIGNED_IN = "you are not signed in, or not any more"


class SignInTooOld(NotPermitted):
    """The owner of a session signed in too long ago for a change: see `require_recent_sign_in`."""


class SystemCaller(Struct, frozen=True):
    """The operator: a system user of this machine, who can write to the database anyway."""

    uid: int
    #: empty for a user without a name, as in a container
    name: str

    @property
    def actor(self) -> str:
        """The name in the audit log: `local:jane`."""
        return f"local:{self.name or self.uid}"


class TokenCaller(Struct, frozen=True):
    """A token, as it was when it was read."""

    #: with the role that it had then
    token: TokenRecord
    #: of a personal token; None for any other token
    account: AccountRecord | None

    @property
    def actor(self) -> str:
        """The name in the audit log: see `actor_of`."""
        return actor_of(self.token)

    def __repr__(self) -> str:
        return f"TokenCaller({self.actor!r})"


class SessionCaller(Struct, frozen=True):
    """A signed-in browser: the session and the account, as they were when they were read."""

    account: AccountRecord
    session: SessionRecord
    #: when the session was read: milliseconds since 1970, by the database's clock
    at: int

    @property
    def actor(self) -> str:
        """The name in the audit log: only the id of the user."""
        return user_actor(self.account.user_id)

    @property
    def pending(self) -> Step | None:
        """What the user has to do before anything else."""
        return pending_step(self.session, self.account, self.at)

    def refuse_pending(self, allowed: Collection[Step] = ()) -> None:
        """Raise the error of the step that the user has to do first, if it is not an allowed one.

        For `Step.PASSWORD` this is `PasswordChangeNeeded`, for `Step.SECOND_FACTOR`
        `SecondFactorDue`.
        """
        if (step := self.pending) and step not in allowed:
            raise step.refusal()

    @property
    def has_second_factor(self) -> bool:
        """Whether the user has shown two factors to the session."""
        return has_second_factor(self.session.methods)

    @property
    def may_omit_current_password(self) -> bool:
        """Whether the user typed the initial password a moment ago, to create this session."""
        return self.pending is Step.PASSWORD and 0 <= self.at - self.session.created_at <= _FRESH

    @property
    def has_recent_sign_in(self) -> bool:
        """Whether the user proved to be present in the last 15 minutes.

        It is not so after a sign-in by SSO for which the identity provider did not ask the user.
        """
        return self._has_recent_sign_in(self.at)

    def _has_recent_sign_in(self, begun_at: int) -> bool:
        authenticated_at = self.session.authenticated_at
        # A time in the future is that of a clock that was set back since.
        return authenticated_at is not None and begun_at - RECENT <= authenticated_at <= self.at

    def require_recent_sign_in(self, begun_at: int | None = None) -> None:
        """Raise `SignInTooOld` unless the user proved to be present in the last 15 minutes.

        For a request that began before, the 15 minutes are those before `begun_at`, or later: it
        may take longer than they last.
        """
        if not self._has_recent_sign_in(self.at if begun_at is None else begun_at):
            raise SignInTooOld(
                "your sign-in is older than 15 minutes: sign in again, and repeat the call"
            )

    @property
    def is_touch_due(self) -> bool:
        """Whether the last use of the session is to be written again: not for each request."""
        return self.at - self.session.used_at >= MINUTE_MS

    def __repr__(self) -> str:
        return f"SessionCaller({self.actor!r})"


Caller = SystemCaller | TokenCaller | SessionCaller


def system_caller() -> SystemCaller:
    """Return the system user of this process."""
    uid = os.getuid()
    try:
        return SystemCaller(uid, pwd.getpwuid(uid).pw_name)
    except KeyError:
        return SystemCaller(uid, "")


def user_actor(user_id: str) -> str:
    """Return the actor for a user: only the id."""
    return f"user:{user_id}"


def actor_of(token: TokenRecord) -> str:
    """Return the actor for a token: its owner, or its name if it has none."""
    return user_actor(token.user_id) if token.user_id else f"token:{token.name}"


def live_token(tx: Transaction, token_hash: bytes) -> TokenCaller:
    """Return a token that is neither expired nor revoked, with the role that it has now.

    Raises:
        NotAuthenticated: the token is unknown, expired or revoked, or the account of its owner is
            suspended or deleted.
    """
    token = tx.tokens.get(token_hash)
    if token is None:
        raise NotAuthenticated(
            f"the token is unknown here, as one of another control plane is: {HOW_TO_REPLACE}"
        )
    actor = actor_of(token)
    if token.revoked_at is not None:
        raise NotAuthenticated(f"the token {token.name!r} was revoked: {HOW_TO_REPLACE}", actor)
    if token.expires_at is not None and token.expires_at <= tx.now():
        raise NotAuthenticated(f"the token {token.name!r} has expired: {HOW_TO_REPLACE}", actor)
    return _with_role_of_owner(tx, token) if token.user_id else TokenCaller(token, None)


def _with_role_of_owner(tx: Transaction, token: TokenRecord) -> TokenCaller:
    account = tx.accounts.get(token.user_id or "")
    if account is None:
        raise NotAuthenticated(
            f"the account of the token {token.name!r} does not exist any more: {HOW_TO_REPLACE}"
        )
    if account.suspended_at is not None:
        raise NotAuthenticated(
            f"the account of the token {token.name!r} is suspended: ask an administrator",
            actor_of(token),
        )
    return TokenCaller(structs.replace(token, role=account.permission_level), account)


def live_session(tx: Transaction, session_hash: bytes) -> SessionCaller:
    """Return a session that is neither expired nor revoked, with its account as it is now.

    Raises:
        NotAuthenticated: the session is unknown, expired or revoked, or the account is suspended.
    """
    now, found = tx.now(), tx.sessions.find(session_hash)
    if found is None:
        raise NotAuthenticated(_NOT_SIGNED_IN)
    session, account = found
    if not is_live(session, now) or account.suspended_at is not None:
        raise NotAuthenticated(_NOT_SIGNED_IN)
    return SessionCaller(account, session, now)


def require_accounts(
    locked: Mapping[str, AccountRecord], user_ids: Collection[str]
) -> list[AccountRecord]:
    """Return locked accounts in the order of `user_ids`, or raise `NotFound` if one is missing."""
    for user_id in user_ids:
        if user_id not in locked:
            raise NotFound(f"there is no user {user_id}")
    return [locked[user_id] for user_id in user_ids]


def check_permission(
    tx: Transaction, caller: Caller, permission: Permission, *, recent: bool = False
) -> None:
    """Check that a caller still has a permission; lock nothing. Raises as `Transactions` does.

    With `recent`, the sign-in of a session must be recent.
    """
    match caller:
        case SystemCaller():
            return
        case TokenCaller():
            refuse_without(permission, live_token(tx, caller.token.hash))
        case SessionCaller():
            current = live_session(tx, caller.session.hash)
            refuse_without(permission, current)
            current.refuse_pending()
            if recent:
                current.require_recent_sign_in(caller.at)
        case _:
            assert_never(caller)


def has_permission(caller: TokenCaller | SessionCaller, permission: Permission) -> bool:
    """Whether a caller, as it was read, has a permission."""
    _, role, roles = _role_of(caller)
    return permission in roles.get(role, ())


def refuse_without(permission: Permission, caller: TokenCaller | SessionCaller) -> None:
    """Raise `NotPermitted` if a caller, as it was read, does not have a permission."""
    if has_permission(caller, permission):
        return
    name, role, roles = _role_of(caller)
    needed = [one for one, permissions in roles.items() if permission in permissions]
    mend = f"this requires the role {' or '.join(needed)}" if needed else "only the operator may"
    raise NotPermitted(f"{name} has the role {role}, which may not {permission.value}: {mend}")


def _role_of(caller: TokenCaller | SessionCaller) -> tuple[str, str, Roles]:
    """Return the name of a caller, its role, and the table that has the role."""
    if user := caller.account:
        return user.email, user.permission_level, USER_ROLES
    assert isinstance(caller, TokenCaller)
    return caller.actor, caller.token.role, TOKEN_ROLES
